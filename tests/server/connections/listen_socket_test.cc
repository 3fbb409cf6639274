#include "server/connections/listen_socket.h"

#include <sys/stat.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using test_support::TemporaryDirectory;
using test_support::WriteFile;
using ::testing::HasSubstr;

TEST(ListenTest, PortZeroIsAFreePortAndAUsedOneIsRefusedByName) {
  auto first = Listen("127.0.0.1:0", absl::Seconds(20));
  ASSERT_THAT(first, IsOk());
  EXPECT_GT(first->port, 0);
  const std::string used = absl::StrCat("127.0.0.1:", first->port);
  EXPECT_THAT(Listen(used, absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(used)));
}

TEST(ListenTest, AllAddressesOfANameHaveOnePort) {
  auto sockets = Listen("localhost:0", absl::ZeroDuration());
  ASSERT_THAT(sockets, IsOk());
  EXPECT_GE(sockets->sockets.size(), 1u);
  EXPECT_GT(sockets->port, 0);
}

TEST(ListenTest, UnixSocketIsForOwnerAndGroupAndReplacesADeadOne) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("socket");
  // A listener that goes without removing its name leaves a dead one.
  ASSERT_THAT(Listen(absl::StrCat("unix:", path), absl::ZeroDuration()), IsOk());
  auto second = Listen(absl::StrCat("unix:", path), absl::ZeroDuration());
  ASSERT_THAT(second, IsOk());
  struct stat state = {};
  ASSERT_EQ(stat(path.c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & (S_IRWXO | S_IXUSR), 0u);
  // One that is alive, or a file, is left alone.
  EXPECT_THAT(Listen(absl::StrCat("unix:", path), absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(path)));
}

TEST(ListenTest, FilesAndNamesThatCannotBeSocketsAreRefused) {
  const TemporaryDirectory directory;
  ASSERT_THAT(WriteFile(directory.File("file"), "precious"), IsOk());
  for (const std::string& address :
       {absl::StrCat("unix:", directory.File("none/socket")), std::string("unix:"),
        absl::StrCat("unix:/", std::string(200, 'a')), std::string("no.such.host.invalid:1")}) {
    EXPECT_THAT(Listen(address, absl::ZeroDuration()),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr(address)));
  }
}

}  // namespace
}  // namespace contexture
