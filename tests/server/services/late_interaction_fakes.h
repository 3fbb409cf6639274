#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tests/server/fakes.h"

// What the tests of late interaction share.

namespace contexture::test_support {

// Queries are filled up to 6 tokens; words of three bytes (id 13) are not scored in documents.
inline EngineInfo LateInfo() {
  EngineInfo info = FakeEngineInfo();
  info.config.heads.push_back({.task = HeadTask::kLateInteraction,
                               .architecture = "MultiVectorEncoder",
                               .rows = HeadRows::kChosen,
                               .num_outputs = 3});
  info.tokenizer_config.mask = "[MASK]";
  info.prompts.prompts = {{"query", "q "}, {"document", "dd "}};
  LateInteractionConfig late;
  late.document_length = 7;
  late.expansion.length = 6;
  late.expansion.attended = false;
  late.skiplist = {"and"};
  late.normalize = false;
  info.late_interaction = late;
  return info;
}

// What FakeEngine's vectors of tokens give.
inline float Score(const std::vector<uint32_t>& query, const std::vector<uint32_t>& document) {
  float sum = 0;
  for (uint32_t q : query) {
    float best = -1e30f;
    for (uint32_t d : document) {
      float product = 0;
      for (int c = 0; c < 3; ++c) product += FakeLogit({q}, c) * FakeLogit({d}, c);
      best = std::max(best, product);
    }
    sum += best;
  }
  return sum;
}

}  // namespace contexture::test_support
