// config.json and tensors of "transformer_encoder", PyTorch's nn.TransformerEncoder, and
// "transformer_encoder_decoder", its nn.Transformer.

#include <cstring>
#include <string>
#include <vector>

#include "core/model/config_reader.h"
#include "core/model/json_reader.h"
#include "core/model/model_directory.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_transformer.h"

namespace contexture {
namespace {

using test_support::Float32Tensor;
using test_support::IsOk;
using test_support::StatusIs;
using test_support::StoredTensor;
using test_support::TinyTransformerOptions;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kNotComputed = absl::StatusCode::kFailedPrecondition;

absl::StatusOr<EncoderConfig> ReadWith(const Json& changes) {
  Json config = Json::parse(test_support::TinyTransformerConfig({}));
  config.update(changes);
  return ReadEncoderConfig(config.dump());
}
absl::StatusOr<EncoderConfig> ReadWithout(const std::string& field) {
  Json config = Json::parse(test_support::TinyTransformerConfig({}));
  config.erase(field);
  return ReadEncoderConfig(config.dump());
}

TEST(TransformerEncoderConfigTest, EveryFieldIsRead) {
  const auto config = ReadEncoderConfig(R"({
    "model_type": "transformer_encoder", "d_model": 512, "nhead": 8, "num_layers": 6,
    "dim_feedforward": 1024, "activation": "gelu", "norm_first": true, "layer_norm_eps": 1e-6,
    "vocab_size": 1000, "max_len": 60, "scale_embedding": true, "final_norm": true,
    "positional_encoding": "sinusoidal", "bias": false, "dropout": 0.1, "batch_first": true})");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->model_type, "transformer_encoder");
  EXPECT_EQ(config->hidden_size, 512);
  EXPECT_EQ(config->num_layers, 6);
  EXPECT_EQ(config->attention.num_heads, 8);
  EXPECT_EQ(config->attention.head_size, 64);
  EXPECT_FLOAT_EQ(config->attention.scale, 0.125f);
  EXPECT_EQ(config->feed_forward.intermediate_size, 1024);
  EXPECT_EQ(config->feed_forward.activation, Activation::kGeluErf);
  EXPECT_EQ(config->norm_placement, NormPlacement::kPre);
  EXPECT_EQ(config->norm_epsilon, 1e-6f);
  EXPECT_EQ(config->vocabulary_size, 1000);
  EXPECT_EQ(config->type_vocabulary_size, 0);
  EXPECT_EQ(config->max_length, 60);
  EXPECT_EQ(config->position.num_positions, 60);
  EXPECT_EQ(config->position.kind, PositionKind::kSinusoidal);
  EXPECT_FLOAT_EQ(config->embedding.scale, 22.627417f);
  EXPECT_FALSE(config->embedding.norm);
  EXPECT_TRUE(config->final_norm);
  EXPECT_FALSE(config->biases.norm);
  EXPECT_FALSE(config->biases.down);
}

TEST(TransformerEncoderConfigTest, DefaultsAreThoseOfPyTorch) {
  const auto config = ReadEncoderConfig(R"({
    "model_type": "transformer_encoder", "d_model": 8, "nhead": 2, "num_layers": 1,
    "vocab_size": 10, "max_len": 6, "scale_embedding": false, "positional_encoding": "rotary"})");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->feed_forward.intermediate_size, 2048);
  EXPECT_EQ(config->feed_forward.activation, Activation::kRelu);
  EXPECT_EQ(config->norm_placement, NormPlacement::kPost);
  EXPECT_EQ(config->norm_epsilon, 1e-5f);
  EXPECT_EQ(config->embedding.scale, 1.0f);
  EXPECT_FALSE(config->final_norm);
  EXPECT_TRUE(config->biases.norm);
  EXPECT_TRUE(config->biases.down);
  EXPECT_EQ(config->position.rotary.theta, 10000.0f);
}

TEST(TransformerEncoderConfigTest, PositionalEncodingsAreReadByTheirNames) {
  const auto kind = [](const Json& changes) {
    const auto config = ReadWith(changes);
    EXPECT_THAT(config, IsOk());
    return config.ok() ? config->position.kind : PositionKind::kLearned;
  };
  EXPECT_EQ(kind({{"positional_encoding", "none"}}), PositionKind::kNone);
  EXPECT_EQ(kind({{"positional_encoding", "sinusoidal"}}), PositionKind::kSinusoidal);
  EXPECT_EQ(kind({{"positional_encoding", "learned"}}), PositionKind::kLearned);
  EXPECT_EQ(kind({{"positional_encoding", "sparse"}}), PositionKind::kSparse);
  EXPECT_EQ(kind({{"positional_encoding", "sparse"}, {"sparse_table", true}}),
            PositionKind::kSparseLearned);
  EXPECT_EQ(kind({{"positional_encoding", "rotary"}}), PositionKind::kRotary);
  EXPECT_EQ(kind({{"positional_encoding", "alibi"}}), PositionKind::kAlibi);
}

TEST(TransformerEncoderConfigTest, WhatHasNoDefaultIsNamedWhenAbsent) {
  for (const char* field : {"d_model", "nhead", "num_layers", "vocab_size", "max_len",
                            "scale_embedding", "positional_encoding"}) {
    EXPECT_THAT(ReadWithout(field), StatusIs(kInvalid, HasSubstr(std::string("lacks '") + field)));
  }
}

TEST(TransformerEncoderConfigTest, HeadsThatDoNotDivideTheSizeAreRefusedWithBothValues) {
  EXPECT_THAT(ReadWith({{"d_model", 10}, {"nhead", 4}}),
              StatusIs(kInvalid, AllOf(HasSubstr("10"), HasSubstr("heads 4"))));
}

TEST(TransformerEncoderConfigTest, OddSizeWithSinusoidalPositionsIsRefused) {
  EXPECT_THAT(ReadWith({{"d_model", 7}, {"nhead", 1}}),
              StatusIs(kInvalid, AllOf(HasSubstr("'d_model' is 7"), HasSubstr("even"))));
  EXPECT_THAT(ReadWith({{"d_model", 7}, {"nhead", 1}, {"positional_encoding", "learned"}}), IsOk());
}

TEST(TransformerEncoderConfigTest, OddHeadsWithRotaryPositionsAreRefused) {
  EXPECT_THAT(
      ReadWith({{"d_model", 18}, {"nhead", 2}, {"positional_encoding", "rotary"}}),
      StatusIs(kInvalid, AllOf(HasSubstr("9 elements"), HasSubstr("18"), HasSubstr("even"))));
}

TEST(TransformerEncoderConfigTest, MorePositionsThanDimensionsAreRefusedForOneHotVectors) {
  EXPECT_THAT(ReadWith({{"max_len", 17}, {"positional_encoding", "sparse"}}),
              StatusIs(kInvalid, AllOf(HasSubstr("'max_len' is 17"), HasSubstr("16"))));
  EXPECT_THAT(
      ReadWith({{"max_len", 17}, {"positional_encoding", "sparse"}, {"sparse_table", true}}),
      IsOk());
}

TEST(TransformerEncoderConfigTest, WhatADecoderDoesNotComputeIsRefused) {
  const auto read = [](const Json& changes) {
    Json config = Json::parse(test_support::TinyTransformerConfig({.num_decoder_layers = 1}));
    config.update(changes);
    return ReadEncoderConfig(config.dump());
  };
  EXPECT_THAT(read(Json::object()), IsOk());
  EXPECT_THAT(read({{"positional_encoding", "rotary"}}),
              StatusIs(kNotComputed, HasSubstr("rotary")));
  EXPECT_THAT(read({{"shared_embedding", true}}),
              StatusIs(kInvalid, AllOf(HasSubstr("30"), HasSubstr("50"))));
  EXPECT_THAT(read({{"num_layers", 2}}), StatusIs(kNotComputed, HasSubstr("num_layers")));
}

TEST(TransformerEncoderConfigTest, UnknownNamesAndValuesAreRefused) {
  EXPECT_THAT(ReadWith({{"positional_encoding", "relative"}}),
              StatusIs(kNotComputed, AllOf(HasSubstr("\"relative\""),
                                           HasSubstr("none, sinusoidal, learned, sparse, rotary, "
                                                     "alibi"))));
  EXPECT_THAT(ReadWith({{"positional_encoding", 3}}),
              StatusIs(kInvalid, HasSubstr("3, not a string")));
  EXPECT_THAT(ReadWith({{"sparse_table", true}}),
              StatusIs(kInvalid, AllOf(HasSubstr("'sparse_table'"), HasSubstr("\"sinusoidal\""))));
  EXPECT_THAT(ReadWith({{"norm_first", 1}}),
              StatusIs(kInvalid, HasSubstr("'norm_first' is 1, not true or false")));
  EXPECT_THAT(ReadWith({{"scale_embedding", "yes"}}), StatusIs(kInvalid, HasSubstr("\"yes\"")));
  EXPECT_THAT(ReadWith({{"rope_theta", 0.5}}),
              StatusIs(kInvalid, AllOf(HasSubstr("0.5"), HasSubstr("1 .. "))));
  EXPECT_THAT(ReadWith({{"activation", "tanh"}}), StatusIs(kNotComputed, HasSubstr("\"tanh\"")));
  EXPECT_THAT(ReadWith({{"custom_mask", 1}}), StatusIs(kNotComputed, HasSubstr("'custom_mask'")));
}

class TransformerEncoderWeightsTest : public testing::Test {
 protected:
  absl::StatusOr<ModelDirectory> Load() {
    absl::Status status = test_support::WriteFile(directory_.File("config.json"),
                                                  test_support::TinyTransformerConfig(options_));
    if (status.ok()) {
      status = test_support::WriteSafetensors(directory_.File("model.safetensors"), tensors_);
    }
    if (!status.ok()) return status;
    return LoadModelDirectory(directory_.path());
  }
  void Remake() { tensors_ = test_support::TinyTransformerTensors(options_); }
  StoredTensor& Find(absl::string_view name) {
    for (StoredTensor& tensor : tensors_) {
      if (tensor.name == name) return tensor;
    }
    ADD_FAILURE() << "no tensor " << name;
    return tensors_.front();
  }
  static std::string Bytes(const TensorView& view) {
    return view.present() ? std::string(static_cast<const char*>(view.data), view.num_bytes())
                          : "absent";
  }
  // That VIEW holds third PART of the rows of tensor NAME.
  void ExpectThird(const TensorView& view, int part, absl::string_view name) {
    const StoredTensor& tensor = Find(name);
    const size_t third = tensor.bytes.size() / 3;
    EXPECT_EQ(view.shape[0], tensor.shape[0] / 3);
    EXPECT_EQ(Bytes(view), tensor.bytes.substr(part * third, third)) << name << " " << part;
  }

  TinyTransformerOptions options_;
  std::vector<StoredTensor> tensors_ = test_support::TinyTransformerTensors(options_);
  const test_support::TemporaryDirectory directory_;
};

TEST_F(TransformerEncoderWeightsTest, TheFusedProjectionIsCutIntoQueryKeyAndValue) {
  const auto model = Load();
  ASSERT_THAT(model, IsOk());
  for (int i = 0; i < 2; ++i) {
    const LayerWeights& layer = model->weights.layers[i];
    const std::string name = "layers." + std::to_string(i) + ".self_attn.in_proj_";
    EXPECT_THAT(layer.key.weight.shape, ElementsAre(16, 16));
    ExpectThird(layer.query.weight, 0, name + "weight");
    ExpectThird(layer.key.weight, 1, name + "weight");
    ExpectThird(layer.value.weight, 2, name + "weight");
    ExpectThird(layer.query.bias, 0, name + "bias");
    ExpectThird(layer.key.bias, 1, name + "bias");
    ExpectThird(layer.value.bias, 2, name + "bias");
  }
}

TEST_F(TransformerEncoderWeightsTest, EveryOtherTensorGoesToItsPlace) {
  options_.final_norm = true;
  options_.positional_encoding = "learned";
  Remake();
  const auto model = Load();
  ASSERT_THAT(model, IsOk());
  const EncoderWeights& weights = model->weights;
  EXPECT_EQ(Bytes(weights.token_embedding), Find("embedding.weight").bytes);
  EXPECT_EQ(Bytes(weights.position_embedding), Find("positions.weight").bytes);
  EXPECT_FALSE(weights.type_embedding.present());
  EXPECT_FALSE(weights.embedding_norm.weight.present());
  EXPECT_EQ(Bytes(weights.final_norm.weight), Find("norm.weight").bytes);
  EXPECT_EQ(Bytes(weights.final_norm.bias), Find("norm.bias").bytes);
  const LayerWeights& layer = weights.layers[1];
  EXPECT_EQ(Bytes(layer.attention_output.weight), Find("layers.1.self_attn.out_proj.weight").bytes);
  EXPECT_EQ(Bytes(layer.attention_output.bias), Find("layers.1.self_attn.out_proj.bias").bytes);
  EXPECT_EQ(Bytes(layer.up.weight), Find("layers.1.linear1.weight").bytes);
  EXPECT_EQ(Bytes(layer.up.bias), Find("layers.1.linear1.bias").bytes);
  EXPECT_EQ(Bytes(layer.down.weight), Find("layers.1.linear2.weight").bytes);
  EXPECT_EQ(Bytes(layer.attention_norm.weight), Find("layers.1.norm1.weight").bytes);
  EXPECT_EQ(Bytes(layer.attention_norm.bias), Find("layers.1.norm1.bias").bytes);
  EXPECT_EQ(Bytes(layer.output_norm.weight), Find("layers.1.norm2.weight").bytes);
}

TEST_F(TransformerEncoderWeightsTest, ASparseTableHasARowMore) {
  options_.positional_encoding = "sparse";
  options_.sparse_table = true;
  Remake();
  const auto model = Load();
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT(model->weights.position_embedding.shape, ElementsAre(17, 16));
  EXPECT_EQ(model->config.max_length, 16);
}

TEST_F(TransformerEncoderWeightsTest, WithoutBiasesNoneIsExpectedAndNoneIsLeft) {
  options_.bias = false;
  EXPECT_THAT(Load(), StatusIs(kInvalid, HasSubstr("in_proj_bias' is superfluous")));
  options_.final_norm = true;
  Remake();
  const auto model = Load();
  ASSERT_THAT(model, IsOk());
  EXPECT_FALSE(model->weights.layers[0].query.bias.present());
  EXPECT_FALSE(model->weights.layers[0].output_norm.bias.present());
  EXPECT_FALSE(model->weights.final_norm.bias.present());
}

TEST_F(TransformerEncoderWeightsTest, ADecodersTensorsGoToTheirPlaces) {
  options_.num_decoder_layers = 2;
  Remake();
  const auto model = Load();
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->config.num_layers, 2);
  EXPECT_EQ(model->config.decoder.num_layers, 2);
  EXPECT_EQ(model->config.decoder.vocabulary_size, 30);
  const DecoderWeights& weights = model->weights.decoder;
  EXPECT_EQ(Bytes(weights.token_embedding), Find("target_embedding.weight").bytes);
  const DecoderLayerWeights& layer = weights.layers[1];
  const std::string prefix = "decoder.layers.1.";
  ExpectThird(layer.self.key.weight, 1, prefix + "self_attn.in_proj_weight");
  ExpectThird(layer.cross_query.weight, 0, prefix + "multihead_attn.in_proj_weight");
  ExpectThird(layer.cross_value.bias, 2, prefix + "multihead_attn.in_proj_bias");
  EXPECT_EQ(Bytes(layer.cross_output.weight),
            Find(prefix + "multihead_attn.out_proj.weight").bytes);
  EXPECT_EQ(Bytes(layer.self.attention_norm.weight), Find(prefix + "norm1.weight").bytes);
  EXPECT_EQ(Bytes(layer.cross_norm.weight), Find(prefix + "norm2.weight").bytes);
  EXPECT_EQ(Bytes(layer.self.output_norm.weight), Find(prefix + "norm3.weight").bytes);
  EXPECT_EQ(Bytes(model->weights.layers[1].output_norm.weight),
            Find("encoder.layers.1.norm2.weight").bytes);
}

TEST_F(TransformerEncoderWeightsTest, WhatDisagreesWithTheConfigIsNamed) {
  Find("layers.0.self_attn.in_proj_weight").shape = {16, 48};
  tensors_.push_back(Float32Tensor("norm.weight", {16}, std::vector<float>(16)));
  tensors_.push_back(Float32Tensor("positions.weight", {1, 16}, std::vector<float>(16)));
  EXPECT_THAT(Load(), StatusIs(kInvalid, AllOf(HasSubstr("'layers.0.self_attn.in_proj_weight' has "
                                                         "shape [16, 48], expected [48, 16]"),
                                               HasSubstr("'norm.weight' is superfluous"),
                                               HasSubstr("'positions.weight' is superfluous"))));
}

}  // namespace
}  // namespace contexture
