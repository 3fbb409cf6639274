#include "server/connections/connection_acceptor.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;

constexpr absl::Duration kPatience = absl::Seconds(20);

FileDescriptor Connect(int port) {
  FileDescriptor fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<in_port_t>(port));
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return fd;
}

// The other side closes within the test's patience.
bool IsClosed(const FileDescriptor& fd) {
  pollfd wait = {fd.get(), POLLIN, 0};
  char byte = 0;
  return poll(&wait, 1, static_cast<int>(absl::ToInt64Milliseconds(kPatience))) == 1 &&
         recv(fd.get(), &byte, 1, 0) <= 0;
}

bool StaysOpen(const FileDescriptor& fd) {
  pollfd wait = {fd.get(), POLLIN, 0};
  return poll(&wait, 1, 50) == 0;
}

// Takes connections in gRPC's place.
class Keeper {
 public:
  ConnectionAcceptor::Options Options(const ConnectionLimits& limits) {
    auto sockets = Listen("127.0.0.1:0", absl::ZeroDuration());
    EXPECT_THAT(sockets, IsOk());
    return {.listen = *std::move(sockets), .limits = limits, .hand_over = [this](int fd) {
              absl::MutexLock lock(&mutex_);
              kept_.emplace_back(fd);
            }};
  }
  bool Await(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto there = [&]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return kept_.size() >= count; };
    return mutex_.AwaitWithTimeout(absl::Condition(&there), kPatience);
  }
  // As gRPC ends a connection.
  void EndFirst() {
    absl::MutexLock lock(&mutex_);
    shutdown(kept_.front().get(), SHUT_RDWR);
    kept_.erase(kept_.begin());
  }

 private:
  absl::Mutex mutex_;
  std::vector<FileDescriptor> kept_ ABSL_GUARDED_BY(mutex_);
};

TEST(ConnectionAcceptorTest, ConnectionsPastTheBoundAreClosedUntilOneEnds) {
  Keeper keeper;
  ConnectionAcceptor acceptor(keeper.Options({.per_peer = 2}), nullptr);
  const FileDescriptor first = Connect(acceptor.port()), second = Connect(acceptor.port());
  ASSERT_TRUE(keeper.Await(2));
  EXPECT_TRUE(IsClosed(Connect(acceptor.port())));
  keeper.EndFirst();
  EXPECT_TRUE(IsClosed(first));
  // The place is free once the acceptor has seen the end.
  const absl::Time end = absl::Now() + kPatience;
  FileDescriptor again = Connect(acceptor.port());
  while (!StaysOpen(again) && absl::Now() < end) again = Connect(acceptor.port());
  EXPECT_TRUE(keeper.Await(2));
}

TEST(ConnectionAcceptorTest, RateDelaysButDoesNotRefuse) {
  Keeper keeper;
  ConnectionAcceptor acceptor(keeper.Options({.accepts_per_second = 20}), nullptr);
  std::vector<FileDescriptor> connections;
  const absl::Time start = absl::Now();
  for (int i = 0; i < 30; ++i) connections.push_back(Connect(acceptor.port()));
  ASSERT_TRUE(keeper.Await(30));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(450));  // 20 at once, 10 at 20 a second
}

TEST(ConnectionAcceptorTest, StopRefusesNewConnectionsAndLeavesOpenOnes) {
  Keeper keeper;
  ConnectionAcceptor acceptor(keeper.Options({}), nullptr);
  const FileDescriptor open = Connect(acceptor.port());
  ASSERT_TRUE(keeper.Await(1));
  acceptor.Stop();
  EXPECT_TRUE(StaysOpen(open));
}

// In a process of its own: it uses up the descriptors.
TEST(ConnectionAcceptorDeathTest, GoesOnWhenDescriptorsAreThereAgain) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto run = [] {
    Keeper keeper;
    ConnectionAcceptor acceptor(keeper.Options({}), nullptr);
    rlimit limit = {.rlim_cur = 64, .rlim_max = 64};
    setrlimit(RLIMIT_NOFILE, &limit);
    std::vector<FileDescriptor> taken;
    FileDescriptor client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    for (int fd; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken.emplace_back(fd);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<in_port_t>(acceptor.port()));
    connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address));
    const bool refused = IsClosed(client);
    taken.clear();
    const FileDescriptor after = Connect(acceptor.port());
    _exit(refused && keeper.Await(1) ? 0 : 1);
  };
  EXPECT_EXIT(run(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace contexture
