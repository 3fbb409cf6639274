#include "core/model/weight_binder.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "core/model/config_reader.h"
#include "core/model/safetensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/files.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace contexture {
namespace {

using test_support::Float32Tensor;
using test_support::IsOk;
using test_support::StatusIs;
using test_support::StoredTensor;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

class WeightBinderTest : public ::testing::Test {
 protected:
  // Writes `tensors_` and binds them to the config of `options_`.
  absl::StatusOr<EncoderWeights> Bind() {
    const absl::StatusOr<EncoderConfig> config =
        ReadEncoderConfig(test_support::TinyBertConfig(options_));
    if (!config.ok()) return config.status();
    const std::string path = directory_.File("model.safetensors");
    if (absl::Status status = test_support::WriteSafetensors(path, tensors_); !status.ok()) {
      return status;
    }
    absl::StatusOr<std::unique_ptr<Safetensors>> file = Safetensors::Open(path);
    if (!file.ok()) return file.status();
    file_ = *std::move(file);
    return BindWeights(*file_, *config);
  }
  StoredTensor& Find(absl::string_view name) {
    for (StoredTensor& tensor : tensors_) {
      if (tensor.name == name) return tensor;
    }
    ADD_FAILURE() << "no tensor " << name;
    return tensors_.front();
  }
  // Renames every tensor: FROM becomes TO in its name.
  void Rename(absl::string_view from, absl::string_view to) {
    for (StoredTensor& tensor : tensors_) {
      tensor.name = absl::StrReplaceAll(tensor.name, {{from, to}});
    }
  }
  // That VIEW holds the bytes of tensor NAME.
  void ExpectBytes(const TensorView& view, absl::string_view name) {
    ASSERT_TRUE(view.present()) << name;
    const StoredTensor& tensor = Find(name);
    EXPECT_THAT(view.shape, ::testing::ElementsAreArray(tensor.shape));
    EXPECT_EQ(std::string(static_cast<const char*>(view.data), view.num_bytes()), tensor.bytes)
        << name;
  }
  void ExpectAllBound(const EncoderWeights& weights, const std::string& prefix) {
    ExpectBytes(weights.token_embedding, prefix + "embeddings.word_embeddings.weight");
    ExpectBytes(weights.position_embedding, prefix + "embeddings.position_embeddings.weight");
    ExpectBytes(weights.type_embedding, prefix + "embeddings.token_type_embeddings.weight");
    ASSERT_EQ(weights.layers.size(), 2u);
    for (int i = 0; i < 2; ++i) {
      const LayerWeights& layer = weights.layers[i];
      const std::string name = prefix + "encoder.layer." + std::to_string(i) + ".";
      ExpectLinear(layer.query, name + "attention.self.query");
      ExpectLinear(layer.key, name + "attention.self.key");
      ExpectLinear(layer.value, name + "attention.self.value");
      ExpectLinear(layer.attention_output, name + "attention.output.dense");
      ExpectLinear(layer.up, name + "intermediate.dense");
      ExpectLinear(layer.down, name + "output.dense");
    }
    EXPECT_FALSE(weights.final_norm.weight.present());
  }
  void ExpectLinear(const LinearWeights& linear, const std::string& name) {
    ExpectBytes(linear.weight, name + ".weight");
    ExpectBytes(linear.bias, name + ".bias");
  }
  void ExpectNorms(const EncoderWeights& weights, const std::string& weight,
                   const std::string& bias) {
    ExpectBytes(weights.embedding_norm.weight, "embeddings.LayerNorm." + weight);
    ExpectBytes(weights.embedding_norm.bias, "embeddings.LayerNorm." + bias);
    for (int i = 0; i < 2; ++i) {
      const std::string name = "encoder.layer." + std::to_string(i) + ".";
      const LayerWeights& layer = weights.layers[i];
      ExpectBytes(layer.attention_norm.weight, name + "attention.output.LayerNorm." + weight);
      ExpectBytes(layer.attention_norm.bias, name + "attention.output.LayerNorm." + bias);
      ExpectBytes(layer.output_norm.weight, name + "output.LayerNorm." + weight);
      ExpectBytes(layer.output_norm.bias, name + "output.LayerNorm." + bias);
    }
  }

  test_support::TinyBertOptions options_;
  std::vector<StoredTensor> tensors_ = test_support::TinyBertTensors(options_);
  const test_support::TemporaryDirectory directory_;
  std::unique_ptr<Safetensors> file_;
};

TEST_F(WeightBinderTest, EveryTensorGoesToItsPlace) {
  const absl::StatusOr<EncoderWeights> weights = Bind();
  ASSERT_THAT(weights, IsOk());
  ExpectAllBound(*weights, "");
  ExpectNorms(*weights, "weight", "bias");
}

TEST_F(WeightBinderTest, PrefixOfAModelWithHeadIsDetected) {
  for (StoredTensor& tensor : tensors_) tensor.name = "bert." + tensor.name;
  tensors_.push_back(Float32Tensor("cls.predictions.bias", {2}, {1, 2}));
  tensors_.push_back(Float32Tensor("bert.pooler.dense.bias", {2}, {1, 2}));
  const absl::StatusOr<EncoderWeights> weights = Bind();
  ASSERT_THAT(weights, IsOk());
  ExpectAllBound(*weights, "bert.");
}

TEST_F(WeightBinderTest, OldSpellingOfNormsIsFound) {
  Rename("LayerNorm.weight", "LayerNorm.gamma");
  Rename("LayerNorm.bias", "LayerNorm.beta");
  const absl::StatusOr<EncoderWeights> weights = Bind();
  ASSERT_THAT(weights, IsOk());
  ExpectNorms(*weights, "gamma", "beta");
}

TEST_F(WeightBinderTest, KnownExtrasAreSkipped) {
  tensors_.push_back({.name = "embeddings.position_ids",
                      .data_type = "I64",
                      .shape = {1, 40},
                      .bytes = std::string(320, '\0')});
  tensors_.push_back(Float32Tensor("pooler.dense.weight", {1}, {1}));
  tensors_.push_back(Float32Tensor("cls.seq_relationship.bias", {1}, {1}));
  EXPECT_THAT(Bind(), IsOk());
}

TEST_F(WeightBinderTest, AllProblemsAreReportedAtOnce) {
  Find("encoder.layer.0.output.dense.bias").name = "encoder.layer.0.output.dense.offset";
  Find("encoder.layer.1.intermediate.dense.weight").shape = {32, 64};
  Find("embeddings.LayerNorm.bias").data_type = "I8";
  Find("embeddings.LayerNorm.bias").bytes.resize(32);
  EXPECT_THAT(
      Bind(),
      StatusIs(
          kInvalid,
          AllOf(HasSubstr("'encoder.layer.0.output.dense.bias' is missing"),
                HasSubstr("'encoder.layer.1.intermediate.dense.weight' has shape [32, 64], "
                          "expected [64, 32]"),
                HasSubstr("'embeddings.LayerNorm.bias' has dtype I8, expected F32, F16 or BF16"),
                HasSubstr("'encoder.layer.0.output.dense.offset' is superfluous"))));
}

TEST_F(WeightBinderTest, LongListIsCut) {
  options_.num_layers = 4;  // 32 tensors more than the file has
  EXPECT_THAT(Bind(), StatusIs(kInvalid, AllOf(HasSubstr("'encoder.layer.2.attention.self.query."
                                                         "weight' is missing"),
                                               Not(HasSubstr("'encoder.layer.3.output.")),
                                               HasSubstr("; and 12 more"))));
}

TEST_F(WeightBinderTest, LayersThatTheConfigLacksAreSuperfluous) {
  options_.num_layers = 1;
  EXPECT_THAT(Bind(), StatusIs(kInvalid, HasSubstr("'encoder.layer.1.attention.self.key.bias' is "
                                                   "superfluous")));
}

TEST_F(WeightBinderTest, BothSpellingsOfANormAreOneTooMany) {
  tensors_.push_back(Float32Tensor("embeddings.LayerNorm.gamma", {1}, {1}));
  EXPECT_THAT(Bind(), StatusIs(kInvalid, HasSubstr("'embeddings.LayerNorm.gamma' is superfluous")));
}

TEST_F(WeightBinderTest, PositionTableThatDiffersFromTheConfigIsNamed) {
  options_.num_positions = 50;
  EXPECT_THAT(Bind(), StatusIs(kInvalid, HasSubstr("'embeddings.position_embeddings.weight' has "
                                                   "shape [40, 32], expected [50, 32]")));
}

TEST_F(WeightBinderTest, HalfPrecisionFloatsAreBoundAsTheyAre) {
  for (const auto& [type, data_type] :
       {std::pair{"F16", DataType::kFloat16}, std::pair{"BF16", DataType::kBfloat16}}) {
    StoredTensor& tensor = Find("encoder.layer.0.attention.self.key.bias");
    tensor.data_type = type;
    tensor.bytes.resize(64);
    const absl::StatusOr<EncoderWeights> weights = Bind();
    ASSERT_THAT(weights, IsOk()) << type;
    EXPECT_EQ(weights->layers[0].key.bias.data_type, data_type);
    ExpectBytes(weights->layers[0].key.bias, tensor.name);
  }
}

TEST_F(WeightBinderTest, TypesThatNoTensorMayHaveAreNotComputed) {
  StoredTensor& tensor = Find("encoder.layer.0.attention.self.key.bias");
  tensor.data_type = "F64";
  tensor.bytes.resize(256);
  EXPECT_THAT(Bind(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("dtype F64")));
}

// The tiny BERT with the class ForSequenceClassification and LABELS labels.
class HeadBinderTest : public WeightBinderTest {
 protected:
  absl::StatusOr<EncoderWeights> BindHead(int labels) {
    std::string text = absl::StrReplaceAll(test_support::TinyBertConfig(options_),
                                           {{"BertModel", "BertForSequenceClassification"}});
    text.insert(1, "\"num_labels\": " + std::to_string(labels) + ", ");
    absl::StatusOr<EncoderConfig> config = ReadEncoderConfig(text);
    if (!config.ok()) return config.status();
    const std::string path = directory_.File("model.safetensors");
    if (absl::Status status = test_support::WriteSafetensors(path, tensors_); !status.ok()) {
      return status;
    }
    absl::StatusOr<std::unique_ptr<Safetensors>> file = Safetensors::Open(path);
    if (!file.ok()) return file.status();
    file_ = *std::move(file);
    KeepStoredHeads(*file_, *config);
    config_ = *config;
    return BindWeights(*file_, config_);
  }
  void AddTensor(const std::string& name, const std::vector<int64_t>& shape) {
    size_t count = 1;
    for (int64_t extent : shape) count *= static_cast<size_t>(extent);
    std::erase_if(tensors_, [&](const StoredTensor& tensor) { return tensor.name == name; });
    tensors_.push_back(Float32Tensor(name, shape, std::vector<float>(count, 0.5f)));
  }

  EncoderConfig config_;
};

TEST_F(HeadBinderTest, AHeadIsBoundWithItsPooler) {
  AddTensor("pooler.dense.weight", {32, 32});
  AddTensor("pooler.dense.bias", {32});
  AddTensor("classifier.weight", {3, 32});
  AddTensor("classifier.bias", {3});
  const auto weights = BindHead(3);
  ASSERT_THAT(weights, IsOk());
  ASSERT_EQ(weights->heads.size(), 1);
  ExpectBytes(weights->heads[0].dense.weight, "pooler.dense.weight");
  ExpectBytes(weights->heads[0].output.weight, "classifier.weight");
  ExpectBytes(weights->heads[0].output.bias, "classifier.bias");
}

TEST_F(HeadBinderTest, LabelsThatDoNotFitTheClassifierAreRefusedWithBothShapes) {
  AddTensor("pooler.dense.weight", {32, 32});
  AddTensor("pooler.dense.bias", {32});
  AddTensor("classifier.weight", {3, 32});
  AddTensor("classifier.bias", {3});
  EXPECT_THAT(
      BindHead(2),
      StatusIs(kInvalid, AllOf(HasSubstr("'classifier.weight' has shape [3, 32], expected "
                                         "[2, 32]"),
                               HasSubstr("'classifier.bias' has shape [3], expected [2]"))));
}

TEST_F(HeadBinderTest, AHeadThatIsThereInPartNamesAllThatIsMissing) {
  std::erase_if(tensors_, [](const StoredTensor& tensor) {
    return absl::StrContains(tensor.name, "pooler");
  });
  AddTensor("classifier.bias", {2});
  EXPECT_THAT(BindHead(2), StatusIs(kInvalid, AllOf(HasSubstr("'classifier.weight' is missing"),
                                                    HasSubstr("'pooler.dense.weight' is missing"),
                                                    HasSubstr("'pooler.dense.bias' is missing"))));
}

TEST_F(HeadBinderTest, AFileWithoutItsHeadIsAnEncoderThatSaysSo) {
  const auto weights = BindHead(2);
  ASSERT_THAT(weights, IsOk());
  EXPECT_TRUE(config_.heads.empty());
  EXPECT_THAT(config_.absent_heads, ElementsAre("BertForSequenceClassification"));
}

}  // namespace
}  // namespace contexture
