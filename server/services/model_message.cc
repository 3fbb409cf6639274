#include "server/services/model_message.h"

#include <algorithm>

#include "server/services/output_specs.h"

namespace contexture {
namespace {

v1::HeadTask ToProto(HeadTask task) {
  switch (task) {
    case HeadTask::kSequenceClassification:
      return v1::HEAD_TASK_SEQUENCE_CLASSIFICATION;
    case HeadTask::kTokenClassification:
      return v1::HEAD_TASK_TOKEN_CLASSIFICATION;
    case HeadTask::kMaskedLm:
      return v1::HEAD_TASK_MASKED_LM;
    case HeadTask::kLateInteraction:
      return v1::HEAD_TASK_LATE_INTERACTION;
  }
  return v1::HEAD_TASK_UNSPECIFIED;
}

void AddHead(const HeadConfig& head, const EngineInfo& info, v1::Model& message) {
  v1::Head& added = *message.add_heads();
  added.set_task(ToProto(head.task));
  added.set_architecture(head.architecture);
  for (const std::string& label : head.labels) added.add_labels(label);
  if (head.task != HeadTask::kLateInteraction) return;
  const LateInteractionConfig& late = *info.late_interaction;
  const auto most = [&](InputRole role) {
    return MostTokens(late, role, info.max_text_length, info.config.max_length);
  };
  added.set_vector_size(head.num_outputs);
  added.set_max_query_length(most(InputRole::kQuery));
  added.set_max_document_length(most(InputRole::kDocument));
  added.set_query_expansion_length(late.expansion.length);
}

}  // namespace

v1::Model ModelMessage(const ServedModel& model) {
  const EngineInfo& info = model.info;
  v1::Model message;
  message.set_name(model.name);
  message.set_model_type(info.config.model_type);
  message.set_hidden_size(info.config.hidden_size);
  message.set_num_layers(info.config.num_layers);
  message.set_num_heads(info.config.attention.num_heads);
  message.set_vocabulary_size(info.config.vocabulary_size);
  message.set_type_vocabulary_size(info.config.type_vocabulary_size);
  message.set_max_length(info.config.max_length);
  message.set_max_text_length(info.max_text_length);
  message.set_pooled_size(info.pooling.Size(info.config.hidden_size));
  for (const auto& [name, prompt] : info.prompts.prompts)
    (*message.mutable_prompts())[name] = prompt;
  message.set_default_prompt_name(info.prompts.default_name);
  message.set_default_pooling(ToProto(info.pooling.kind));
  message.set_default_normalization(info.pooling.normalize ? v1::NORMALIZATION_L2
                                                           : v1::NORMALIZATION_NONE);
  message.set_has_tokenizer(model.tokenizer != nullptr);
  message.set_precision(info.precision);
  message.set_calibration(info.calibration);
  message.set_isa(info.isa);
  message.set_min_cosine_to_f32(info.accuracy.min_cosine);
  message.set_max_difference_to_f32(info.accuracy.max_difference);
  message.set_fingerprint(info.fingerprint);
  message.set_max_inputs_per_request(model.max_inputs_per_request);
  message.set_max_message_bytes(model.max_message_bytes);
  message.set_server_version(model.server_version);
  message.set_target_vocabulary_size(info.config.decoder.vocabulary_size);
  message.set_num_decoder_layers(info.config.decoder.num_layers);
  const int last_position = info.config.max_given_position();
  message.set_has_sparse_positions(last_position >= 0);
  message.set_max_position(std::max(0, last_position));
  for (const HeadConfig& head : info.config.heads) AddHead(head, info, message);
  return message;
}

}  // namespace contexture
