#pragma once

#include <atomic>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/channel.h"
#include "server/connections/grpc_listener.h"
#include "server/connections/self_probe.h"
#include "server/lifecycle.h"
#include "server/log.h"
#include "server/metrics/exposer.h"
#include "server/metrics/process_collector.h"
#include "server/metrics/registry.h"
#include "server/model_loader.h"
#include "server/model_manager.h"
#include "server/options.h"
#include "server/security/authorizer.h"
#include "server/security/credential_watcher.h"
#include "server/security/transport.h"
#include "server/services/admin_service.h"
#include "server/services/call_log.h"
#include "server/services/encoder_service.h"
#include "server/services/health_service.h"
#include "server/services/orca_service.h"
#include "server/services/reflection_service.h"
#include "server/services/task_service.h"
#include "server/thread_plan.h"
#include "server/tracing/tracer.h"

namespace contexture {

// The assembly: owns every part and the order in which they come and go. It listens before the
// model is loaded, so that probes get an answer while it loads. Bind, Load and Drain are called in
// this order, from one thread.
class Server {
 public:
  // What the server takes from outside; both outlive it.
  struct Context {
    Logger& logger;
    Lifecycle& lifecycle;
  };

  // Listens; health says NOT_SERVING and calls are answered with UNAVAILABLE. Also starts /metrics.
  // UNAVAILABLE: an address cannot be listened on; NOT_FOUND, INVALID_ARGUMENT: credentials that
  // cannot be read.
  static absl::StatusOr<std::unique_ptr<Server>> Bind(const ServerOptions& options,
                                                      const Context& context);
  ~Server();  // drains when nobody did
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Loads the models and serves them. Blocks for seconds. LOADER's codes, those of ModelSources and
  // CheckMemory; FAILED_PRECONDITION: a stop was requested meanwhile. While a model does not give
  // the vectors of its contexture_parity.json nothing is served: health stays NOT_SERVING, and
  // calls are answered with UNAVAILABLE, until a reload succeeds.
  absl::Status Load(ModelLoader loader = LoadModel);

  // Makes the models those of OPTIONS, see ModelManager::Apply; of all else in OPTIONS what differs
  // from the options of Bind is logged, and holds from the next start on. After Load; never blocks.
  // DONE is called once, from any thread.
  void Reload(const ServerOptions& options, ModelManager::AppliedDone done);

  // Ends well: health NOT_SERVING, the drain delay, no new work, everything admitted answered,
  // streams ended. Blocks for at most the delay plus the grace, and the computation of batches that
  // have begun.
  void Drain();

  // The configuration could not be read again.
  void RecordConfigFailure();
  // Whether a model is being loaded, which cannot be stopped.
  bool loading() const;
  // What waits for a worker; nothing before Load.
  QueueRecord waiting() const;

  int port() const { return listener_->port(); }       // of the gRPC listener
  int health_port() const { return probes_->port(); }  // only with --health-listen
  std::shared_ptr<grpc::Channel> InProcessChannel();

 private:
  struct Serving;  // what exists from Load on

  Server(const ServerOptions& options, const Context& context);
  absl::Status OpenTelemetry();
  absl::Status OpenCredentials();
  absl::Status StartListening();
  absl::Status ListenForProbes();
  void StartSelfProbe();
  absl::Status ExposeMetrics();
  void SetServing(bool serving);
  void StartServing();
  void ShutDown(absl::Duration grace);

  const ServerOptions options_;
  Logger& logger_;
  Lifecycle& lifecycle_;
  const ThreadPlan threads_;
  ServerMetrics metrics_;
  std::unique_ptr<Tracer> tracer_;  // null: off
  CallLog call_log_;
  HealthService health_;
  ReflectionService reflection_;
  std::unique_ptr<Authorizer> authorizer_;
  EncoderService encoder_;
  TaskService tasks_{encoder_};
  LoadReporter load_reporter_;
  OrcaService orca_;
  AdminService admin_;
  std::atomic<const Batcher*> batcher_{nullptr};  // from Load on
  std::unique_ptr<Serving> serving_;
  std::unique_ptr<MetricsExposer> exposer_;         // null: --metrics-listen is empty
  std::unique_ptr<CertificateStore> certificates_;  // null: plain text
  std::unique_ptr<CredentialWatcher> credentials_;
  std::unique_ptr<GrpcListener> probes_;  // null: --health-listen is empty
  std::unique_ptr<GrpcListener> listener_;
  std::unique_ptr<SelfProbe> self_probe_;  // last: goes first; null: off
};

}  // namespace contexture
