#pragma once

#include <cstdint>
#include <string>

#include "core/engine/engine.h"
#include "core/text/tokenizer.h"

namespace contexture {

// What requests are checked against: the loaded model and the limits of this server. Constant.
struct ServedModel {
  std::string name;
  EngineInfo info;
  const Tokenizer* tokenizer = nullptr;  // not owned; null: only token ids can be sent
  int max_inputs_per_request = 1024;
  int64_t max_message_bytes = int64_t{64} << 20;
  // Longest text taken. While a text is tokenized its tokens take many times its own bytes.
  int64_t max_text_bytes = int64_t{1} << 20;
  std::string server_version;
};

}  // namespace contexture
