#include "tests/server/fakes.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_split.h"
#include "core/engine/top_predictions.h"

namespace contexture::test_support {
namespace {

constexpr uint32_t kFirst = 1;
constexpr uint32_t kLast = 2;

std::vector<uint32_t> WordIds(absl::string_view text) {
  std::vector<uint32_t> ids;
  for (absl::string_view word : absl::StrSplit(text, ' ')) {
    ids.push_back(10 + static_cast<uint32_t>(word.size()));
  }
  return ids;
}

void AddOrigin(uint32_t begin, uint32_t end, TokenOrigins& origins) {
  origins.begins.push_back(begin);
  origins.ends.push_back(end);
  origins.text_indices.push_back(0);
  origins.special.push_back(0);
}

void AddSpecial(TokenOrigins& origins) {
  AddOrigin(0, 0, origins);
  origins.special.back() = 1;
}

void AddWords(absl::string_view text, uint32_t text_index, TokenOrigins& origins) {
  uint32_t begin = 0;
  for (absl::string_view word : absl::StrSplit(text, ' ')) {
    const auto end = begin + static_cast<uint32_t>(word.size());
    AddOrigin(begin, end, origins);
    origins.text_indices.back() = text_index;
    begin = end + 1;
  }
}

void WriteRow(absl::Span<const uint32_t> ids, const OutputSpec& spec, float offset,
              char* destination) {
  for (int d = 0; d < spec.dimensions; ++d) {
    float value = offset;
    for (uint32_t id : ids) value += static_cast<float>(10 * id + d);
    if (spec.data_type == DataType::kFloat32) {
      std::memcpy(destination + d * sizeof(float), &value, sizeof(float));
    }
  }
}

void WriteLogits(absl::Span<const uint32_t> ids, const OutputSpec& spec, char* destination) {
  for (int d = 0; d < spec.dimensions; ++d) {
    const float value = FakeLogit({ids.begin(), ids.end()}, d);
    std::memcpy(destination + d * sizeof(float), &value, sizeof(float));
  }
}

// Of every mask token the first tokens of the vocabulary.
void WritePredictions(absl::Span<const uint32_t> ids, const OutputSlot& slot) {
  char* next = slot.destination;
  for (uint32_t id : ids) {
    for (int k = 0; id == slot.spec.head.token && k < slot.spec.head.top_k; ++k) {
      const Prediction prediction = {static_cast<uint32_t>(k), 1.0f / static_cast<float>(k + 2)};
      std::memcpy(next, &prediction, sizeof(prediction));
      next += sizeof(prediction);
    }
  }
}

void WriteHeadSlot(absl::Span<const uint32_t> ids, const OutputSlot& slot) {
  if (slot.spec.head.top_k > 0) return WritePredictions(ids, slot);
  if (HasChosenRows(slot.spec)) {
    for (size_t row = 0; row < slot.tokens.size(); ++row) {
      WriteLogits(ids.subspan(slot.tokens[row], 1), slot.spec,
                  slot.destination + row * RowBytes(slot.spec));
    }
    return;
  }
  if (slot.spec.head.rows != HeadRows::kEach) {
    return WriteLogits(ids, slot.spec, slot.destination);
  }
  for (size_t row = 0; row < ids.size(); ++row) {
    WriteLogits(ids.subspan(row, 1), slot.spec,
                slot.destination + row * slot.spec.dimensions * sizeof(float));
  }
}

void WriteSlot(absl::Span<const uint32_t> ids, float offset, const OutputSlot& slot) {
  if (slot.spec.kind == OutputKind::kHead) return WriteHeadSlot(ids, slot);
  if (slot.spec.kind == OutputKind::kPooled) {
    return WriteRow(ids, slot.spec, offset, slot.destination);
  }
  const size_t row_bytes = RowBytes(slot.spec);
  for (size_t i = 0; i < slot.span_begins.size(); ++i) {
    const uint32_t begin = slot.span_begins[i];
    WriteRow(ids.subspan(begin, slot.span_ends[i] - begin), slot.spec, offset,
             slot.destination + i * row_bytes);
  }
  if (slot.spec.kind == OutputKind::kSpans) return;
  for (size_t row = 0; row < ids.size(); ++row) {
    WriteRow(ids.subspan(row, 1), slot.spec, offset, slot.destination + row * row_bytes);
  }
}

}  // namespace

float FakeLogit(const std::vector<uint32_t>& ids, int output) {
  uint32_t sum = 0;
  for (uint32_t id : ids) sum += id * (output + 1);
  return static_cast<float>(sum % 7) - 3.0f;
}

HeadConfig FakeClassifier(const std::vector<std::string>& labels) {
  return {.task = HeadTask::kSequenceClassification,
          .num_outputs = static_cast<int>(labels.size()),
          .labels = labels,
          .score_function = labels.size() == 1 ? ScoreFunction::kSigmoid : ScoreFunction::kSoftmax,
          .rank_function = ScoreFunction::kSigmoid};
}

EngineInfo FakeEngineInfo() {
  EngineInfo info;
  info.config.model_type = "fake";
  info.config.hidden_size = 4;
  info.config.num_layers = 1;
  info.config.vocabulary_size = 100;
  info.config.type_vocabulary_size = 2;
  info.config.max_length = 16;
  info.config.attention.num_heads = 1;
  info.pooling = {.kind = PoolingKind::kMean, .normalize = false};
  info.max_text_length = 8;
  info.max_batch_tokens = 64;
  info.precision = "f32";
  info.isa = "generic";
  info.fingerprint = "abc";
  return info;
}

absl::Status FakeEngine::Run(const PackedBatch& batch, const OutputPlan& plan, Workspace&) const {
  {
    absl::MutexLock lock(&mutex_);
    ++waiting_;
    mutex_.Await(absl::Condition(&running_));
    --waiting_;
    sequences_run_ += batch.num_sequences();
    batch_sizes_.push_back(batch.num_sequences());
  }
  for (int i = 0; i < batch.num_sequences(); ++i) {
    const auto ids = batch.ids.subspan(batch.offsets[i], batch.length(i));
    for (uint32_t s = plan.offsets[i]; s < plan.offsets[i + 1]; ++s)
      WriteSlot(ids, offset_, plan.slots[s]);
    plan.non_finite[i] = std::count(ids.begin(), ids.end(), kPoisonId) > 0 ? 1 : 0;
  }
  return absl::OkStatus();
}

void FakeEngine::Pause() {
  absl::MutexLock lock(&mutex_);
  running_ = false;
}

void FakeEngine::Resume() {
  absl::MutexLock lock(&mutex_);
  running_ = true;
}

void FakeEngine::AwaitPausedRun() const {
  absl::MutexLock lock(&mutex_);
  const auto waits = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return waiting_ > 0; };
  mutex_.Await(absl::Condition(&waits));
}

std::vector<int> FakeEngine::batch_sizes() const {
  absl::MutexLock lock(&mutex_);
  return batch_sizes_;
}

int FakeEngine::sequences_run() const {
  absl::MutexLock lock(&mutex_);
  return sequences_run_;
}

absl::StatusOr<Encoding> FakeTokenizer::Encode(absl::string_view text,
                                               const EncodeOptions& options) const {
  std::vector<uint32_t> words = WordIds(text);
  Encoding encoding;
  encoding.original_length = static_cast<uint32_t>(words.size() + 2);
  const size_t room = options.max_length > 0 ? options.max_length - 2 : words.size();
  if (words.size() > room) {
    if (options.truncation == Truncation::kLeft) words.erase(words.begin(), words.end() - room);
    words.resize(room);
  }
  encoding.ids.push_back(kFirst);
  encoding.ids.insert(encoding.ids.end(), words.begin(), words.end());
  encoding.ids.push_back(kLast);
  encoding.type_ids.assign(encoding.ids.size(), 0);
  if (options.with_origins) {
    AddSpecial(encoding.origins);
    AddWords(text, 0, encoding.origins);  // of a text that was not cut
    AddSpecial(encoding.origins);
  }
  return encoding;
}

absl::StatusOr<Encoding> FakeTokenizer::EncodePair(absl::string_view first,
                                                   absl::string_view second,
                                                   const EncodeOptions& options) const {
  Encoding encoding;
  encoding.ids.push_back(kFirst);
  for (uint32_t id : WordIds(first)) encoding.ids.push_back(id);
  encoding.ids.push_back(kLast);
  encoding.type_ids.assign(encoding.ids.size(), 0);
  for (uint32_t id : WordIds(second)) encoding.ids.push_back(id);
  encoding.ids.push_back(kLast);
  encoding.type_ids.resize(encoding.ids.size(), 1);
  encoding.original_length = static_cast<uint32_t>(encoding.ids.size());
  if (options.with_origins) {
    AddSpecial(encoding.origins);
    AddWords(first, 0, encoding.origins);
    AddSpecial(encoding.origins);
    AddWords(second, 1, encoding.origins);
    AddSpecial(encoding.origins);
  }
  return encoding;
}

std::string FakeTokenizer::Decode(absl::Span<const uint32_t> ids) const {
  std::string text;
  for (uint32_t id : ids) text += "<" + std::to_string(id) + ">";
  return text;
}

absl::StatusOr<std::unique_ptr<PairEncoder>> FakeTokenizer::NewPairEncoder(
    absl::string_view first) const {
  class Pair final : public PairEncoder {
   public:
    Pair(const FakeTokenizer& tokenizer, absl::string_view first)
        : tokenizer_(tokenizer), first_(first) {}
    absl::StatusOr<Encoding> Encode(absl::string_view second,
                                    const EncodeOptions& options) const override {
      return tokenizer_.EncodePair(first_, second, options);
    }

   private:
    const FakeTokenizer& tokenizer_;
    const std::string first_;
  };
  return std::make_unique<Pair>(*this, first);
}

absl::StatusOr<std::vector<Token>> FakeTokenizer::Tokenize(absl::string_view text,
                                                           bool add_special_tokens) const {
  std::vector<Token> tokens;
  if (add_special_tokens) tokens.push_back({.id = kFirst, .text = "<first>", .special = true});
  uint32_t begin = 0;
  for (absl::string_view word : absl::StrSplit(text, ' ')) {
    const auto end = begin + static_cast<uint32_t>(word.size());
    tokens.push_back({.id = 10 + static_cast<uint32_t>(word.size()),
                      .text = std::string(word),
                      .begin = begin,
                      .end = end});
    begin = end + 1;
  }
  if (add_special_tokens) tokens.push_back({.id = kLast, .text = "<last>", .special = true});
  return tokens;
}

ServedModel FakeServedModel(const Tokenizer* tokenizer) {
  return {.name = "fake",
          .info = FakeEngineInfo(),
          .tokenizer = std::shared_ptr<const Tokenizer>(std::shared_ptr<void>(), tokenizer),
          .generation = nullptr,
          .max_inputs_per_request = 4,
          .max_message_bytes = 1000,
          .max_text_bytes = 100,
          .server_version = "1.2.3"};
}

std::string FakePooled(const std::vector<uint32_t>& ids, float offset) {
  const OutputSpec spec{.dimensions = FakeEngineInfo().config.hidden_size};
  std::string data(OutputBytes(spec, 1), '\0');
  WriteRow(ids, spec, offset, data.data());
  return data;
}

}  // namespace contexture::test_support
