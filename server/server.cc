#include "server/server.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"
#include "grpcpp/health_check_service_interface.h"
#include "server/batching/sharing_batcher.h"
#include "server/flag_values.h"
#include "server/grpc_log.h"
#include "server/grpc_setup.h"
#include "server/parity.h"
#include "server/security/transport.h"
#include "server/tracing/open_tracer.h"

namespace contexture {
namespace {

// How long calls are answered with UNAVAILABLE before gRPC shuts down. A call that reaches
// gRPC 1.51 between the start of its shutdown and the client's reading of GOAWAY ends with
// CANCELLED, which clients do not retry; by then callers should have been told to back off.
constexpr absl::Duration kRefusalWindow = absl::Milliseconds(200);

// A node's kubelet and a person who looks; each connection is short.
constexpr int kMaxProbes = 64;
constexpr int kMaxProbesPerPeer = 8;
constexpr absl::Duration kProbeTimeout = absl::Seconds(5);
// A probe is over long before; who stays longer keeps others out.
constexpr absl::Duration kProbeAge = absl::Seconds(60);

// A queue of 4,096 connections at 1,000 a second is no reason to start the process anew.
constexpr absl::Duration kSelfProbeTimeout = absl::Seconds(5);

// A connection takes two descriptors; a quarter of all is left to the rest of the process.
ConnectionLimits LimitsOf(const ConnectionBounds& bounds) {
  const auto files = static_cast<int>(std::min<uint64_t>(RaiseFileLimit(), 1 << 20));
  const int affordable = std::max(1, files * 3 / 8);
  return {.total = bounds.total == 0 ? affordable : std::min(bounds.total, affordable),
          .per_peer = bounds.per_peer,
          .accepts_per_second = bounds.accepts_per_second};
}

std::vector<std::string> ServiceNames(const ServerOptions& options) {
  std::vector<std::string> names = {
      v1::EncoderService::service_full_name(), v1::TaskService::service_full_name(),
      grpc::health::v1::Health::service_full_name(),
      grpc::reflection::v1::ServerReflection::service_full_name(),
      grpc::reflection::v1alpha::ServerReflection::service_full_name()};
  if (options.load_reports) {
    names.emplace_back(xds::service::orca::v3::OpenRcaService::service_full_name());
  }
  return names;
}

EncoderServiceOptions ServiceOptions(const ServerOptions& options) {
  EncoderServiceOptions service;
  const bool none = options.default_deadline == absl::ZeroDuration();
  service.default_timeout = none ? absl::InfiniteDuration() : options.default_deadline;
  return service;
}

absl::Duration SlowCall(const ServerOptions& options) {
  return options.slow_call == absl::ZeroDuration() ? absl::InfiniteDuration() : options.slow_call;
}

std::shared_ptr<const ServedModel> MakeServedModel(const ServerOptions& options,
                                                   const LoadedModel& loaded, int num_workers) {
  return std::make_shared<ServedModel>(ServedModel{
      .name = ModelName(options),
      .info = loaded.engine->info(),
      .tokenizer = loaded.tokenizer,
      .generation = std::make_shared<ModelGeneration>(loaded.engine, num_workers, loaded.samples),
      .max_inputs_per_request = options.max_inputs_per_request,
      .max_message_bytes = options.max_message_bytes,
      .max_text_bytes = options.max_text_bytes,
      .server_version = CurrentBuild().version});
}

BatcherOptions MakeBatcherOptions(const ServerOptions& options, const ThreadPlan& threads,
                                  int max_batch_tokens) {
  return {.num_workers = threads.engine_workers,
          .max_batch_tokens = max_batch_tokens,
          .queue = options.queue,
          .target_p99 = options.target_p99};
}

}  // namespace

// In the order of construction; the tokenizer threads, which hand over to the batcher, go before
// it.
struct Server::Serving {
  struct Reporting {
    ServerMetrics& metrics;
    LoadReporter* load_reporter;  // null: off
    Tracer* tracer;               // null: off
  };
  Serving(const ServerOptions& options, const ThreadPlan& threads, int max_batch_tokens,
          const Reporting& reporting)
      : memory(options.max_call_memory),
        gate([this](TrafficClass traffic_class) {
          return memory.crowded() || batcher->crowded(traffic_class);
        }),
        batcher(MakeBatcher(options, threads, max_batch_tokens, reporting)),
        tokenizer_pool({.num_threads = threads.tokenizer_threads}),
        backend{models,
                *batcher,
                tokenizer_pool,
                memory,
                gate,
                Clock::Steady(),
                reporting.metrics,
                options.max_inputs_per_request,
                reporting.load_reporter} {}

  std::unique_ptr<Batcher> MakeBatcher(const ServerOptions& options, const ThreadPlan& threads,
                                       int max_batch_tokens, const Reporting& reporting) {
    BatcherMetrics& metrics = reporting.metrics.batcher();
    BatcherOptions batcher_options = MakeBatcherOptions(options, threads, max_batch_tokens);
    batcher_options.on_room = [this] { gate.Notify(); };
    batcher_options.tracer = reporting.tracer;
    return NewSharingBatcher(NewBatcher(batcher_options, Clock::Steady(), metrics),
                             options.cache_bytes, metrics);
  }

  ModelRegistry models;
  MemoryBudget memory;
  StreamGate gate;
  const std::unique_ptr<Batcher> batcher;
  TokenizerPool tokenizer_pool;
  const SharedBackend backend;
};

Server::Server(const ServerOptions& options, const Context& context)
    : options_(options),
      logger_(context.logger),
      lifecycle_(context.lifecycle),
      threads_(PlanThreads(options, DetectCpuGrant())),
      call_log_({.slow = SlowCall(options)}, logger_, Clock::Steady()),
      reflection_(ServiceNames(options)),
      encoder_(ServiceOptions(options), Clock::Steady(), metrics_),
      load_reporter_(Clock::Steady(), metrics_, threads_.engine_workers),
      orca_([this] {
        const Batcher* batcher = batcher_;
        return load_reporter_.Now(batcher != nullptr ? batcher->waiting() : QueueRecord());
      }) {}

Server::~Server() {
  if (listener_ != nullptr) ShutDown(absl::ZeroDuration());
}

absl::StatusOr<std::unique_ptr<Server>> Server::Bind(const ServerOptions& options,
                                                     const Context& context) {
  std::unique_ptr<Server> server(new Server(options, context));
  server->logger_.Info("starting", {{"version", CurrentBuild().version},
                                    {"isa", std::string(Name(DetectIsa()))},
                                    {"cpu", DetectCpuGrant().model_name},
                                    {"cores", server->threads_.reason},
                                    {"max_open_files", absl::StrCat(RaiseFileLimit())}});
  CTX_RETURN_IF_ERROR(server->OpenTelemetry());
  CTX_RETURN_IF_ERROR(server->ExposeMetrics());
  CTX_RETURN_IF_ERROR(server->OpenCredentials());
  CTX_RETURN_IF_ERROR(server->ListenForProbes());
  CTX_RETURN_IF_ERROR(server->StartListening());
  server->StartSelfProbe();
  return server;
}

absl::Status Server::OpenTelemetry() {
  // Not `this`: OpenTelemetry keeps it for the life of the process.
  const auto on_error = [&logger = logger_](const std::string& reason) {
    logger.TryWrite(Severity::kWarning, "traces_not_exported", {{"reason", reason}});
  };
  CTX_ASSIGN_OR_RETURN(tracer_, OpenTracer({.endpoint = options_.traces_endpoint,
                                            .ratio = options_.traces_ratio,
                                            .version = CurrentBuild().version,
                                            .on_error = on_error}));
  encoder_.Observe({.tracer = tracer_.get(), .log = &call_log_});
  if (tracer_ != nullptr) logger_.Info("traces", {{"ratio", absl::StrCat(options_.traces_ratio)}});
  return absl::OkStatus();
}

absl::Status Server::OpenCredentials() {
  CTX_ASSIGN_OR_RETURN(authorizer_, Authorizer::Open(options_.token_file, metrics_.access()));
  encoder_.Authorize(*authorizer_);
  reflection_.Authorize(*authorizer_);
  orca_.Authorize(*authorizer_);
  if (options_.tls.enabled()) {
    CTX_ASSIGN_OR_RETURN(certificates_, CertificateStore::Open(options_.tls));
  }
  credentials_ = std::make_unique<CredentialWatcher>(
      options_.credentials_reload_interval,
      CredentialWatcher::Context{*authorizer_, certificates_.get(), metrics_.access(), logger_});
  return absl::OkStatus();
}

absl::Status Server::ListenForProbes() {
  if (options_.health_listen.empty()) return absl::OkStatus();
  grpc::ServerBuilder builder;
  ServerOptions options = options_;
  options.connection.max_idle = options.connection.max_age = kProbeAge;
  options.connection.max_age_grace = kProbeTimeout;
  Configure(options, builder);
  builder.RegisterService(&health_);
  CTX_ASSIGN_OR_RETURN(
      probes_, GrpcListener::Start({.address = options_.health_listen,
                                    .credentials = grpc::InsecureServerCredentials(),
                                    .limits = {.total = kMaxProbes, .per_peer = kMaxProbesPerPeer},
                                    .user_timeout = kProbeTimeout},
                                   builder));
  logger_.Info("probes",
               {{"address", options_.health_listen}, {"port", absl::StrCat(probes_->port())}});
  return absl::OkStatus();
}

absl::Status Server::StartListening() {
  grpc::EnableDefaultHealthCheckService(false);
  grpc::ServerBuilder builder;
  Configure(options_, builder);
  auto credentials = certificates_ != nullptr ? certificates_->NewCredentials()
                                              : grpc::InsecureServerCredentials();
  builder.RegisterService(&encoder_);
  builder.RegisterService(&tasks_);
  builder.RegisterService(&health_);
  if (options_.reflection) {
    builder.RegisterService(reflection_.v1());
    builder.RegisterService(reflection_.v1alpha());
  }
  if (options_.load_reports) builder.RegisterService(&orca_);
  CTX_ASSIGN_OR_RETURN(listener_,
                       GrpcListener::Start({.address = options_.listen,
                                            .credentials = std::move(credentials),
                                            .limits = LimitsOf(options_.bounds),
                                            .user_timeout = options_.connection.keepalive_timeout,
                                            .metrics = &metrics_.access(),
                                            .tls = certificates_ != nullptr},
                                           builder));
  const char* transport = !options_.tls.enabled()          ? "plaintext"
                          : options_.tls.client_ca.empty() ? "tls"
                                                           : "mutual tls";
  logger_.Info("listening", {{"address", options_.listen},
                             {"port", absl::StrCat(port())},
                             {"transport", transport},
                             {"tokens", authorizer_->required() ? "required" : "none"}});
  return absl::OkStatus();
}

void Server::StartSelfProbe() {
  const absl::Duration interval = options_.connection.self_probe_interval;
  if (interval == absl::ZeroDuration()) return;
  self_probe_ = std::make_unique<SelfProbe>(SelfProbe::Options{
      .interval = interval,
      .probe = [this] { return listener_->Probe(kSelfProbeTimeout); },
      .failed = [this](const absl::Status&) { metrics_.access().RecordProbeFailure(); },
      .changed =
          [this](const absl::Status& status) {
            health_.SetLive(status.ok());
            if (status.ok()) return logger_.Info("listener_answers");
            logger_.Error("listener_deaf", {{"reason", std::string(status.message())}});
          }});
}

absl::Status Server::ExposeMetrics() {
  if (options_.metrics_listen.empty()) return absl::OkStatus();
  CTX_ASSIGN_OR_RETURN(
      exposer_,
      MetricsExposer::Start(options_.metrics_listen, {metrics_.collectable(), NewProcessCollector(),
                                                      std::make_shared<GrpcLog>(logger_)}));
  logger_.Info("metrics",
               {{"address", options_.metrics_listen}, {"port", absl::StrCat(exposer_->port())}});
  return absl::OkStatus();
}

absl::Status Server::Load(const ModelLoader& loader) {
  const absl::Time start = absl::Now();
  CTX_ASSIGN_OR_RETURN(LoadedModel loaded, loader(options_));
  LoadReporter* load_reporter = options_.load_reports ? &load_reporter_ : nullptr;
  serving_ =
      std::make_unique<Serving>(options_, threads_, loaded.engine->info().max_batch_tokens,
                                Serving::Reporting{metrics_, load_reporter, tracer_.get()});
  const auto served = MakeServedModel(options_, loaded, threads_.engine_workers);
  serving_->models.Put(served);
  batcher_ = serving_->batcher.get();
  CTX_RETURN_IF_ERROR(lifecycle_.Transition(ServerState::kServing));
  const ServedModel& model = *served;
  LogPlan(model);
  metrics_.SetModelInfo({.model = model.name,
                         .model_type = model.info.config.model_type,
                         .precision = model.info.precision,
                         .isa = model.info.isa,
                         .fingerprint = model.info.fingerprint});
  metrics_.SetAccuracy(model.info.accuracy.min_cosine, model.info.accuracy.max_difference);
  metrics_.SetWorkers(threads_.engine_workers);
  if (absl::Status parity = CheckModelParity(model); !parity.ok()) {
    if (!absl::IsFailedPrecondition(parity)) return parity;  // a mistake in the file
    logger_.Error("not_serving", {{"reason", std::string(parity.message())}});
    return absl::OkStatus();
  }
  encoder_.Serve(serving_->backend);
  SetServing(true);
  logger_.Info(absl::StrCat("serving on ", options_.listen),
               {{"port", absl::StrCat(port())},
                {"load_time",
                 absl::FormatDuration(absl::Trunc(absl::Now() - start, absl::Milliseconds(1)))}});
  return absl::OkStatus();
}

absl::Status Server::CheckModelParity(const ServedModel& model) {
  CTX_ASSIGN_OR_RETURN(const absl::optional<ParityFile> file, ReadParityFile(options_.model));
  if (!file) return absl::OkStatus();
  CTX_ASSIGN_OR_RETURN(const Parity parity, MeasureParity(*model.generation->engine, model, *file));
  metrics_.SetParity(parity.min_cosine, parity.max_error);
  logger_.Info("parity", {{"inputs", absl::StrCat(file->inputs.size())},
                          {"min_cosine", absl::StrFormat("%.7f", parity.min_cosine)},
                          {"max_error", absl::StrFormat("%.3g", parity.max_error)}});
  return CheckParity(parity, *file);
}

void Server::LogPlan(const ServedModel& model) const {
  const EngineInfo& info = model.info;
  const int64_t workspaces = static_cast<int64_t>(info.workspace_bytes) * threads_.engine_workers;
  logger_.Info("plan", {{"model", model.name},
                        {"model_type", info.config.model_type},
                        {"precision", info.precision},
                        {"precision_reason", info.precision_reason},
                        {"min_cosine_to_f32", absl::StrFormat("%.7f", info.accuracy.min_cosine)},
                        {"isa", info.isa},
                        {"engine_threads", absl::StrCat(threads_.engine_workers)},
                        {"tokenizer_threads", absl::StrCat(threads_.tokenizer_threads)},
                        {"tokenizer", model.tokenizer != nullptr ? "yes" : "no"},
                        {"max_length", absl::StrCat(info.config.max_length)},
                        {"max_text_length", absl::StrCat(info.max_text_length)},
                        {"max_batch_tokens", absl::StrCat(info.max_batch_tokens)},
                        {"max_queue_tokens", absl::StrCat(options_.queue.max_tokens)},
                        {"max_inputs_per_request", absl::StrCat(model.max_inputs_per_request)},
                        {"max_message_bytes", FormatBytes(model.max_message_bytes)},
                        {"weight_bytes", absl::StrCat(info.weight_bytes)},
                        {"workspace_bytes", absl::StrCat(workspaces)},
                        {"fingerprint", info.fingerprint}});
}

void Server::Drain() {
  if (!lifecycle_.Transition(ServerState::kDraining).ok()) return;
  logger_.Info("draining", {{"delay", absl::FormatDuration(options_.drain_delay)},
                            {"grace", absl::FormatDuration(options_.drain_grace)}});
  SetServing(false);
  absl::SleepFor(options_.drain_delay);
  ShutDown(options_.drain_grace);
  if (lifecycle_.Transition(ServerState::kStopped).ok()) logger_.Info("stopped");
}

void Server::SetServing(bool serving) {
  health_.SetServing(serving);
  metrics_.SetServing(serving);
}

void Server::ShutDown(absl::Duration grace) {
  self_probe_.reset();
  encoder_.Drain();
  orca_.Shutdown();
  reflection_.Shutdown();
  health_.Shutdown();
  const absl::Time deadline = absl::Now() + grace;
  absl::SleepFor(std::min(grace, kRefusalWindow));
  listener_->Shutdown(deadline);
  if (probes_ != nullptr) probes_->Shutdown(deadline);
  if (serving_ != nullptr) serving_->batcher->Drain();
  listener_.reset();
  probes_.reset();
}

std::shared_ptr<grpc::Channel> Server::InProcessChannel() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  return listener_->server().InProcessChannel(arguments);
}

}  // namespace contexture
