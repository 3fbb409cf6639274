#include "client/cli/bench_load.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/inputs.h"
#include "client/cli/load_report.h"
#include "client/cli/picture.h"
#include "core/base/status_macros.h"
#include "core/model/token_sequences.h"

namespace contexture::cli {
namespace {

// Texts of one call that counts their tokens: far below any server's --max-inputs-per-request.
constexpr size_t kTokenizeTexts = 64;

struct RequestFiles {
  std::string& sequences;
  std::string& texts;
};

void AddRequestOptions(CLI::App& app, RequestPlan& plan, std::string& lengths,
                       const RequestFiles& files) {
  app.add_option("--model", plan.model, "name of the model (default: the server's default)");
  auto* file = app.add_option("--sequences", files.sequences,
                              "file: one JSON array of token ids a line, sent in turn");
  auto* texts =
      app.add_option("--texts", files.texts, "file: one text a line, sent in turn")->excludes(file);
  app.add_option("--lengths", lengths,
                 "of random token ids: fixed:N, uniform:MIN:MAX or lognormal:MEDIAN:SIGMA:MIN:MAX")
      ->excludes(file)
      ->excludes(texts)
      ->capture_default_str();
  app.add_option("--inputs", plan.inputs_per_request, "inputs of one request")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  app.add_option("--seed", plan.seed, "of lengths, ids, arrivals and classes")
      ->capture_default_str();
}

}  // namespace

void BenchLoad::AddOptions(CLI::App& app) {
  auto* rate = app.add_option("--rate", rates_,
                              "requests a second, however slow the server (open loop); several, as "
                              "100,200,400, are measured one after another")
                   ->delimiter(',')
                   ->check(CLI::Range(0.001, 1e6));
  app.add_option("--concurrency", concurrency_,
                 "so many calls at a time instead (closed loop): a slow server is asked less")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 20))
      ->excludes(rate);
  app.add_option("--arrivals", arrivals_, "of --rate: poisson or constant")
      ->check(CLI::IsMember({"poisson", "constant"}))
      ->capture_default_str();
  app.add_option("--max-in-flight", max_in_flight_, "of --rate: requests at a time; more wait here")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--deadline-ms", deadline_ms_,
                 "of each request, from when it is due (default: none)")
      ->check(CLI::Range(0.1, 1e7));
  app.add_option("--mix", mix_, "classes of traffic and their shares, as interactive:0.8,bulk:0.2");
  app.add_option("--cancel", cancel_,
                 "SHARE:MS: this share of the callers leaves so long after a request was due");
  app.add_option("--tenant", step_.tenant, "who asks");
  AddRequestOptions(app, plan_, lengths_, {sequences_, texts_});
  app.add_flag(
      "--retry", retry_,
      "send calls that no server took again, as the client library does; else each counts");
  app.add_option("--connections", connections_, "HTTP/2 connections to each server, used in turn")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--seconds", seconds_, "time to measure, for each rate")
      ->check(CLI::Range(0.01, 86400.0))
      ->capture_default_str();
  app.add_option("--warm-up", warm_up_seconds_, "seconds of load before that")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  app.add_option("--plot", plot_, "also draw latency and throughput to a .png or .svg file");
  app.add_flag("--json", json_, "one JSON object a line for each rate");
}

absl::Status BenchLoad::Resolve(Terminal& terminal) {
  if (rates_.empty() == concurrency_.empty()) {
    return absl::InvalidArgumentError("bench load needs --rate or --concurrency");
  }
  if (!plot_.empty()) CTX_RETURN_IF_ERROR(CheckPicturePath(plot_));
  if (!mix_.empty()) {
    CTX_ASSIGN_OR_RETURN(step_.classes, ParseMix(mix_));
  }
  if (!cancel_.empty()) {
    CTX_ASSIGN_OR_RETURN(step_.leavers, ParseLeavers(cancel_));
  }
  CTX_ASSIGN_OR_RETURN(plan_.lengths, ParseLengths(lengths_));
  if (!sequences_.empty()) {
    CTX_ASSIGN_OR_RETURN(plan_.sequences, ReadTokenSequences(sequences_));
  }
  if (!texts_.empty()) {
    CTX_ASSIGN_OR_RETURN(const std::vector<std::string> texts,
                         ReadTexts({.texts = {}, .file = texts_, .ids = {}}, terminal));
    for (const std::string& text : texts) plan_.texts.push_back({text, 0});
  }
  step_.arrivals = arrivals_ == "constant" ? Arrivals::kConstant : Arrivals::kPoisson;
  if (deadline_ms_ > 0) step_.deadline = absl::Milliseconds(deadline_ms_);
  step_.warm_up = absl::Seconds(warm_up_seconds_);
  step_.duration = absl::Seconds(seconds_);
  step_.seed = plan_.seed;
  return absl::OkStatus();
}

absl::Status BenchLoad::CountTokens(client::EncoderClient& client) {
  for (size_t begin = 0; begin < plan_.texts.size(); begin += kTokenizeTexts) {
    const size_t end = std::min(plan_.texts.size(), begin + kTokenizeTexts);
    v1::TokenizeRequest request;
    request.set_model(plan_.model);
    request.set_add_special_tokens(true);
    for (size_t i = begin; i < end; ++i) request.add_texts(plan_.texts[i].text);
    CTX_ASSIGN_OR_RETURN(const v1::TokenizeResponse response, client.Tokenize(request));
    if (response.tokens_size() != request.texts_size()) {
      return absl::InternalError(absl::StrCat("the server answered ", response.tokens_size(),
                                              " of ", request.texts_size(), " texts"));
    }
    for (size_t i = begin; i < end; ++i) {
      plan_.texts[i].tokens = response.tokens(static_cast<int>(i - begin)).tokens_size();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PlannedRequest>> BenchLoad::Prepare(client::EncoderClient& client) {
  CTX_RETURN_IF_ERROR(CountTokens(client));
  if (plan_.sequences.empty() && plan_.texts.empty()) {
    v1::GetModelRequest request;
    request.set_model(plan_.model);
    CTX_ASSIGN_OR_RETURN(const v1::Model model, client.GetModel(request));
    plan_.vocabulary_size = model.vocabulary_size();
    if (plan_.vocabulary_size == 0) return absl::InternalError("a model without a vocabulary");
  }
  return MakeRequests(plan_);
}

std::vector<LoadStep> BenchLoad::Steps() const {
  std::vector<LoadStep> steps;
  for (double rate : rates_) {
    steps.push_back(step_);
    steps.back().rate = rate;
    steps.back().max_in_flight = max_in_flight_;
  }
  for (int calls : concurrency_) {
    steps.push_back(step_);
    steps.back().max_in_flight = calls;
  }
  return steps;
}

ExitCode BenchLoad::Run(const Session& session) {
  const absl::Status resolved = Resolve(session.terminal);
  if (!resolved.ok()) return session.UserMistake(resolved.message());
  const auto requests = Prepare(session.client);
  if (!requests.ok()) return session.ServerError(requests.status());
  absl::StatusOr<LoadGenerator> generator =
      LoadGenerator::Connect(session.client.options(), connections_, retry_);
  if (!generator.ok()) return session.ServerError(generator.status());
  std::ostream& out = session.terminal.out;
  std::vector<LoadReport> reports;
  if (!json_) PrintLoadHead(out);
  for (const LoadStep& step : Steps()) {
    reports.push_back({step, generator->Run(step, *requests)});
    if (json_) {
      out << ToJson(reports.back()).dump() << "\n";
    } else {
      PrintLoadRow(reports.back(), out);
    }
    out.flush();  // a sweep takes minutes
  }
  if (plot_.empty()) return ExitCode::kOk;
  const absl::Status drawn = DrawPicture(LoadPicture(reports), plot_);
  return drawn.ok() ? ExitCode::kOk : session.Failure(drawn.message());
}

}  // namespace contexture::cli
