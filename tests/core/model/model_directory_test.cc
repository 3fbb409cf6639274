#include "core/model/model_directory.h"

#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/model/safetensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using test_support::TinyBertOptions;
using test_support::WriteFile;
using test_support::WriteTinyBert;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ModelDirectoryTest : public ::testing::Test {
 protected:
  absl::StatusOr<ModelDirectory> Load(const TinyBertOptions& options) {
    if (absl::Status status = WriteTinyBert(path_, options); !status.ok()) return status;
    return LoadModelDirectory(path_);
  }
  std::string File(absl::string_view name) const { return absl::StrCat(path_, "/", name); }
  void Remove(absl::string_view name) { std::filesystem::remove_all(File(name)); }

  const test_support::TemporaryDirectory directory_;
  const std::string path_ = directory_.File("model");
};

TEST_F(ModelDirectoryTest, SentenceTransformersDirectoryIsRead) {
  absl::StatusOr<ModelDirectory> loaded = Load({});
  ASSERT_THAT(loaded, IsOk());
  const ModelDirectory model = *std::move(loaded);  // the views survive the move
  EXPECT_EQ(model.path, path_);
  EXPECT_EQ(model.config.hidden_size, 32);
  EXPECT_EQ(model.pooling.kind, PoolingKind::kMean);
  EXPECT_TRUE(model.pooling.normalize);
  EXPECT_EQ(model.max_text_length, 24);
  EXPECT_EQ(model.config.max_length, 40);
  EXPECT_EQ(model.tokenizer_path, File("tokenizer.json"));
  EXPECT_EQ(model.fingerprint.size(), 64u);
  ASSERT_EQ(model.weights.layers.size(), 2u);
  const float first = *static_cast<const float*>(model.weights.token_embedding.data);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(&first), sizeof(first)),
            test_support::TinyBertTensors({}).front().bytes.substr(0, sizeof(first)));
}

TEST_F(ModelDirectoryTest, PoolingAndNormalizationAreTheDirectorys) {
  const absl::StatusOr<ModelDirectory> model =
      Load({.pooling = "lasttoken", .normalize = false, .max_seq_length = 40});
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->pooling.kind, PoolingKind::kLast);
  EXPECT_FALSE(model->pooling.normalize);
  EXPECT_EQ(model->max_text_length, 40);
}

TEST_F(ModelDirectoryTest, PlainDirectoryPoolsByMeanWithoutNormalization) {
  const absl::StatusOr<ModelDirectory> model =
      Load({.sentence_transformers = false, .tokenizer = false});
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->pooling.kind, PoolingKind::kMean);
  EXPECT_FALSE(model->pooling.normalize);
  EXPECT_EQ(model->max_text_length, 40);
  EXPECT_EQ(model->tokenizer_path, "");
}

TEST_F(ModelDirectoryTest, TokenizerConfigLimitsTextWhenNothingElseDoes) {
  ASSERT_THAT(WriteTinyBert(path_, {}), IsOk());
  ASSERT_THAT(WriteFile(File("tokenizer_config.json"), R"({"model_max_length": 30})"), IsOk());
  EXPECT_EQ(LoadModelDirectory(path_)->max_text_length, 24);
  Remove("sentence_bert_config.json");
  EXPECT_EQ(LoadModelDirectory(path_)->max_text_length, 30);
}

TEST_F(ModelDirectoryTest, TransformerModuleMayHaveItsOwnFolder) {
  ASSERT_THAT(WriteTinyBert(path_, {}), IsOk());
  std::filesystem::create_directory(File("0_Transformer"));
  for (const char* name :
       {"config.json", "model.safetensors", "tokenizer.json", "sentence_bert_config.json"}) {
    std::filesystem::rename(File(name), File(absl::StrCat("0_Transformer/", name)));
  }
  ASSERT_THAT(WriteFile(File("modules.json"),
                        R"([{"type": "sentence_transformers.models.Transformer",
                             "path": "0_Transformer"},
                            {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}])"),
              IsOk());
  const absl::StatusOr<ModelDirectory> model = LoadModelDirectory(path_);
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->max_text_length, 24);
  EXPECT_EQ(model->tokenizer_path, File("0_Transformer/tokenizer.json"));
}

TEST_F(ModelDirectoryTest, ATransformerAloneIsReadOfACrossEncoderOnly) {
  ASSERT_THAT(WriteTinyBert(path_, {}), IsOk());
  ASSERT_THAT(WriteFile(File("modules.json"),
                        R"([{"type": "sentence_transformers.models.Transformer", "path": ""}])"),
              IsOk());
  EXPECT_THAT(LoadModelDirectory(path_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("\"CrossEncoder\"")));
  ASSERT_THAT(WriteFile(File("config_sentence_transformers.json"),
                        R"({"model_type": "CrossEncoder", "prompts": {}})"),
              IsOk());
  EXPECT_THAT(LoadModelDirectory(path_), IsOk());
}

TEST_F(ModelDirectoryTest, FingerprintChangesWithEveryFile) {
  std::set<std::string> fingerprints;
  const auto add = [&] {
    const absl::StatusOr<ModelDirectory> model = LoadModelDirectory(path_);
    ASSERT_THAT(model, IsOk());
    EXPECT_TRUE(fingerprints.insert(model->fingerprint).second);
  };
  ASSERT_THAT(WriteTinyBert(path_, {}), IsOk());
  add();
  ASSERT_THAT(WriteTinyBert(path_, {.seed = 2}), IsOk());
  add();
  ASSERT_THAT(WriteTinyBert(path_, {.hidden_act = "relu"}), IsOk());
  add();
  ASSERT_THAT(WriteTinyBert(path_, {.pooling = "cls_token"}), IsOk());
  add();
  ASSERT_THAT(WriteTinyBert(path_, {.normalize = false}), IsOk());
  add();
  ASSERT_THAT(WriteTinyBert(path_, {.max_seq_length = 23}), IsOk());
  add();
  ASSERT_THAT(WriteTinyBert(path_, {}), IsOk());
  ASSERT_THAT(WriteFile(File("tokenizer.json"), "{}"), IsOk());
  add();
  Remove("tokenizer.json");
  add();
}

TEST_F(ModelDirectoryTest, FingerprintIsOfTheFilesNotOfThePlace) {
  const absl::StatusOr<ModelDirectory> model = Load({});
  const std::string other = directory_.File("other");
  ASSERT_THAT(WriteTinyBert(other), IsOk());
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->fingerprint, LoadModelDirectory(other)->fingerprint);
}

TEST_F(ModelDirectoryTest, MissingDirectoryIsNotFound) {
  EXPECT_THAT(
      LoadModelDirectory(path_),
      StatusIs(absl::StatusCode::kNotFound, AllOf(HasSubstr(path_), HasSubstr("does not exist"))));
}

TEST_F(ModelDirectoryTest, FileInPlaceOfTheDirectoryIsRefused) {
  ASSERT_THAT(WriteFile(path_, "x"), IsOk());
  EXPECT_THAT(LoadModelDirectory(path_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not a directory")));
}

TEST_F(ModelDirectoryTest, AllMissingFilesAreListed) {
  ASSERT_THAT(WriteTinyBert(path_, {}), IsOk());
  Remove("config.json");
  Remove("model.safetensors");
  Remove("1_Pooling");
  EXPECT_THAT(
      LoadModelDirectory(path_),
      StatusIs(absl::StatusCode::kNotFound, AllOf(HasSubstr(path_),
                                                  HasSubstr("config.json and model.safetensors and "
                                                            "1_Pooling/config.json"),
                                                  Not(HasSubstr("pytorch_model.bin")))));
}

TEST_F(ModelDirectoryTest, OtherWeightFormatsAreExplained) {
  ASSERT_THAT(WriteTinyBert(path_, {}), IsOk());
  Remove("model.safetensors");
  ASSERT_THAT(WriteFile(File("pytorch_model.bin"), "x"), IsOk());
  EXPECT_THAT(LoadModelDirectory(path_),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("lacks model.safetensors"),
                             HasSubstr("pytorch_model.bin, but only the safetensors format"))));
  ASSERT_THAT(WriteFile(File("model.safetensors.index.json"), "{}"), IsOk());
  EXPECT_THAT(LoadModelDirectory(path_), StatusIs(absl::StatusCode::kInvalidArgument,
                                                  HasSubstr("index.json lacks 'weight_map'")));
}

TEST_F(ModelDirectoryTest, ErrorsOfTheFilesNameTheDirectory) {
  ASSERT_THAT(WriteTinyBert(path_, {}), IsOk());
  ASSERT_THAT(WriteFile(File("model.safetensors"), "short"), IsOk());
  EXPECT_THAT(LoadModelDirectory(path_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(File("model.safetensors"))));
  ASSERT_THAT(WriteTinyBert(path_, {.hidden_act = "swish2"}), IsOk());
  EXPECT_THAT(LoadModelDirectory(path_), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                  AllOf(HasSubstr(path_), HasSubstr("swish2"))));
}

TEST_F(ModelDirectoryTest, LengthOverThePositionTableIsRefusedWithBothValues) {
  EXPECT_THAT(Load({.max_seq_length = 41}), StatusIs(absl::StatusCode::kInvalidArgument,
                                                     AllOf(HasSubstr("41"), HasSubstr("1 .. 40"))));
}

TEST_F(ModelDirectoryTest, PoolingOfAnotherSizeIsRefused) {
  ASSERT_THAT(WriteTinyBert(path_, {}), IsOk());
  ASSERT_THAT(WriteFile(File("1_Pooling/config.json"),
                        R"({"word_embedding_dimension": 33, "pooling_mode_cls_token": true})"),
              IsOk());
  EXPECT_THAT(LoadModelDirectory(path_), StatusIs(absl::StatusCode::kInvalidArgument,
                                                  AllOf(HasSubstr("33"), HasSubstr("32"))));
}

TEST_F(ModelDirectoryTest, DefaultPromptIsRefused) {
  ASSERT_THAT(WriteTinyBert(path_, {}), IsOk());
  ASSERT_THAT(
      WriteFile(File("config_sentence_transformers.json"), R"({"default_prompt_name": "query"})"),
      IsOk());
  EXPECT_THAT(LoadModelDirectory(path_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("default_prompt_name")));
}

TEST(RealModelTest, AllMiniLmL6IsRead) {
  const char* path = std::getenv("CONTEXTURE_MODEL_DIR");
  if (path == nullptr) GTEST_SKIP() << "CONTEXTURE_MODEL_DIR is not set";
  const absl::StatusOr<ModelDirectory> model = LoadModelDirectory(path);
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->config.model_type, "bert");
  EXPECT_EQ(model->config.hidden_size, 384);
  EXPECT_EQ(model->config.num_layers, 6);
  EXPECT_EQ(model->config.vocabulary_size, 30522);
  EXPECT_EQ(model->config.attention.num_heads, 12);
  EXPECT_EQ(model->config.max_length, 512);
  EXPECT_EQ(model->max_text_length, 256);
  EXPECT_EQ(model->pooling.kind, PoolingKind::kMean);
  EXPECT_TRUE(model->pooling.normalize);
  EXPECT_NE(model->tokenizer_path, "");
  EXPECT_TRUE(model->file->Contains("embeddings.position_ids"));
  EXPECT_EQ(model->weights.layers[5].down.weight.num_elements(), 384 * 1536);
}

}  // namespace
}  // namespace contexture
