#include "core/base/huge_pages.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/base/process_memory.h"

namespace contexture {
namespace {

constexpr size_t kKiB = 1024;
constexpr size_t kMiB = 1024 * kKiB;
// Around each border between ways of allocating.
constexpr size_t kSizes[] = {1,          63,       64,           256 * kKiB - 1,
                             256 * kKiB, kMiB + 7, 2 * kMiB,     4 * kMiB - 1,
                             4 * kMiB,   9 * kMiB, 16 * kMiB + 1};

TEST(HugePagesTest, NothingIsNull) {
  EXPECT_EQ(AllocateAligned(0), nullptr);
  FreeAligned(nullptr, 0);
}

TEST(HugePagesTest, EachSizeBeginsAtACacheLineAndIsZeroed) {
  for (int round = 0; round < 2; ++round) {  // the second time on memory that was written to
    for (const size_t size : kSizes) {
      AlignedBuffer<char> buffer(size);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u) << size;
      size_t sum = 0;
      for (size_t i = 0; i < size; ++i) sum += buffer[i] != 0;
      EXPECT_EQ(sum, 0u) << size;
      std::memset(buffer.data(), 0x5a, size);
    }
  }
}

// Allocates, fills, checks and frees in a random order.
void Churn(int seed) {
  struct Owned {
    AlignedBuffer<uint8_t> buffer;
    uint8_t value;
  };
  std::mt19937 random(seed);
  std::vector<Owned> owned;
  for (int step = 0; step < 300; ++step) {
    if (owned.size() < 12 || random() % 2 == 0) {
      const size_t size = kSizes[random() % 8] + random() % 100;
      owned.push_back({AlignedBuffer<uint8_t>(size), static_cast<uint8_t>(random())});
      std::memset(owned.back().buffer.data(), owned.back().value, size);
      continue;
    }
    const size_t at = random() % owned.size();
    const auto& [buffer, value] = owned[at];
    ASSERT_EQ(buffer[0], value);
    ASSERT_EQ(std::memcmp(buffer.data(), buffer.data() + 1, buffer.size() - 1), 0);
    owned.erase(owned.begin() + static_cast<std::ptrdiff_t>(at));
  }
}

TEST(HugePagesTest, BuffersKeepTheirContentsWhileOthersComeAndGoOnManyThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(Churn, i);
  for (auto& thread : threads) thread.join();
}

// Resident bytes that RUN adds while what it returns lives.
template <typename Function>
size_t ResidentFor(const Function& run) {
  ReleaseFreedMemory();
  const size_t before = ResidentBytes();
  [[maybe_unused]] const auto kept = run();
  ReleaseFreedMemory();
  const size_t after = ResidentBytes();
  return after > before ? after - before : 0;
}

class HugePagesMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "the sanitizer keeps freed memory";
#endif
  }
};

TEST_F(HugePagesMemoryTest, FreedBuffersLeaveTheProcess) {
  ReleaseFreedMemory();
  const size_t before = ResidentBytes();
  const auto churn = [before] {
    std::vector<AlignedBuffer<char>> buffers;
    for (int i = 0; i < 100; ++i) buffers.emplace_back(kMiB);
    EXPECT_GT(ResidentBytes(), before + 95 * kMiB);
    return 0;
  };
  EXPECT_LT(ResidentFor(churn), 20 * kMiB);
}

// As loading does, layer after layer.
TEST_F(HugePagesMemoryTest, TheGapOfATemporaryBufferIsUsedAgain) {
  const auto load = [] {
    std::vector<AlignedBuffer<char>> kept;
    for (int i = 0; i < 100; ++i) {
      const AlignedBuffer<char> temporary(kMiB);
      kept.emplace_back(kMiB);
    }
    return kept;
  };
  const size_t resident = ResidentFor(load);
  EXPECT_GT(resident, 50 * kMiB);
  EXPECT_LT(resident, 125 * kMiB);
}

}  // namespace
}  // namespace contexture
