#include "tests/golden/encode_batch.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/helped_team.h"

namespace contexture::test_support {
namespace {

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

absl::StatusOr<std::vector<SequenceVectors>> EncodeAllWith(
    const Engine& engine, Workspace& workspace, const std::vector<std::vector<uint32_t>>& sequences,
    bool together) {
  std::vector<const std::vector<uint32_t>*> batch;
  std::vector<SequenceVectors> vectors;
  for (size_t i = 0; i < sequences.size(); ++i) {
    batch.push_back(&sequences[i]);
    if (together && i + 1 < sequences.size()) continue;
    auto result = EncodeBatch(engine, workspace, batch);
    if (!result.ok()) return result.status();
    std::move(result->begin(), result->end(), std::back_inserter(vectors));
    batch.clear();
  }
  return vectors;
}

}  // namespace

absl::StatusOr<std::vector<SequenceVectors>> EncodeBatch(
    const Engine& engine, Workspace& workspace,
    const std::vector<const std::vector<uint32_t>*>& sequences) {
  const EngineInfo& info = engine.info();
  const int hidden = info.config.hidden_size;
  const OutputSpec tokens{.kind = OutputKind::kTokens, .dimensions = hidden};
  const OutputSpec pooled{.kind = OutputKind::kPooled,
                          .pooling = info.pooling.kind,
                          .normalize = info.pooling.normalize,
                          .dimensions = info.pooling.Size(hidden)};
  std::vector<uint32_t> ids, offsets = {0}, slot_offsets = {0};
  std::vector<OutputSlot> slots;
  std::vector<SequenceVectors> results(sequences.size());
  std::vector<uint8_t> non_finite(sequences.size(), 0);
  for (size_t i = 0; i < sequences.size(); ++i) {
    ids.insert(ids.end(), sequences[i]->begin(), sequences[i]->end());
    offsets.push_back(static_cast<uint32_t>(ids.size()));
    results[i].tokens.resize(sequences[i]->size() * hidden);
    results[i].pooled.resize(pooled.dimensions);
    slots.push_back({tokens, reinterpret_cast<char*>(results[i].tokens.data())});
    slots.push_back({pooled, reinterpret_cast<char*>(results[i].pooled.data())});
    slot_offsets.push_back(static_cast<uint32_t>(slots.size()));
  }
  const PackedBatch batch{.ids = ids, .type_ids = {}, .offsets = offsets};
  const OutputPlan plan{
      .slots = slots, .offsets = slot_offsets, .non_finite = absl::MakeSpan(non_finite)};
  if (absl::Status status = engine.Run(batch, plan, workspace); !status.ok()) return status;
  for (size_t i = 0; i < non_finite.size(); ++i) {
    if (non_finite[i]) return absl::InternalError(absl::StrCat("sequence ", i, " is not finite"));
  }
  return results;
}

absl::StatusOr<std::vector<SequenceVectors>> EncodeAll(
    const Engine& engine, const std::vector<std::vector<uint32_t>>& sequences, bool together) {
  return EncodeAllWith(engine, *engine.NewWorkspace(), sequences, together);
}

absl::StatusOr<std::vector<SequenceVectors>> EncodeShared(
    const Engine& engine, const std::vector<std::vector<uint32_t>>& sequences, bool together,
    int members) {
  std::vector<std::unique_ptr<Workspace>> workspaces;
  for (int i = 0; i < members; ++i) workspaces.push_back(engine.NewWorkspace());
  HelpedTeam helped(members);
  workspaces[0]->ShareWith(&helped.team(), workspaces);
  while (true) {
    auto vectors = EncodeAllWith(engine, *workspaces[0], sequences, together);
    if (!vectors.ok() || helped.team().helped() > 0) return vectors;
  }
}

bool BitIdentical(const SequenceVectors& a, const SequenceVectors& b) {
  return SameBits(a.tokens, b.tokens) && SameBits(a.pooled, b.pooled);
}

}  // namespace contexture::test_support
