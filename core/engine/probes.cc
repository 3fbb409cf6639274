#include "core/engine/probes.h"

#include <algorithm>
#include <random>

namespace contexture {
namespace {

constexpr int kProbeLengths[] = {1, 2, 3, 5, 8, 12, 16, 20, 24, 33, 48, 64, 96, 128};

}  // namespace

TokenSequences ProbeSequences(const EncoderConfig& config, uint32_t seed) {
  std::mt19937 generator(seed);  // the distribution's code is ours to be portable
  TokenSequences sequences;
  for (int length : kProbeLengths) {
    std::vector<uint32_t>& ids = sequences.emplace_back(std::min(length, config.max_length));
    for (uint32_t& id : ids) id = generator() % config.vocabulary_size;
  }
  return sequences;
}

}  // namespace contexture
