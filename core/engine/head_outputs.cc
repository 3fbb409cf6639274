#include "core/engine/head_outputs.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/status_macros.h"
#include "core/engine/output_writer.h"

namespace contexture {
namespace {

bool AllFinite(const float* values, int count) {
  bool finite = true;
  for (int i = 0; i < count; ++i) finite = finite && std::isfinite(values[i]);
  return finite;
}

// DESTINATION, floats of any alignment, grows by WEIGHT * VALUES.
void AddTo(const float* values, int count, float weight, char* destination) {
  for (int i = 0; i < count; ++i) {
    float sum;
    std::memcpy(&sum, destination + i * sizeof(float), sizeof(float));
    sum += weight * values[i];
    std::memcpy(destination + i * sizeof(float), &sum, sizeof(float));
  }
}

// f of SparseConfig, of a value that is not negative.
float SparseWeight(float x, bool log_twice) {
  const float weight = std::log1p(x);
  return log_twice ? std::log1p(weight) : weight;
}

// DESTINATION, floats of any alignment, takes the relu of VALUES in: the largest, or the sum of
// their weights.
void Pool(const float* values, int count, const HeadOutput& head, char* destination) {
  const bool sums = head.sparse == SparsePooling::kSum;
  for (int i = 0; i < count; ++i) {
    if (!(values[i] > 0.0f)) continue;
    float pooled;
    std::memcpy(&pooled, destination + i * sizeof(float), sizeof(float));
    pooled = sums ? pooled + SparseWeight(values[i], head.log_twice) : std::max(pooled, values[i]);
    std::memcpy(destination + i * sizeof(float), &pooled, sizeof(float));
  }
}

}  // namespace

size_t HeadOutputs::Scratch::bytes() const {
  return input.bytes() + features.bytes() + outputs.bytes() +
         top.size() * TopPredictions::kMax * sizeof(Prediction);
}

absl::StatusOr<std::unique_ptr<HeadOutputs>> HeadOutputs::Create(const ModelDirectory& directory,
                                                                 kernels::LinearBackend backend,
                                                                 Isa isa) {
  const EncoderConfig& config = directory.config;
  if (config.heads.empty()) return nullptr;
  std::unique_ptr<HeadOutputs> outputs(new HeadOutputs(isa));
  for (size_t i = 0; i < config.heads.size(); ++i) {
    CTX_ASSIGN_OR_RETURN(auto head, nn::Head::Create(config, config.heads[i],
                                                     directory.weights.heads[i], backend, isa));
    outputs->heads_.push_back(std::move(head));
  }
  return outputs;
}

HeadOutputs::Scratch HeadOutputs::NewScratch() const {
  size_t hidden = 0, features = 0, columns = 0;
  for (const auto& head : heads_) {
    hidden = std::max<size_t>(hidden, head->hidden_size());
    features = std::max<size_t>(features, head->features());
    columns = std::max<size_t>(columns, head->tile_columns(0));
  }
  Scratch scratch;
  scratch.rows.reserve(kPanelRows);
  scratch.input = AlignedBuffer<float>(kPanelRows * hidden);
  scratch.features = AlignedBuffer<float>(kPanelRows * features);
  scratch.outputs = AlignedBuffer<float>(kPanelRows * columns);
  scratch.top.resize(kPanelRows);
  return scratch;
}

void HeadOutputs::Write(const HeadBatch& batch, Scratch& scratch) const {
  for (size_t i = 0; i < heads_.size(); ++i) WriteHead(static_cast<int>(i), batch, scratch);
}

void HeadOutputs::WriteHead(int index, const HeadBatch& batch, Scratch& scratch) const {
  scratch.rows.clear();
  for (int i = 0; i < batch.tokens.num_sequences(); ++i) {
    const int sequence = batch.first + i;
    for (uint32_t s = batch.plan.offsets[sequence]; s < batch.plan.offsets[sequence + 1]; ++s) {
      const OutputSlot& slot = batch.plan.slots[s];
      if (slot.spec.kind != OutputKind::kHead || slot.spec.head.index != index) continue;
      AddSlot(index, batch, i, slot, scratch);
    }
  }
  Flush(index, batch, scratch);
  for (uint32_t s = batch.plan.offsets[batch.first];
       s < batch.plan.offsets[batch.first + batch.tokens.num_sequences()]; ++s) {
    const OutputSlot& slot = batch.plan.slots[s];
    if (slot.spec.kind == OutputKind::kHead && slot.spec.head.index == index) FinishSparse(slot);
  }
}

// log1p rises, so that of the largest value is the largest one.
void HeadOutputs::FinishSparse(const OutputSlot& slot) {
  if (slot.spec.head.sparse != SparsePooling::kMax) return;
  for (int i = 0; i < slot.spec.dimensions; ++i) {
    float value;
    std::memcpy(&value, slot.destination + i * sizeof(float), sizeof(float));
    if (value == 0.0f) continue;
    value = SparseWeight(value, slot.spec.head.log_twice);
    std::memcpy(slot.destination + i * sizeof(float), &value, sizeof(float));
  }
}

void HeadOutputs::AddSlot(int index, const HeadBatch& batch, int sequence, const OutputSlot& slot,
                          Scratch& scratch) const {
  const int hidden = heads_[index]->hidden_size();
  const size_t bytes = hidden * sizeof(float);
  const uint32_t begin = batch.wanted.begin(sequence), end = batch.wanted.begin(sequence + 1);
  const auto vector = [&](uint32_t row) {
    return batch.hidden + static_cast<size_t>(row) * hidden;
  };
  Scratch::Row row = {static_cast<uint32_t>(batch.first + sequence), &slot.spec, slot.destination,
                      1.0f};
  const size_t row_bytes = slot.spec.dimensions * sizeof(float);
  switch (slot.spec.head.rows) {
    case HeadRows::kFirst:
      std::memcpy(AddRow(index, batch, row, scratch), vector(begin), bytes);
      return;
    case HeadRows::kLast:
      std::memcpy(AddRow(index, batch, row, scratch), vector(end - 1), bytes);
      return;
    case HeadRows::kMean:
      kernels_.pool(kernels::PoolMode::kMean, vector(begin), static_cast<int>(end - begin), hidden,
                    AddRow(index, batch, row, scratch));
      return;
    case HeadRows::kMeanLate:
      std::memset(slot.destination, 0, row_bytes);
      row.weight = 1.0f / static_cast<float>(end - begin);
      for (uint32_t i = begin; i < end; ++i) {
        std::memcpy(AddRow(index, batch, row, scratch), vector(i), bytes);
      }
      return;
    case HeadRows::kChosen: {
      uint32_t wanted = begin;
      for (uint32_t token : slot.tokens) {
        while (batch.wanted.token(wanted) != batch.tokens.offsets[sequence] + token) ++wanted;
        std::memcpy(AddRow(index, batch, row, scratch), vector(wanted), bytes);
        row.destination += RowBytes(slot.spec);
      }
      return;
    }
    case HeadRows::kEach: {
      const bool sparse = slot.spec.head.sparse != SparsePooling::kNone;
      if (sparse) std::memset(slot.destination, 0, row_bytes);
      for (uint32_t i = begin; i < end; ++i) {
        const bool predicted = slot.spec.head.top_k > 0;
        if (predicted && batch.tokens.ids[batch.wanted.token(i)] != slot.spec.head.token) continue;
        std::memcpy(AddRow(index, batch, row, scratch), vector(i), bytes);
        if (!sparse) row.destination += row_bytes;
      }
      return;
    }
  }
}

float* HeadOutputs::AddRow(int index, const HeadBatch& batch, const Scratch::Row& row,
                           Scratch& scratch) const {
  if (scratch.rows.size() == kPanelRows) Flush(index, batch, scratch);
  scratch.rows.push_back(row);
  return scratch.input.data() + (scratch.rows.size() - 1) * heads_[index]->hidden_size();
}

void HeadOutputs::Flush(int index, const HeadBatch& batch, Scratch& scratch) const {
  const nn::Head& head = *heads_[index];
  const int rows = static_cast<int>(scratch.rows.size());
  if (rows == 0) return;
  for (int r = 0; r < rows; ++r) {
    if (const int k = scratch.rows[r].spec->head.top_k; k > 0) scratch.top[r].Reset(k);
  }
  head.Transform(scratch.input.data(), rows, scratch.features.data());
  for (int tile = 0; tile < head.num_tiles(); ++tile) {
    const int columns = head.tile_columns(tile);
    head.RunTile(tile, scratch.features.data(), rows, scratch.outputs.data());
    for (int r = 0; r < rows; ++r) {
      const Scratch::Row& row = scratch.rows[r];
      const float* values = scratch.outputs.data() + static_cast<size_t>(r) * columns;
      char* destination = row.destination + head.tile_begin(tile) * sizeof(float);
      if (row.spec->head.top_k > 0) {
        scratch.top[r].Add(head.tile_begin(tile), {values, static_cast<size_t>(columns)});
        continue;
      }
      if (!AllFinite(values, columns)) batch.plan.non_finite[row.sequence] = 1;
      if (HasChosenRows(*row.spec)) {
        // Such a head is one tile.
        float* vector = scratch.outputs.data() + static_cast<size_t>(r) * columns;
        WriteRow(kernels_, *row.spec, vector, vector, row.destination);
      } else if (row.spec->head.sparse != SparsePooling::kNone) {
        Pool(values, columns, row.spec->head, destination);
      } else if (row.spec->head.rows == HeadRows::kMeanLate) {
        AddTo(values, columns, row.weight, destination);
      } else {
        std::memcpy(destination, values, columns * sizeof(float));
      }
    }
  }
  for (int r = 0; r < rows; ++r) {
    const Scratch::Row& row = scratch.rows[r];
    if (row.spec->head.top_k == 0) continue;
    const absl::Span<const Prediction> best = scratch.top[r].Finish();
    if (!scratch.top[r].finite()) batch.plan.non_finite[row.sequence] = 1;
    std::memcpy(row.destination, best.data(), best.size() * sizeof(Prediction));
  }
  scratch.rows.clear();
}

size_t HeadOutputs::weight_bytes() const {
  size_t bytes = 0;
  for (const auto& head : heads_) bytes += head->weight_bytes();
  return bytes;
}

}  // namespace contexture
