#include "server/metrics/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "prometheus/text_serializer.h"
#include "server/metrics/instruments.h"
#include "server/metrics/model_metrics.h"

namespace contexture {
namespace {

using absl::StatusCode;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

std::string Labels(const ClientMetric& metric) {
  std::string text;
  for (const auto& label : metric.label) {
    absl::StrAppend(&text, text.empty() ? "" : ",", label.name, "=", label.value);
  }
  return text;
}

// Counter and gauge values by "name{labels}", of histograms the count and the sum.
std::map<std::string, double> Samples(const ServerMetrics& metrics) {
  std::map<std::string, double> samples;
  for (const MetricFamily& family : metrics.collectable()->Collect()) {
    for (const ClientMetric& metric : family.metric) {
      const std::string labels = Labels(metric).empty() ? "" : "{" + Labels(metric) + "}";
      if (family.type == MetricType::Histogram) {
        samples[family.name + "_count" + labels] =
            static_cast<double>(metric.histogram.sample_count);
        samples[family.name + "_sum" + labels] = metric.histogram.sample_sum;
      } else {
        samples[family.name + labels] =
            family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value;
      }
    }
  }
  return samples;
}

// The samples whose value is not 0.
std::map<std::string, double> NonZeroSamples(const ServerMetrics& metrics) {
  std::map<std::string, double> samples = Samples(metrics);
  std::erase_if(samples, [](const auto& sample) {
    return sample.second == 0 || sample.first.find("build_info") != std::string::npos;
  });
  return samples;
}

const char* TypeName(MetricType type) {
  return type == MetricType::Counter     ? "counter"
         : type == MetricType::Gauge     ? "gauge"
         : type == MetricType::Histogram ? "histogram"
                                         : "other";
}

TEST(ServerMetricsTest, FamiliesAreThese) {
  ServerMetrics metrics;
  metrics.models().SetServed({});
  metrics.models().SetParity("", 1.0, 0.0);
  metrics.models().RecorderOf("").RecordBatch(1, absl::Seconds(1));
  std::set<std::string> families;
  for (const MetricFamily& family : metrics.collectable()->Collect()) {
    EXPECT_FALSE(family.help.empty()) << family.name;
    EXPECT_TRUE(families.insert(absl::StrCat(family.name, " ", TypeName(family.type))).second);
  }
  EXPECT_THAT(
      families,
      UnorderedElementsAre(
          "contexture_requests_total counter", "contexture_self_probe_failures_total counter",
          "contexture_items_total counter", "contexture_request_duration_seconds histogram",
          "contexture_tokens_total counter", "contexture_truncated_items_total counter",
          "contexture_queue_items gauge", "contexture_predicted_wait_seconds gauge",
          "contexture_shared_items_total counter", "contexture_cache_bytes gauge",
          "contexture_class_tokens_total counter", "contexture_abandoned_tokens_total counter",
          "contexture_queue_tokens gauge", "contexture_batch_items histogram",
          "contexture_batch_tokens histogram", "contexture_helped_batches_total counter",
          "contexture_queue_duration_seconds histogram",
          "contexture_compute_duration_seconds histogram",
          "contexture_tokenize_duration_seconds histogram",
          "contexture_batch_padding_tokens_total counter", "contexture_refused_items_total counter",
          "contexture_expired_items_total counter", "contexture_cancelled_items_total counter",
          "contexture_connections gauge", "contexture_connections_accepted_total counter",
          "contexture_connections_refused_total counter", "contexture_accept_delays_total counter",
          "contexture_credential_reload_failures_total counter",
          "contexture_unauthorized_calls_total counter", "contexture_build_info gauge",
          "contexture_model_info gauge", "contexture_model_min_cosine gauge",
          "contexture_model_max_difference gauge", "contexture_parity_min_cosine gauge",
          "contexture_parity_max_error gauge", "contexture_model_tokens_total counter",
          "contexture_model_compute_seconds_total counter",
          "contexture_model_changes_total counter", "contexture_loaded_models gauge",
          "contexture_loaded_model_bytes gauge", "contexture_config_reload_failures_total counter",
          "contexture_workers gauge", "contexture_health_serving gauge"));
}

TEST(ServerMetricsTest, RequestIsCountedByMethodAndCode) {
  ServerMetrics metrics;
  metrics.RecordRequest(Method::kEncode, StatusCode::kOk, absl::Milliseconds(250));
  metrics.RecordRequest(Method::kEncode, StatusCode::kOk, absl::Milliseconds(250));
  metrics.RecordRequest(Method::kEncodeStream, StatusCode::kUnavailable, absl::Seconds(1));
  metrics.RecordRequest(Method::kTokenize, StatusCode::kInvalidArgument, absl::Seconds(2));
  metrics.RecordRequest(Method::kGetModel, StatusCode::kNotFound, absl::Seconds(3));
  EXPECT_THAT(NonZeroSamples(metrics),
              UnorderedElementsAre(
                  Pair("contexture_requests_total{code=OK,method=encode}", 2),
                  Pair("contexture_request_duration_seconds_count{method=encode}", 2),
                  Pair("contexture_request_duration_seconds_sum{method=encode}", 0.5),
                  Pair("contexture_requests_total{code=UNAVAILABLE,method=encode_stream}", 1),
                  Pair("contexture_request_duration_seconds_count{method=encode_stream}", 1),
                  Pair("contexture_request_duration_seconds_sum{method=encode_stream}", 1),
                  Pair("contexture_requests_total{code=INVALID_ARGUMENT,method=tokenize}", 1),
                  Pair("contexture_request_duration_seconds_count{method=tokenize}", 1),
                  Pair("contexture_request_duration_seconds_sum{method=tokenize}", 2),
                  Pair("contexture_requests_total{code=NOT_FOUND,method=get_model}", 1),
                  Pair("contexture_request_duration_seconds_count{method=get_model}", 1),
                  Pair("contexture_request_duration_seconds_sum{method=get_model}", 3)));
}

TEST(ServerMetricsTest, ItemsAreCounted) {
  ServerMetrics metrics;
  metrics.RecordItems(StatusCode::kOk, 5);
  metrics.RecordItems(StatusCode::kInternal, 1);
  metrics.RecordTruncatedItems(2);
  metrics.RecordRefused(RefusalReason::kQueueFull, 3);
  metrics.RecordRefused(RefusalReason::kTooLate, 7);
  metrics.RecordRefused(RefusalReason::kMemory, 8);
  metrics.RecordRefused(RefusalReason::kDraining, 4);
  metrics.RecordRefused(RefusalReason::kOther, 6);
  metrics.RecordTokenize(absl::Milliseconds(500));
  EXPECT_THAT(NonZeroSamples(metrics),
              UnorderedElementsAre(Pair("contexture_items_total{code=OK}", 5),
                                   Pair("contexture_items_total{code=INTERNAL}", 1),
                                   Pair("contexture_truncated_items_total", 2),
                                   Pair("contexture_refused_items_total{reason=queue_full}", 3),
                                   Pair("contexture_refused_items_total{reason=too_late}", 7),
                                   Pair("contexture_refused_items_total{reason=memory}", 8),
                                   Pair("contexture_refused_items_total{reason=draining}", 4),
                                   Pair("contexture_refused_items_total{reason=other}", 6),
                                   Pair("contexture_tokenize_duration_seconds_count", 1),
                                   Pair("contexture_tokenize_duration_seconds_sum", 0.5)));
}

TEST(ServerMetricsTest, BatcherRecordsIntoIt) {
  ServerMetrics metrics;
  BatcherMetrics& batcher = metrics.batcher();
  batcher.SetQueue({.tasks = 3, .tokens = 70, .predicted_wait = absl::Milliseconds(750)});
  batcher.RecordBatch(
      {.sequences = 4, .tokens = 90, .compute_time = absl::Milliseconds(125), .helped = true});
  batcher.RecordQueueTime(absl::Milliseconds(250));
  batcher.RecordExpired(2);
  batcher.RecordCancelled(7);
  batcher.RecordAbandoned(11);
  batcher.RecordSharing(Sharing::kComputed, 14);
  batcher.RecordSharing(Sharing::kJoined, 15);
  batcher.RecordSharing(Sharing::kCached, 16);
  batcher.SetCacheBytes(17);
  batcher.RecordComputed(TrafficClass::kInteractive, 12);
  batcher.RecordComputed(TrafficClass::kBulk, 13);
  EXPECT_THAT(
      NonZeroSamples(metrics),
      UnorderedElementsAre(
          Pair("contexture_queue_items", 3), Pair("contexture_queue_tokens", 70),
          Pair("contexture_predicted_wait_seconds", 0.75),
          Pair("contexture_abandoned_tokens_total", 11),
          Pair("contexture_shared_items_total{by=computed}", 14),
          Pair("contexture_shared_items_total{by=joined}", 15),
          Pair("contexture_shared_items_total{by=cached}", 16), Pair("contexture_cache_bytes", 17),
          Pair("contexture_class_tokens_total{class=interactive}", 12),
          Pair("contexture_class_tokens_total{class=bulk}", 13),
          Pair("contexture_tokens_total", 90), Pair("contexture_batch_items_count", 1),
          Pair("contexture_batch_items_sum", 4), Pair("contexture_batch_tokens_count", 1),
          Pair("contexture_batch_tokens_sum", 90), Pair("contexture_helped_batches_total", 1),
          Pair("contexture_compute_duration_seconds_count", 1),
          Pair("contexture_compute_duration_seconds_sum", 0.125),
          Pair("contexture_queue_duration_seconds_count", 1),
          Pair("contexture_queue_duration_seconds_sum", 0.25),
          Pair("contexture_expired_items_total", 2), Pair("contexture_cancelled_items_total", 7)));
}

TEST(ServerMetricsTest, WorkThatIsNoSequenceTakesTimeAndIsNoBatch) {
  ServerMetrics metrics;
  metrics.batcher().RecordBatch({.tokens = 70, .compute_time = absl::Milliseconds(125)});
  EXPECT_THAT(NonZeroSamples(metrics),
              UnorderedElementsAre(Pair("contexture_tokens_total", 70),
                                   Pair("contexture_compute_duration_seconds_count", 1),
                                   Pair("contexture_compute_duration_seconds_sum", 0.125)));
}

TEST(ServerMetricsTest, StateIsShown) {
  ServerMetrics metrics;
  metrics.SetWorkers(6);
  metrics.SetServing(true);
  metrics.models().SetServed({.model = "minilm",
                              .model_type = "bert",
                              .precision = "f32",
                              .isa = "avx512",
                              .fingerprint = "abc"});
  EXPECT_THAT(
      NonZeroSamples(metrics),
      UnorderedElementsAre(Pair("contexture_workers", 6), Pair("contexture_health_serving", 1),
                           Pair("contexture_model_info{fingerprint=abc,isa=avx512,"
                                "model=minilm,model_type=bert,precision=f32}",
                                1),
                           Pair("contexture_model_min_cosine{model=minilm}", 1)));
  metrics.SetServing(false);
  EXPECT_EQ(Samples(metrics).at("contexture_health_serving"), 0);
}

TEST(ServerMetricsTest, SeriesOfAModelComeAndGoWithIt) {
  ServerMetrics metrics;
  ModelMetrics& models = metrics.models();
  models.SetServed({.model = "a", .fingerprint = "1", .min_cosine = 0.5, .max_difference = 0.25});
  models.SetParity("a", 0.75, 0.125);
  models.RecorderOf("a").RecordBatch(10, absl::Seconds(2));
  models.SetServed({.model = "a", .fingerprint = "2", .min_cosine = 0.5, .max_difference = 0.25});
  models.RecorderOf("a").RecordBatch(10, absl::Seconds(2));
  models.RecordChange(ModelChange::kReplace, true);
  models.RecordChange(ModelChange::kUnload, false);
  models.SetLoaded(2, 4096);
  models.RecordConfigFailure();
  const auto tokens = Pair("contexture_model_tokens_total{model=a}", 20);
  const auto seconds = Pair("contexture_model_compute_seconds_total{model=a}", 4);
  const auto replaced = Pair("contexture_model_changes_total{change=replace,result=ok}", 1);
  const auto kept = Pair("contexture_model_changes_total{change=unload,result=failed}", 1);
  const auto loaded = Pair("contexture_loaded_models", 2);
  const auto bytes = Pair("contexture_loaded_model_bytes", 4096);
  const auto unread = Pair("contexture_config_reload_failures_total", 1);
  EXPECT_THAT(
      NonZeroSamples(metrics),
      UnorderedElementsAre(
          Pair("contexture_model_info{fingerprint=2,isa=,model=a,model_type=,precision=}", 1),
          Pair("contexture_model_min_cosine{model=a}", 0.5),
          Pair("contexture_model_max_difference{model=a}", 0.25), tokens, seconds, replaced, kept,
          loaded, bytes, unread))
      << "the parity was that of the model before";
  models.Remove("a");
  EXPECT_THAT(NonZeroSamples(metrics),
              UnorderedElementsAre(tokens, seconds, replaced, kept, loaded, bytes, unread));
}

TEST(ServerMetricsTest, BuildInfoTellsTheVersions) {
  const ServerMetrics metrics({.version = "9.8.7", .onednn = "6.5", .compiler = "cc 4"});
  EXPECT_EQ(Samples(metrics).at("contexture_build_info{compiler=cc 4,onednn=6.5,version=9.8.7}"),
            1);
  const BuildInfo build = CurrentBuild();
  EXPECT_THAT(build.version, testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_THAT(build.onednn, testing::StartsWith("3."));
  EXPECT_THAT(build.compiler, testing::MatchesRegex("(gcc|clang) [0-9.]+"));
}

TEST(ServerMetricsTest, NothingThatIsRecordedAddsASeries) {
  ServerMetrics metrics;
  const size_t at_start = Samples(metrics).size();
  for (int code = -1; code < 40; ++code) {
    const auto odd_code = static_cast<StatusCode>(code);
    for (Method method :
         {Method::kEncode, Method::kEncodeStream, Method::kTokenize, Method::kGetModel,
          Method::kInspect, Method::kAttend, Method::kEncodeChunked, Method::kClassify,
          Method::kRerank, Method::kClassifyTokens, Method::kFillMask,
          Method::kScoreLateInteraction}) {
      metrics.RecordRequest(method, odd_code, absl::InfiniteDuration());
      metrics.RecordRequest(method, odd_code, absl::Seconds(-1));
    }
    metrics.RecordItems(odd_code, 1);
  }
  EXPECT_EQ(Samples(metrics).size(), at_start);
  // 41 codes less the 13 that have a name of their own.
  EXPECT_EQ(Samples(metrics).at("contexture_items_total{code=UNKNOWN}"), 28);
}

TEST(ServerMetricsTest, ManyThreadsLoseNoCount) {
  ServerMetrics metrics;
  constexpr int kThreads = 4, kCounts = 5000;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&metrics] {
      for (int j = 0; j < kCounts; ++j) {
        metrics.RecordRequest(Method::kEncode, StatusCode::kOk, absl::Milliseconds(1));
        metrics.batcher().RecordBatch({.sequences = 1, .tokens = 2});
      }
    });
  }
  EXPECT_FALSE(metrics.collectable()->Collect().empty());  // while they record
  for (std::thread& thread : threads) thread.join();
  const auto samples = Samples(metrics);
  EXPECT_EQ(samples.at("contexture_requests_total{code=OK,method=encode}"), kThreads * kCounts);
  EXPECT_EQ(samples.at("contexture_request_duration_seconds_count{method=encode}"),
            kThreads * kCounts);
  EXPECT_EQ(samples.at("contexture_tokens_total"), 2 * kThreads * kCounts);
}

TEST(InstrumentsTest, PowersOfTwoGoUpToTheLargest) {
  EXPECT_THAT(PowersOfTwo(9), ElementsAre(1, 2, 4, 8));
  EXPECT_THAT(PowersOfTwo(8), ElementsAre(1, 2, 4, 8));
}

TEST(InstrumentsTest, DurationBoundsAreShortDecimalNumbers) {
  EXPECT_THAT(DurationBounds(0.1), ElementsAre(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50));
  std::string text =
      prometheus::TextSerializer().Serialize(ServerMetrics().collectable()->Collect());
  for (const char* bound : {"le=\"1e-05\"", "le=\"2.5e-05\"", "le=\"0.0001\"", "le=\"0.00025\"",
                            "le=\"0.25\"", "le=\"50\""}) {
    EXPECT_THAT(text, testing::HasSubstr(bound));
  }
}

}  // namespace
}  // namespace contexture
