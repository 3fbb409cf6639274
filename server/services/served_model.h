#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/engine/engine.h"
#include "core/text/tokenizer.h"
#include "server/batching/model_generation.h"
#include "server/services/late_interaction.h"

namespace contexture {

// What requests are checked against: a loaded model under its name, and the limits of this server,
// which are the same for all its models. Constant.
struct ServedModel {
  std::string name;
  EngineInfo info;
  std::shared_ptr<const Tokenizer> tokenizer;  // null: only token ids can be sent
  // Null: the model has no such head.
  std::shared_ptr<const LateInteraction> late_interaction = nullptr;
  std::shared_ptr<ModelGeneration> generation;  // what computes it
  int max_inputs_per_request = 1024;
  int64_t max_message_bytes = int64_t{64} << 20;
  // Longest text taken. While a text is tokenized its tokens take many times its own bytes.
  int64_t max_text_bytes = int64_t{1} << 20;
  std::string server_version;
};

}  // namespace contexture
