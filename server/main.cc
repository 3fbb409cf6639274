#include "server/run_server.h"
#include "server/signals.h"

int main(int argc, char** argv) {
  contexture::BlockSignals();  // before any thread exists
  return contexture::RunServer(argc, argv);
}
