#pragma once

#include <cstdlib>

namespace contexture::test_support {

// How often a test under load repeats itself: CONTEXTURE_TEST_ROUNDS, or a few times.
inline int Rounds() {
  const char* value = std::getenv("CONTEXTURE_TEST_ROUNDS");
  const int rounds = value != nullptr ? std::atoi(value) : 0;
  return rounds > 0 ? rounds : 3;
}

}  // namespace contexture::test_support
