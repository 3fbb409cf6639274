#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "core/base/status_macros.h"
#include "server/flag_values.h"
#include "server/flags.h"

namespace contexture {
namespace {

constexpr int64_t kMaxThreads = 1024;
constexpr int64_t kMaxMessage = int64_t{1} << 30;  // protobuf and gRPC count messages in 31 bits
constexpr int64_t kMaxTokens = 1 << 20;

// Access<T>: where a flag's value lies in the options; `ServerOptions&` in, `T&` out.
template <typename T>
using Access = T& (*)(ServerOptions&);

template <typename T>
T Get(Access<T> access, const ServerOptions& options) {
  return access(const_cast<ServerOptions&>(options));  // only reads
}

Flag StringFlag(std::string name, std::string help, Access<std::string> access) {
  return {std::move(name), std::move(help),
          [access](const std::string& value, ServerOptions& options) {
            access(options) = value;
            return absl::OkStatus();
          },
          [access](const ServerOptions& options) { return Get(access, options); }};
}

Flag ListFlag(Flag flag) {
  flag.is_list = true;
  return flag;
}

// The parser gives an absl::StatusOr<T>; `format` writes what the parser reads.
template <typename T, typename Parse, typename Format>
Flag TypedFlag(std::string name, std::string help, Access<T> access, Parse parse, Format format) {
  return {std::move(name), std::move(help),
          [access, parse](const std::string& value, ServerOptions& options) -> absl::Status {
            CTX_ASSIGN_OR_RETURN(auto parsed, parse(value));
            access(options) = static_cast<T>(parsed);
            return absl::OkStatus();
          },
          [access, format](const ServerOptions& options) { return format(Get(access, options)); }};
}

struct Range {
  int64_t min, max;
};

template <typename T>
Flag NumberFlag(std::string name, std::string help, Access<T> access, Range range) {
  return TypedFlag<T>(
      std::move(name), std::move(help), access,
      [range](const std::string& value) { return ParseNumber(value, range.min, range.max); },
      [](T value) { return absl::StrCat(value); });
}

template <typename T>
Flag BytesFlag(std::string name, std::string help, Access<T> access, int64_t max, int64_t min = 1) {
  return TypedFlag<T>(
      std::move(name), std::move(help), access,
      [max, min](const std::string& value) { return ParseBytes(value, max, min); },
      [](T value) { return FormatBytes(value); });
}

Flag TimeFlag(std::string name, std::string help, Access<absl::Duration> access) {
  return TypedFlag<absl::Duration>(
      std::move(name), std::move(help), access,
      [](const std::string& value) { return ParseTimeSpan(value); },
      [](absl::Duration value) { return absl::FormatDuration(value); });
}

Flag AddressFlag(std::string name, std::string help, Access<std::string> access,
                 bool may_be_empty) {
  return TypedFlag<std::string>(
      std::move(name), std::move(help), access,
      [may_be_empty](const std::string& value) -> absl::StatusOr<std::string> {
        if (value.empty() && may_be_empty) return value;
        return ParseAddress(value);
      },
      [](const std::string& value) { return value; });
}

// An address of TCP, or unix:PATH.
Flag ListenFlag(std::string name, std::string help, Access<std::string> access) {
  return TypedFlag<std::string>(
      std::move(name), std::move(help), access,
      [](const std::string& value) -> absl::StatusOr<std::string> {
        if (absl::StartsWith(value, "unix:")) return value;
        return ParseAddress(value);
      },
      [](const std::string& value) { return value; });
}

Flag BoolFlag(std::string name, std::string help, Access<bool> access) {
  return TypedFlag<bool>(
      std::move(name), std::move(help), access,
      [](const std::string& value) { return ParseBool(value); },
      [](bool value) { return std::string(value ? "true" : "false"); });
}

absl::StatusOr<absl::optional<Precision>> ParsePrecisionOrAuto(const std::string& value) {
  if (value == "auto") return absl::optional<Precision>();
  auto precision = ParsePrecision(value);
  if (precision.ok()) return absl::optional<Precision>(*precision);
  return absl::InvalidArgumentError(absl::StrCat(precision.status().message(), "; or auto"));
}

Flag PrecisionFlag() {
  using Value = absl::optional<Precision>;
  return TypedFlag<Value>(
      "precision",
      "f32: exact; f32-split: needs AMX; bf16: faster, needs AMX or AVX-512 BF16; int8: faster "
      "still and less exact, needs AVX-512 VNNI; auto: bf16 where the CPU computes it and the "
      "model keeps a cosine of 0.9999 to f32, else f32",
      [](ServerOptions& o) -> Value& { return o.precision; }, ParsePrecisionOrAuto,
      [](Value value) { return value ? std::string(Name(*value)) : std::string("auto"); });
}

absl::StatusOr<LogFormat> ParseLogFormat(const std::string& value) {
  if (value == "text") return LogFormat::kText;
  if (value == "json") return LogFormat::kJson;
  return absl::InvalidArgumentError(absl::StrFormat("'%s' is neither text nor json", value));
}

constexpr std::pair<const char*, Severity> kLevels[] = {
    {"info", Severity::kInfo}, {"warning", Severity::kWarning}, {"error", Severity::kError}};

absl::StatusOr<Severity> ParseLevel(const std::string& value) {
  for (const auto& [name, severity] : kLevels) {
    if (value == name) return severity;
  }
  return absl::InvalidArgumentError(absl::StrFormat("'%s' is none of info, warning, error", value));
}

absl::StatusOr<double> ParseRatio(const std::string& value) {
  double ratio = 0;
  if (absl::SimpleAtod(value, &ratio) && ratio >= 0 && ratio <= 1) return ratio;
  return absl::InvalidArgumentError(absl::StrFormat("'%s' is no number from 0 to 1", value));
}

std::vector<Flag> TelemetryFlags() {
  return {
      TypedFlag<LogFormat>(
          "log-format", "Lines on standard error: text or json",
          [](ServerOptions& o) -> LogFormat& { return o.log_format; }, ParseLogFormat,
          [](LogFormat value) { return std::string(value == LogFormat::kText ? "text" : "json"); }),
      TypedFlag<Severity>(
          "log-level", "Least severe lines that are written: info, warning or error",
          [](ServerOptions& o) -> Severity& { return o.log_level; }, ParseLevel,
          [](Severity value) { return std::string(kLevels[static_cast<int>(value)].first); }),
      TimeFlag("slow-call", "A call that takes longer is logged; 0: none",
               [](ServerOptions& o) -> absl::Duration& { return o.slow_call; }),
      StringFlag(
          "traces-endpoint",
          "OpenTelemetry collector for traces, OTLP over gRPC: http://HOST:PORT or https://; "
          "empty: off",
          [](ServerOptions& o) -> std::string& { return o.traces_endpoint; }),
      TypedFlag<double>(
          "traces-ratio", "Share of the calls without a traced caller that are traced, 0 to 1",
          [](ServerOptions& o) -> double& { return o.traces_ratio; }, ParseRatio,
          [](double value) { return absl::StrCat(value); }),
  };
}

std::vector<Flag> ModelFlags() {
  return {
      ListFlag(StringFlag(
          "model",
          "Model directory (config.json, model.safetensors, tokenizer.json), or NAME=DIRECTORY; "
          "given several times, the first is what requests without a name get; needed",
          [](ServerOptions& o) -> std::string& { return o.model; })),
      TimeFlag("config-reload-interval",
               "How often the --config file is looked at for other models; 0: only at SIGHUP",
               [](ServerOptions& o) -> absl::Duration& { return o.config_reload_interval; }),
      StringFlag("model-name",
                 "Name of the first model that requests may give; empty: its directory's own name",
                 [](ServerOptions& o) -> std::string& { return o.model_name; }),
      PrecisionFlag(),
      StringFlag(
          "calibration",
          "For int8: file with typical texts or JSON arrays of token ids, one a line, or what "
          "`contexture model calibrate` wrote; empty: what lies beside the model, else a built-in "
          "sample of texts",
          [](ServerOptions& o) -> std::string& { return o.calibration; }),
      NumberFlag<int>("threads", "Threads that compute; 0: the cores this process is granted",
                      [](ServerOptions& o) -> int& { return o.threads; }, {0, kMaxThreads}),
      NumberFlag<int>("intra-op-threads",
                      "Threads that may compute one batch together while nothing waits; 1: none do",
                      [](ServerOptions& o) -> int& { return o.intra_op_threads; },
                      {1, kMaxThreads}),
      NumberFlag<int>("tokenizer-threads", "Threads that tokenize; 0: a quarter of the cores",
                      [](ServerOptions& o) -> int& { return o.tokenizer_threads; },
                      {0, kMaxThreads}),
  };
}

std::vector<Flag> LimitFlags() {
  return {
      NumberFlag<int>("max-batch-tokens", "Tokens of one batch; 0: the engine's own default",
                      [](ServerOptions& o) -> int& { return o.max_batch_tokens; }, {0, kMaxTokens}),
      NumberFlag<int>(
          "max-sequence-tokens",
          "Tokens of one input; each thread holds memory for so many; 0: what the model takes",
          [](ServerOptions& o) -> int& { return o.max_sequence_tokens; }, {0, kMaxTokens}),
      NumberFlag<int64_t>("max-queue-tokens", "Tokens that may wait; past it requests are refused",
                          [](ServerOptions& o) -> int64_t& { return o.queue.max_tokens; },
                          {1, int64_t{1} << 40}),
      NumberFlag<int>(
          "interactive-share",
          "Percent of the tokens computed for interactive requests while bulk ones wait",
          [](ServerOptions& o) -> int& { return o.queue.interactive_share; }, {1, 99}),
      NumberFlag<int>("tenant-queue-share", "Percent of the queue that one tenant may fill",
                      [](ServerOptions& o) -> int& { return o.queue.tenant_share; }, {1, 100}),
      TimeFlag("target-p99",
               "Batches shrink until 99 of 100 interactive inputs are done within this; 0: off",
               [](ServerOptions& o) -> absl::Duration& { return o.target_p99; }),
      TimeFlag("ageing", "A request waits for no request that arrives this much later",
               [](ServerOptions& o) -> absl::Duration& { return o.queue.ageing; }),
      NumberFlag<int>("max-inputs-per-request", "Inputs of one request",
                      [](ServerOptions& o) -> int& { return o.max_inputs_per_request; },
                      {1, 1 << 20}),
      BytesFlag<int64_t>(
          "max-message-bytes", "Size of a request and of an answer",
          [](ServerOptions& o) -> int64_t& { return o.max_message_bytes; }, kMaxMessage),
      BytesFlag<int64_t>(
          "max-call-memory",
          "Memory of the requests and answers of all calls; past it calls are refused",
          [](ServerOptions& o) -> int64_t& { return o.max_call_memory; }, int64_t{1} << 50),
      BytesFlag<int64_t>(
          "cache-bytes", "Memory for the vectors of inputs that may come again; 0: off",
          [](ServerOptions& o) -> int64_t& { return o.cache_bytes; }, int64_t{1} << 50, 0),
      BytesFlag<int64_t>(
          "max-text-bytes", "Size of one text",
          [](ServerOptions& o) -> int64_t& { return o.max_text_bytes; }, kMaxMessage),
      TimeFlag("default-deadline", "For calls that give no deadline; 0: they may wait for ever",
               [](ServerOptions& o) -> absl::Duration& { return o.default_deadline; }),
  };
}

std::vector<Flag> ServingFlags() {
  return {
      ListenFlag("listen",
                 "Address of the gRPC server, or unix:PATH; port 0: any free one. Other machines "
                 "need --tls-certificate or --allow-plaintext",
                 [](ServerOptions& o) -> std::string& { return o.listen; }),
      AddressFlag(
          "health-listen",
          "Address of health alone, in plain text and without token, for probes; empty: off",
          [](ServerOptions& o) -> std::string& { return o.health_listen; },
          /*may_be_empty=*/true),
      AddressFlag(
          "metrics-listen", "Address of /metrics for Prometheus; empty: off",
          [](ServerOptions& o) -> std::string& { return o.metrics_listen; },
          /*may_be_empty=*/true),
      TimeFlag("drain-grace", "What admitted work gets to finish after SIGTERM",
               [](ServerOptions& o) -> absl::Duration& { return o.drain_grace; }),
      TimeFlag("drain-delay", "How long work is still taken after health says NOT_SERVING",
               [](ServerOptions& o) -> absl::Duration& { return o.drain_delay; }),
      BoolFlag("reflection", "Serve gRPC reflection, v1 and v1alpha; with tokens: to those for it",
               [](ServerOptions& o) -> bool& { return o.reflection; }),
      BoolFlag("load-reports", "Tell load balancers how busy the server is (ORCA)",
               [](ServerOptions& o) -> bool& { return o.load_reports; }),
  };
}

std::vector<Flag> SecurityFlags() {
  return {
      StringFlag("tls-certificate", "PEM file of the server's certificate chain; empty: no TLS",
                 [](ServerOptions& o) -> std::string& { return o.tls.certificate; }),
      StringFlag("tls-key", "PEM file of the certificate's private key",
                 [](ServerOptions& o) -> std::string& { return o.tls.key; }),
      StringFlag("tls-client-ca",
                 "PEM file of the authority whose certificates clients must have; empty: none",
                 [](ServerOptions& o) -> std::string& { return o.tls.client_ca; }),
      BoolFlag("allow-plaintext", "Take unencrypted connections from other machines",
               [](ServerOptions& o) -> bool& { return o.allow_plaintext; }),
      BoolFlag(
          "admin",
          "Serve contexture.v1.AdminService, which loads and unloads models; needs --token-file "
          "where other machines reach --listen",
          [](ServerOptions& o) -> bool& { return o.admin; }),
      StringFlag("token-file",
                 "File of the SHA-256 of bearer tokens, of which callers need one; empty: none",
                 [](ServerOptions& o) -> std::string& { return o.token_file; }),
      TimeFlag("credentials-reload-interval",
               "How often certificates and tokens are looked at for new ones",
               [](ServerOptions& o) -> absl::Duration& { return o.credentials_reload_interval; }),
  };
}

std::vector<Flag> BoundsFlags() {
  return {
      NumberFlag<int>("max-connections", "Open connections; more are closed; 0: no bound",
                      [](ServerOptions& o) -> int& { return o.bounds.total; }, {0, 1 << 20}),
      NumberFlag<int>("max-connections-per-peer",
                      "Open connections of one address; more are closed; 0: no bound",
                      [](ServerOptions& o) -> int& { return o.bounds.per_peer; }, {0, 1 << 20}),
      NumberFlag<int>(
          "max-accepts-per-second", "Connections taken each second; more wait; 0: no bound",
          [](ServerOptions& o) -> int& { return o.bounds.accepts_per_second; }, {0, 1 << 20}),
  };
}

std::vector<Flag> ConnectionFlags() {
  return {
      TimeFlag("connection-max-idle", "A connection without calls is closed after this; 0: never",
               [](ServerOptions& o) -> absl::Duration& { return o.connection.max_idle; }),
      TimeFlag("connection-max-age",
               "A connection is closed after this, so that clients spread anew; 0: never",
               [](ServerOptions& o) -> absl::Duration& { return o.connection.max_age; }),
      TimeFlag("connection-max-age-grace", "What calls get to finish after the maximum age",
               [](ServerOptions& o) -> absl::Duration& { return o.connection.max_age_grace; }),
      TimeFlag("keepalive-time", "A silent peer is pinged after this; 0: never",
               [](ServerOptions& o) -> absl::Duration& { return o.connection.keepalive_time; }),
      TimeFlag("keepalive-timeout", "A peer that does not answer a ping is dropped after this",
               [](ServerOptions& o) -> absl::Duration& { return o.connection.keepalive_timeout; }),
      TimeFlag("min-ping-interval", "A client that pings more often is cut off",
               [](ServerOptions& o) -> absl::Duration& { return o.connection.min_ping_interval; }),
      TimeFlag("handshake-timeout", "A peer must have spoken HTTP/2 by then",
               [](ServerOptions& o) -> absl::Duration& { return o.connection.handshake_timeout; }),
      TimeFlag(
          "self-probe-interval",
          "How often the server connects to itself; 3 failures in a row end liveness; 0: never",
          [](ServerOptions& o) -> absl::Duration& { return o.connection.self_probe_interval; }),
      NumberFlag<int>("max-streams-per-connection", "Calls at a time on one connection",
                      [](ServerOptions& o) -> int& { return o.connection.max_streams; },
                      {1, 1 << 20}),
      BytesFlag<int>(
          "max-metadata-bytes", "Size of a call's metadata",
          [](ServerOptions& o) -> int& { return o.connection.max_metadata_bytes; }, 1 << 20),
  };
}

}  // namespace

absl::Span<const Flag> FlagTable() {
  static const std::vector<Flag>& table = *[] {
    auto* flags = new std::vector<Flag>;
    for (auto group : {ModelFlags, ServingFlags, LimitFlags, ConnectionFlags, BoundsFlags,
                       SecurityFlags, TelemetryFlags}) {
      for (Flag& flag : group()) flags->push_back(std::move(flag));
    }
    return flags;
  }();
  return table;
}

std::string Flag::EnvironmentName() const {
  return absl::StrCat("CONTEXTURE_",
                      absl::AsciiStrToUpper(absl::StrReplaceAll(name, {{"-", "_"}})));
}

}  // namespace contexture
