#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/engine/engine.h"
#include "server/batching/task_queue.h"

namespace contexture {

enum class LogFormat { kText, kJson };
// Of a line of the log; a log leaves out those below its level.
enum class Severity { kInfo, kWarning, kError };

// How long connections live. Defaults of gRPC itself are infinite, which keeps clients on old
// servers and dead peers for hours.
struct ConnectionOptions {
  // A connection without calls is closed. 15 min: dead clients go, busy ones never notice.
  absl::Duration max_idle = absl::Minutes(15);
  // A connection is closed after this long, so that clients resolve again and spread over new
  // servers.
  absl::Duration max_age = absl::Minutes(30);
  // What calls get to finish after max_age.
  absl::Duration max_age_grace = absl::Seconds(60);
  // A silent peer is pinged after keepalive_time and dropped when it does not answer in
  // keepalive_timeout.
  absl::Duration keepalive_time = absl::Seconds(60);
  absl::Duration keepalive_timeout = absl::Seconds(20);
  // A client that pings more often than this is cut off. Lower it for clients behind impatient
  // proxies.
  absl::Duration min_ping_interval = absl::Seconds(10);
  // A peer must have spoken HTTP/2 by then. gRPC's own 120 s let silent peers hold sockets.
  absl::Duration handshake_timeout = absl::Seconds(5);
  // Calls at a time on one connection; a client's further calls wait or take another connection.
  int max_streams = 256;
  int max_metadata_bytes = 16 << 10;
  // How often the server connects to itself; zero: never. Three failures in a row make liveness
  // NOT_SERVING, so this is a third of the time until a deaf server is started anew.
  absl::Duration self_probe_interval = absl::Seconds(5);
};

// Bounds on connections, of all peers and of one (an IPv4 address or an IPv6 /64); 0: none.
struct ConnectionBounds {
  // Each takes two file descriptors and, when it is idle, about 60 KB.
  int total = 4096;
  // High enough for many clients behind one proxy, low enough that one client cannot take all.
  int per_peer = 1024;
  // Connections taken each second; more wait. A TLS handshake costs about a millisecond.
  int accepts_per_second = 1000;
};

// Files in PEM. Without a certificate the server speaks plain text.
struct TlsOptions {
  std::string certificate = "";  // chain, the server's own first
  std::string key = "";
  std::string client_ca = "";  // not empty: clients must present a certificate of this authority

  bool enabled() const { return !certificate.empty(); }
};

struct ServerOptions {
  std::string model;       // directories, with or without names, see ModelSources; needed
  std::string model_name;  // of the first; empty: the last part of its directory's path
  // How often the --config file is looked at for other models; zero: only at SIGHUP. 10 s: as
  // credentials, for the same reason.
  absl::Duration config_reload_interval = absl::Seconds(10);
  // The loopback: a server that others can reach is to be meant, see CheckTransport.
  std::string listen = "127.0.0.1:50051";
  // Not empty: health alone, in plain text and without a token, for probes that can do neither.
  std::string health_listen;
  std::string metrics_listen = "0.0.0.0:9090";  // empty: no metrics are served

  // absl::nullopt: automatic, see EngineOptions. Default: exactness.
  absl::optional<Precision> precision = Precision::kFloat32;
  // See EngineOptions; for int8. Default: what needs no file.
  std::string calibration;
  int threads = 0;  // engine workers; 0: the granted cores
  // See BatcherOptions. Default: past it the parts of a batch of usual models are short beside the
  // handing over.
  int intra_op_threads = 8;
  int tokenizer_threads = 0;  // 0: a quarter of the granted cores, at least 1

  // See BatcherOptions; 0: the engine's own default.
  int max_batch_tokens = 0;
  int max_sequence_tokens = 0;
  QueueOptions queue;
  // See SchedulerOptions. Default: off, for the most throughput.
  absl::Duration target_p99 = absl::ZeroDuration();

  int max_inputs_per_request = 1024;
  int64_t max_message_bytes = int64_t{64} << 20;  // of requests and of answers
  // What the requests and answers of all calls may hold together: many times the largest of them.
  int64_t max_call_memory = int64_t{1} << 30;
  // Memory for the results of earlier inputs, see NewSharingBatcher. 0: none are kept; whether
  // repeated inputs are worth the memory is known to you alone.
  int64_t cache_bytes = 0;
  int64_t max_text_bytes = int64_t{1} << 20;  // see ServedModel
  // For calls without deadline; zero: they may wait for ever.
  absl::Duration default_deadline = absl::Seconds(30);

  // What admitted work gets to finish after SIGTERM; then it is cancelled.
  absl::Duration drain_grace = absl::Seconds(30);
  // Work is still taken this long after health says NOT_SERVING. Raise it to what your load
  // balancer needs to notice.
  absl::Duration drain_delay = absl::ZeroDuration();

  bool reflection = true;
  // AdminService: whoever may call it can load any directory of this machine. Off: few need it, and
  // SIGHUP does the same.
  bool admin = false;
  // Load reports for balancers (ORCA): a trailer of each call, and a service. Off: only balancers
  // that weigh servers read them, and they tell callers how busy the server is.
  bool load_reports = false;
  ConnectionOptions connection;
  ConnectionBounds bounds;

  TlsOptions tls;
  bool allow_plaintext = false;  // on addresses that other machines reach
  std::string token_file;        // see TokenSet; not empty: callers need a token
  // How often certificate, key, authority and tokens are looked at. Kubernetes takes a minute to
  // bring a new secret, so this need not be short.
  absl::Duration credentials_reload_interval = absl::Seconds(10);
  LogFormat log_format = LogFormat::kText;
  Severity log_level = Severity::kInfo;
  // A call that takes longer is logged; zero: none is. Default: longer than anybody waits for.
  absl::Duration slow_call = absl::Seconds(5);

  // See TracerOptions.
  std::string traces_endpoint;
  // One in a hundred calls costs nothing that can be measured and shows what calls are like.
  double traces_ratio = 0.01;
};

}  // namespace contexture
