#include "server/model_preparation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "server/flag_values.h"
#include "server/memory_check.h"

namespace contexture {
namespace {

// Whether a batch of both takes the same time, so that what was learnt of one holds for the other.
bool CostTheSame(const EngineInfo& a, const EngineInfo& b) {
  return a.config.model_type == b.config.model_type && a.precision == b.precision &&
         a.isa == b.isa && a.config.hidden_size == b.config.hidden_size &&
         a.config.num_layers == b.config.num_layers && a.weight_bytes == b.weight_bytes;
}

}  // namespace

ModelFacts FactsOf(const ServedModel& model) {
  return {.model = model.name,
          .model_type = model.info.config.model_type,
          .precision = model.info.precision,
          .isa = model.info.isa,
          .fingerprint = model.info.fingerprint,
          .min_cosine = model.info.accuracy.min_cosine,
          .max_difference = model.info.accuracy.max_difference};
}

ModelPreparation::ModelPreparation(Context context)
    : context_(std::move(context)),
      memory_limit_(MemoryLimit()),
      reaper_([this](const ModelReaper::Alive& alive) {
        context_.metrics.models().SetLoaded(alive.generations, alive.bytes);
      }) {}

absl::StatusOr<ModelPreparation::Prepared> ModelPreparation::Prepare(
    const ModelSource& source, const std::shared_ptr<const ServedModel>& current) {
  LoadRequest request{.directory = source.directory};
  if (current != nullptr) request.unless_fingerprint = current->info.fingerprint;
  const std::string what = absl::StrCat("the model '", source.name, "'");
  // Before the weights are read: a server under load must not be ended for want of memory.
  CTX_RETURN_IF_ERROR(
      CheckMemory(what, WeightFileBytes(source.directory), reaper_.alive().bytes, memory_limit_));
  CTX_ASSIGN_OR_RETURN(const LoadedModel loaded, context_.loader(request, context_.options));
  if (loaded.engine == nullptr) return Prepared{.model = current};
  const EngineInfo& info = loaded.engine->info();
  CTX_RETURN_IF_ERROR(
      CheckMemory(absl::StrFormat("%s with %d workspaces", what, context_.num_workers),
                  ModelBytes(info, context_.num_workers), reaper_.alive().bytes, memory_limit_));
  const ServerOptions& options = context_.options;
  auto model = std::make_shared<ServedModel>(
      ServedModel{.name = source.name,
                  .info = info,
                  .tokenizer = loaded.tokenizer,
                  .late_interaction = loaded.late_interaction,
                  .generation = NewGeneration(loaded, current.get(), source),
                  .max_inputs_per_request = options.max_inputs_per_request,
                  .max_message_bytes = options.max_message_bytes,
                  .max_text_bytes = options.max_text_bytes,
                  .server_version = CurrentBuild().version});
  LogPlan(*model);
  Prepared prepared{.model = std::move(model)};
  CTX_RETURN_IF_ERROR(CheckParityFile(source, prepared));
  return prepared;
}

std::shared_ptr<ModelGeneration> ModelPreparation::NewGeneration(const LoadedModel& loaded,
                                                                 const ServedModel* current,
                                                                 const ModelSource& source) {
  const EngineInfo& info = loaded.engine->info();
  // What the warm-up took under load says less than what the same network took in many batches.
  const bool known = current != nullptr && CostTheSame(current->info, info);
  auto generation = std::make_unique<ModelGeneration>(
      loaded.engine, context_.num_workers,
      known ? context_.batcher.CostsOf(*current->generation) : CostModel(loaded.samples));
  generation->recorder = &context_.metrics.models().RecorderOf(source.name);
  return reaper_.Own(std::move(generation), ModelBytes(info, context_.num_workers));
}

absl::Status ModelPreparation::CheckParityFile(const ModelSource& source,
                                               Prepared& prepared) const {
  CTX_ASSIGN_OR_RETURN(const absl::optional<ParityFile> file, ReadParityFile(source.directory));
  if (!file) return absl::OkStatus();
  const ServedModel& model = *prepared.model;
  CTX_ASSIGN_OR_RETURN(const Parity parity, MeasureParity(*model.generation->engine, model, *file));
  context_.logger.Info("parity", {{"model", model.name},
                                  {"inputs", absl::StrCat(file->inputs.size())},
                                  {"min_cosine", absl::StrFormat("%.7f", parity.min_cosine)},
                                  {"max_error", absl::StrFormat("%.3g", parity.max_error)}});
  prepared.measured = parity;
  prepared.parity = CheckParity(parity, *file);
  return absl::OkStatus();
}

void ModelPreparation::LogPlan(const ServedModel& model) const {
  const EngineInfo& info = model.info;
  const ServerOptions& options = context_.options;
  const int64_t workspaces = static_cast<int64_t>(info.workspace_bytes) * context_.num_workers;
  context_.logger.Info(
      "plan",
      {{"model", model.name},
       {"model_type", info.config.model_type},
       {"precision", info.precision},
       {"precision_reason", info.precision_reason},
       {"calibration", info.calibration},
       {"min_cosine_to_f32", absl::StrFormat("%.7f", info.accuracy.min_cosine)},
       {"isa", info.isa},
       {"engine_threads", absl::StrCat(context_.num_workers)},
       {"intra_op_threads", absl::StrCat(std::min(options.intra_op_threads, context_.num_workers))},
       {"tokenizer", model.tokenizer != nullptr ? "yes" : "no"},
       {"max_length", absl::StrCat(info.config.max_length)},
       {"max_text_length", absl::StrCat(info.max_text_length)},
       {"max_batch_tokens", absl::StrCat(info.max_batch_tokens)},
       {"max_queue_tokens", absl::StrCat(options.queue.max_tokens)},
       {"max_inputs_per_request", absl::StrCat(model.max_inputs_per_request)},
       {"max_message_bytes", FormatBytes(model.max_message_bytes)},
       {"weight_bytes", absl::StrCat(info.weight_bytes)},
       {"workspace_bytes", absl::StrCat(workspaces)},
       {"fingerprint", info.fingerprint}});
}

}  // namespace contexture
