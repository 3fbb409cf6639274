#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/engine/engine.h"
#include "core/text/tokenizer.h"
#include "server/services/served_model.h"

namespace contexture::test_support {

// The id whose sequence has a result that is not finite.
inline constexpr uint32_t kPoisonId = 99;

// The fake tokenizer's id of "[MASK]", and of all words of six bytes.
inline constexpr uint32_t kMaskId = 16;

EngineInfo FakeEngineInfo();  // hidden 4, vocabulary 100, 2 types, max_length 16, max_text_length 8

// The logits that FakeEngine gives for the outputs of a head: of a sequence, or of a token alone.
float FakeLogit(const std::vector<uint32_t>& ids, int output);
// A head of these labels.
HeadConfig FakeClassifier(const std::vector<std::string>& labels);

// Vectors that tell which ids they come from: element d of a token is 10 * id + d, pooled vectors
// are the sum over the tokens, of spans over theirs. No normalisation. Another OFFSET, added to
// each element, makes another model, which should have another fingerprint. Thread safe.
class FakeEngine final : public Engine {
 public:
  explicit FakeEngine(EngineInfo info = FakeEngineInfo(), float offset = 0)
      : info_(std::move(info)), offset_(offset) {}
  const EngineInfo& info() const override { return info_; }
  std::unique_ptr<Workspace> NewWorkspace() const override { return std::make_unique<Workspace>(); }
  absl::Status Run(const PackedBatch& batch, const OutputPlan& plan,
                   Workspace& workspace) const override;

  // Run blocks from now on until Resume.
  void Pause();
  void Resume();
  // Blocks until a Run waits for Resume.
  void AwaitPausedRun() const;
  int sequences_run() const;
  std::vector<int> batch_sizes() const;  // sequences of each Run

 private:
  const EngineInfo info_;
  const float offset_;
  mutable absl::Mutex mutex_;
  mutable bool running_ ABSL_GUARDED_BY(mutex_) = true;
  mutable int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable int sequences_run_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable std::vector<int> batch_sizes_ ABSL_GUARDED_BY(mutex_);
};

// A token for each word between single spaces, its id 10 + the word's bytes; 1 before and 2 after,
// the second text of a pair has type 1.
class FakeTokenizer final : public Tokenizer {
 public:
  absl::StatusOr<Encoding> Encode(absl::string_view text,
                                  const EncodeOptions& options) const override;
  absl::StatusOr<Encoding> EncodePair(absl::string_view first, absl::string_view second,
                                      const EncodeOptions& options) const override;
  absl::StatusOr<std::unique_ptr<PairEncoder>> NewPairEncoder(
      absl::string_view first) const override;
  absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view text,
                                              bool add_special_tokens) const override;
  std::string TokenText(uint32_t id) const override {
    return id == kMaskId ? "[MASK]" : "token " + std::to_string(id);
  }
  std::string Decode(absl::Span<const uint32_t> ids) const override;
  int64_t TokenId(absl::string_view token) const override {
    return token == "[MASK]" ? kMaskId : 10 + static_cast<int64_t>(token.size());
  }
  bool marks_subwords() const override { return false; }
  int64_t unknown_id() const override { return -1; }
  uint32_t vocabulary_size() const override { return 100; }
};

// A model of FakeEngineInfo and TOKENIZER, named "fake", with small limits: 4 inputs, 1000 bytes.
ServedModel FakeServedModel(const Tokenizer* tokenizer);

// The pooled vector that FakeEngine gives for IDS, as Tensor.data.
std::string FakePooled(const std::vector<uint32_t>& ids, float offset = 0);

}  // namespace contexture::test_support
