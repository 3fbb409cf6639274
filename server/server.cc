#include "server/server.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"
#include "grpcpp/health_check_service_interface.h"
#include "server/batching/sharing_batcher.h"
#include "server/flags.h"
#include "server/grpc_log.h"
#include "server/grpc_setup.h"
#include "server/metrics/model_metrics.h"
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
  if (options.admin) names.emplace_back(v1::AdminService::service_full_name());
  if (options.load_reports) {
    names.emplace_back(xds::service::orca::v3::OpenRcaService::service_full_name());
  }
  return names;
}

// The flags, besides those of models, that have other values in B than in A.
std::vector<std::string> OtherChanges(const ServerOptions& a, const ServerOptions& b) {
  std::vector<std::string> changed;
  for (const Flag& flag : FlagTable()) {
    if (flag.name == "model" || flag.name == "model-name") continue;
    if (flag.get(a) != flag.get(b)) changed.push_back(flag.name);
  }
  return changed;
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

BatcherOptions MakeBatcherOptions(const ServerOptions& options, const ThreadPlan& threads) {
  const bool chosen = options.max_batch_tokens > 0;
  return {.num_workers = threads.engine_workers,
          .intra_op_threads = threads.intra_op_threads,
          .max_batch_tokens = chosen ? options.max_batch_tokens : EngineOptions().max_batch_tokens,
          .queue = options.queue,
          .target_p99 = options.target_p99};
}

}  // namespace

// In the order of construction; the tokenizer threads, which hand over to the batcher, go before
// it, and the manager, which asks it for costs, before both.
struct Server::Serving {
  Serving(Server& server, ModelLoader loader)
      : memory(server.options_.max_call_memory),
        gate([this](TrafficClass traffic_class) {
          return memory.crowded() || batcher->crowded(traffic_class);
        }),
        batcher(MakeBatcher(server)),
        tokenizer_pool({.num_threads = server.threads_.tokenizer_threads}),
        backend{models,
                *batcher,
                tokenizer_pool,
                memory,
                gate,
                Clock::Steady(),
                server.metrics_,
                server.options_.max_inputs_per_request,
                server.options_.load_reports ? &server.load_reporter_ : nullptr},
        manager({.options = server.options_,
                 .logger = server.logger_,
                 .metrics = server.metrics_,
                 .batcher = *batcher,
                 .num_workers = server.threads_.engine_workers,
                 .loader = std::move(loader)},
                models, [&server] { server.StartServing(); }) {}

  std::unique_ptr<Batcher> MakeBatcher(Server& server) {
    BatcherOptions batcher_options = MakeBatcherOptions(server.options_, server.threads_);
    batcher_options.on_room = [this] { gate.Notify(); };
    batcher_options.tracer = server.tracer_.get();
    BatcherMetrics& metrics = server.metrics_.batcher();
    return NewSharingBatcher(NewBatcher(batcher_options, Clock::Steady(), metrics),
                             server.options_.cache_bytes, metrics);
  }

  ModelRegistry models;
  MemoryBudget memory;
  StreamGate gate;
  const std::unique_ptr<Batcher> batcher;
  TokenizerPool tokenizer_pool;
  const SharedBackend backend;
  ModelManager manager;
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
      orca_([this] { return load_reporter_.Now(waiting()); }),
      admin_(Clock::Steady(), metrics_) {}

Server::~Server() {
  // Also when the start failed between the two.
  if (listener_ != nullptr || probes_ != nullptr) ShutDown(absl::ZeroDuration());
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
  const Telemetry telemetry{.tracer = tracer_.get(), .log = &call_log_};
  encoder_.Observe(telemetry);
  admin_.Observe(telemetry);
  if (tracer_ != nullptr) logger_.Info("traces", {{"ratio", absl::StrCat(options_.traces_ratio)}});
  return absl::OkStatus();
}

absl::Status Server::OpenCredentials() {
  CTX_ASSIGN_OR_RETURN(authorizer_, Authorizer::Open(options_.token_file, metrics_.access()));
  encoder_.Authorize(*authorizer_);
  reflection_.Authorize(*authorizer_);
  orca_.Authorize(*authorizer_);
  admin_.Authorize(*authorizer_);
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
  if (options_.admin) builder.RegisterService(&admin_);
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

absl::Status Server::Load(ModelLoader loader) {
  const absl::Time start = absl::Now();
  CTX_ASSIGN_OR_RETURN(const std::vector<ModelSource> sources, ModelSources(options_));
  serving_ = std::make_unique<Serving>(*this, std::move(loader));
  batcher_ = serving_->batcher.get();
  CTX_ASSIGN_OR_RETURN(const bool ready, serving_->manager.Start(sources));
  CTX_RETURN_IF_ERROR(lifecycle_.Transition(ServerState::kServing));
  metrics_.SetWorkers(threads_.engine_workers);
  admin_.Serve(serving_->manager);
  if (!ready) return absl::OkStatus();
  StartServing();
  logger_.Info(absl::StrCat("serving on ", options_.listen),
               {{"port", absl::StrCat(port())},
                {"load_time",
                 absl::FormatDuration(absl::Trunc(absl::Now() - start, absl::Milliseconds(1)))}});
  return absl::OkStatus();
}

void Server::StartServing() {
  if (lifecycle_.state() != ServerState::kServing) return;
  encoder_.Serve(serving_->backend);
  SetServing(true);
}

void Server::Reload(const ServerOptions& options, ModelManager::AppliedDone done) {
  const std::vector<std::string> others = OtherChanges(options_, options);
  if (!others.empty()) {
    logger_.Warning("restart_needed", {{"changed", absl::StrJoin(others, ", ")}});
  }
  auto sources = ModelSources(options);
  if (!sources.ok()) return std::move(done)(sources.status());
  serving_->manager.Apply(*std::move(sources), std::move(done));
}

void Server::RecordConfigFailure() { metrics_.models().RecordConfigFailure(); }

bool Server::loading() const { return serving_ != nullptr && serving_->manager.busy(); }

QueueRecord Server::waiting() const {
  const Batcher* batcher = batcher_;
  return batcher != nullptr ? batcher->waiting() : QueueRecord();
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
  encoder_.Drain();  // first: health says already that nothing is taken, and the others may block
  self_probe_.reset();
  if (serving_ != nullptr) serving_->manager.Stop();
  orca_.Shutdown();
  reflection_.Shutdown();
  health_.Shutdown();
  const absl::Time deadline = absl::Now() + grace;
  absl::SleepFor(std::min(grace, kRefusalWindow));
  if (listener_ != nullptr) listener_->Shutdown(deadline);
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
