#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/aligned_buffer.h"
#include "core/engine/output_plan.h"
#include "core/engine/top_predictions.h"
#include "core/engine/wanted_rows.h"
#include "core/kernels/linear.h"
#include "core/kernels/vector_kernels.h"
#include "core/model/model_directory.h"
#include "core/nn/head.h"
#include "core/tensor/packed_batch.h"

namespace contexture {

// The sequences of a plan that were computed together, and their vectors.
struct HeadBatch {
  const PackedBatch& tokens;  // those whose vectors are the result
  const OutputPlan& plan;
  int first;  // in the plan, of the batch's sequences
  const WantedRows& wanted;
  const float* hidden;  // [wanted rows, hidden]
};

// Writes the outputs of heads (OutputKind::kHead). The rows of all sequences go through a head
// together, in panels. Immutable, thread safe.
class HeadOutputs {
 public:
  // Rows that go through a head together.
  static constexpr int kPanelRows = 32;

  // The memory of one worker.
  struct Scratch {
    struct Row {
      uint32_t sequence;
      const OutputSpec* spec;
      char* destination;
      float weight;  // kMeanLate: of the row's outputs in the sum; else unused
    };
    std::vector<Row> rows;            // of the panel
    AlignedBuffer<float> input;       // [panel, hidden]
    AlignedBuffer<float> features;    // [panel, features]
    AlignedBuffer<float> outputs;     // [panel, columns of a tile]
    std::vector<TopPredictions> top;  // [panel]
    size_t bytes() const;
  };

  // Packs the heads of DIRECTORY; the views of the weights may go afterwards. Null when there is
  // none. Codes: those of kernels::MakeLinear.
  static absl::StatusOr<std::unique_ptr<HeadOutputs>> Create(const ModelDirectory& directory,
                                                             kernels::LinearBackend backend,
                                                             Isa isa);

  const nn::Head& head(int index) const { return *heads_[index]; }
  Scratch NewScratch() const;
  // Allocates nothing. Sets plan.non_finite of sequences whose outputs are not finite.
  void Write(const HeadBatch& batch, Scratch& scratch) const;
  size_t weight_bytes() const;

 private:
  explicit HeadOutputs(Isa isa) : kernels_(kernels::GetVectorKernels(isa)) {}
  void WriteHead(int index, const HeadBatch& batch, Scratch& scratch) const;
  void AddSlot(int index, const HeadBatch& batch, int sequence, const OutputSlot& slot,
               Scratch& scratch) const;
  // Makes room in the panel for one more row and returns it.
  float* AddRow(int index, const HeadBatch& batch, const Scratch::Row& row, Scratch& scratch) const;
  // What is left once all rows of the slot's sequence went through the head.
  static void FinishSparse(const OutputSlot& slot);
  void Flush(int index, const HeadBatch& batch, Scratch& scratch) const;

  const kernels::VectorKernels& kernels_;
  std::vector<std::unique_ptr<nn::Head>> heads_;  // of EncoderConfig::heads
};

}  // namespace contexture
