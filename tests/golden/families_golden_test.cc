// The last hidden states of Hugging Face transformers for small models of every family
// (make_models.py), through a model directory, the engine and its float path.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/engine/engine.h"
#include "core/model/model_directory.h"
#include "tests/golden/encode_batch.h"
#include "tests/golden/golden_model.h"
#include "tests/golden/golden_tensors.h"
#include "tests/support/files.h"
#include "tests/support/precisions.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::BitIdentical;
using test_support::GoldenTensors;
using test_support::IsOk;
using test_support::SequenceVectors;
using Json = nlohmann::json;

// Of last hidden states, absolute: another order of the same float additions, and angles of rotary
// positions that transformers rounds to float before it takes their sine; see docs/numerics.md.
constexpr double kTolerance = 5e-5;

// A file of cases and its tensors.
struct Golden {
  explicit Golden(const std::string& stem)
      : cases(
            Json::parse(test_support::ReadBytes(absl::StrCat(stem, ".json")).value()).at("cases")),
        tensors(test_support::ReadBytes(absl::StrCat(stem, ".safetensors")).value()) {}
  const Json* Find(const std::string& name) const {
    const auto found = std::find_if(cases.begin(), cases.end(),
                                    [&](const Json& c) { return c.at("name") == name; });
    return found == cases.end() ? nullptr : &*found;
  }
  const Json cases;
  const GoldenTensors tensors;
};

// The committed files, or that of a longer sweep.
const std::vector<std::unique_ptr<Golden>>& Goldens() {
  static const auto* goldens = [] {
    auto* all = new std::vector<std::unique_ptr<Golden>>;
    const char* given = std::getenv("CONTEXTURE_FAMILIES_GOLDEN");
    if (given != nullptr) {
      all->push_back(std::make_unique<Golden>(given));
      return all;
    }
    all->push_back(std::make_unique<Golden>("tests/golden/families"));
    all->push_back(std::make_unique<Golden>("tests/golden/families_wide"));
    return all;
  }();
  return *goldens;
}

class FamiliesGoldenTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const Json* found = nullptr;
    for (const auto& golden : Goldens()) {
      if (found != nullptr) break;
      found = golden->Find(GetParam());
      golden_ = golden.get();
    }
    ASSERT_NE(found, nullptr);
    ASSERT_THAT(test_support::WriteGoldenModel(*found, directory_.path()), IsOk());
    Load(Precision::kFloat32);
    ReadSequences();
  }

  void Load(Precision precision) {
    auto model = LoadModelDirectory(directory_.path());
    ASSERT_THAT(model, IsOk());
    auto engine = LoadEngine(*std::move(model), {.precision = precision});
    ASSERT_THAT(engine, IsOk()) << Name(precision);
    engine_ = *std::move(engine);
  }

  void ReadSequences() {
    const auto ids = golden_->tensors.Integers(GetParam() + ".ids");
    size_t first = 0;
    for (int64_t length : golden_->tensors.Integers(GetParam() + ".lengths")) {
      sequences_.emplace_back(ids.begin() + first, ids.begin() + first + length);
      first += length;
    }
  }

  // The vectors of all sequences as one batch, or each as a batch of its own.
  std::vector<SequenceVectors> Encode(bool together) {
    auto vectors = test_support::EncodeAll(*engine_, sequences_, together);
    EXPECT_THAT(vectors, IsOk());
    return vectors.ok() ? *std::move(vectors) : std::vector<SequenceVectors>();
  }

  const Golden* golden_ = nullptr;
  test_support::TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  std::vector<std::vector<uint32_t>> sequences_;
};

TEST_P(FamiliesGoldenTest, VectorsAreThoseOfTransformers) {
  std::vector<float> tokens;
  for (const SequenceVectors& vectors : Encode(/*together=*/true)) {
    tokens.insert(tokens.end(), vectors.tokens.begin(), vectors.tokens.end());
  }
  const auto rows = golden_->tensors.Integers(GetParam() + ".rows");
  const auto expected = golden_->tensors.Floats(GetParam() + ".vectors");
  const size_t size = engine_->info().config.hidden_size;
  ASSERT_EQ(expected.size(), rows.size() * size);
  double worst = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    ASSERT_LE((rows[r] + 1) * size, tokens.size());
    for (size_t c = 0; c < size; ++c) {
      const double error =
          std::abs(double{tokens[rows[r] * size + c]} - double{expected[r * size + c]});
      ASSERT_LE(error, kTolerance) << "token " << rows[r] << ", element " << c;
      worst = std::max(worst, error);
    }
  }
  std::printf("%s: %zu rows, worst absolute error %.3g\n", GetParam().c_str(), rows.size(), worst);
}

TEST_P(FamiliesGoldenTest, ASequenceHasTheSameBitsAloneAndInABatch) {
  const std::vector<SequenceVectors> together = Encode(true), alone = Encode(false);
  ASSERT_EQ(together.size(), alone.size());
  for (size_t i = 0; i < alone.size(); ++i) EXPECT_TRUE(BitIdentical(together[i], alone[i])) << i;
}

// What a precision may cost these small models, see docs/numerics.md.
struct Bound {
  double cosine;      // of the mean of a sequence's vectors, at least
  double difference;  // of an element, relative to the largest of its sequence's
};
Bound BoundOf(Precision precision) {
  if (precision == Precision::kFloat32Split) return {0.999999, 1e-3};
  return precision == Precision::kBfloat16 ? Bound{0.9999, 0.03} : Bound{0.999, 0.08};
}

struct Distance {
  double cosine, difference;
};
Distance MeanDistance(const std::vector<float>& a, const std::vector<float>& b, size_t size) {
  double ab = 0, aa = 0, bb = 0, largest = 0, worst = 0;
  for (size_t c = 0; c < size; ++c) {
    double x = 0, y = 0;
    for (size_t at = c; at < a.size(); at += size) {
      x += a[at];
      y += b[at];
      largest = std::max(largest, std::abs(double{a[at]}));
      worst = std::max(worst, std::abs(double{a[at]} - double{b[at]}));
    }
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return {ab / std::sqrt(aa * bb), worst / largest};
}

TEST_P(FamiliesGoldenTest, EveryPrecisionComputesTheFamilyWithTheSameBitsInEveryBatch) {
  const std::vector<SequenceVectors> want = Encode(/*together=*/true);
  for (Precision precision : test_support::ComputablePrecisions()) {
    if (precision == Precision::kFloat32) continue;
    const EncoderConfig& config = engine_->info().config;
    if (const absl::Status status = CheckPrecision(config, precision); !status.ok()) {
      EXPECT_GT(config.convolution.size, 0) << status;
      continue;
    }
    Load(precision);
    const std::vector<SequenceVectors> together = Encode(true), alone = Encode(false);
    ASSERT_EQ(together.size(), want.size());
    ASSERT_EQ(alone.size(), want.size());
    Distance worst = {1, 0};
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_TRUE(BitIdentical(together[i], alone[i])) << Name(precision) << " " << i;
      const Distance own =
          MeanDistance(want[i].tokens, together[i].tokens, engine_->info().config.hidden_size);
      worst.cosine = std::min(worst.cosine, own.cosine);
      worst.difference = std::max(worst.difference, own.difference);
    }
    EXPECT_GE(worst.cosine, BoundOf(precision).cosine) << Name(precision);
    EXPECT_LE(worst.difference, BoundOf(precision).difference) << Name(precision);
    std::printf("%s %s: lowest cosine 1 - %.3g, worst relative difference %.3g\n",
                GetParam().c_str(), std::string(Name(precision)).c_str(), 1 - worst.cosine,
                worst.difference);
  }
}

TEST_P(FamiliesGoldenTest, ABatchThatThreadsShareHasTheBitsOfOne) {
  for (Precision precision : test_support::ComputablePrecisions()) {
    if (!CheckPrecision(engine_->info().config, precision).ok()) continue;
    if (precision != Precision::kFloat32) Load(precision);
    const std::vector<SequenceVectors> want = Encode(/*together=*/true);
    for (int members : {2, 3, 4}) {
      for (bool together : {true, false}) {
        const auto got = test_support::EncodeShared(*engine_, sequences_, together, members);
        ASSERT_THAT(got, IsOk());
        ASSERT_EQ(got->size(), want.size());
        for (size_t i = 0; i < want.size(); ++i) {
          EXPECT_TRUE(BitIdentical((*got)[i], want[i]))
              << Name(precision) << ", " << members << " members, sequence " << i;
        }
      }
    }
  }
}

// Cases with modules of sentence-transformers.
class PooledGoldenTest : public FamiliesGoldenTest {};

TEST_P(PooledGoldenTest, PooledVectorsAreThoseOfSentenceTransformers) {
  const auto expected = golden_->tensors.Floats(GetParam() + ".pooled");
  const std::vector<SequenceVectors> vectors = Encode(/*together=*/true);
  ASSERT_FALSE(vectors.empty());
  const size_t size = vectors[0].pooled.size();
  ASSERT_EQ(expected.size(), vectors.size() * size);
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(vectors[i / size].pooled[i % size], expected[i], kTolerance)
        << "sequence " << i / size << ", element " << i % size;
  }
}

std::vector<std::string> CaseNames(bool pooled) {
  std::vector<std::string> names;
  for (const auto& golden : Goldens()) {
    for (const Json& c : golden->cases) {
      const std::string name = c.at("name");
      if (!pooled || golden->tensors.Contains(name + ".pooled")) names.push_back(name);
    }
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Cases, PooledGoldenTest, testing::ValuesIn(CaseNames(/*pooled=*/true)),
                         [](const auto& param) { return param.param; });
INSTANTIATE_TEST_SUITE_P(Cases, FamiliesGoldenTest, testing::ValuesIn(CaseNames(/*pooled=*/false)),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace contexture
