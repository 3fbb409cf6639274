#pragma once

#include <string>

#include "absl/status/status.h"
#include "nlohmann/json.hpp"

namespace contexture::test_support {

// Writes the model directory of a case of make_models.py or make_heads.py: config.json, the other
// files, and weights made from the recipes, in one file or in shards.
absl::Status WriteGoldenModel(const nlohmann::json& golden, const std::string& directory);

}  // namespace contexture::test_support
