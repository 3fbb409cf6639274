#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/engine/engine.h"
#include "core/engine/head_outputs.h"
#include "core/engine/pooling.h"
#include "core/engine/wanted_rows.h"
#include "core/kernels/vector_kernels.h"
#include "core/nn/encoder.h"

namespace contexture {

// An Engine over an nn::Encoder: checks, groups, runs, and writes the outputs.
class EncoderEngine : public Engine {
 public:
  EncoderEngine(EngineInfo info, std::unique_ptr<nn::Encoder> encoder, Isa isa);
  // For the loader, before the engine is shared.
  void SetAccuracy(const Accuracy& accuracy) { info_.accuracy = accuracy; }
  void SetPooling(std::unique_ptr<const ModelPooling> pooling) { pooling_ = std::move(pooling); }
  void SetHeads(std::unique_ptr<const HeadOutputs> heads);
  void SetReason(std::string reason) { info_.precision_reason = std::move(reason); }

  const EngineInfo& info() const override { return info_; }
  std::unique_ptr<Workspace> NewWorkspace() const override;
  absl::Status Run(const PackedBatch& batch, const OutputPlan& plan,
                   Workspace& workspace) const override;
  absl::Status Inspect(const PackedBatch& sequence, absl::Span<const InspectItem> items,
                       Workspace& workspace) const override;

 private:
  struct OwnWorkspace : Workspace {
    OwnWorkspace(std::unique_ptr<nn::Workspace> nn_workspace, size_t writer_floats);
    void EnableProfile() override { nn->profile = &profile; }
    void ShareWith(Team* team, absl::Span<const std::unique_ptr<Workspace>> members) override;
    std::vector<std::pair<std::string, double>> ProfileSeconds() const override;
    std::unique_ptr<nn::Workspace> nn;
    nn::Profile profile;
    std::vector<uint32_t> offsets, target_offsets;  // of the group, from 0
    std::vector<uint8_t> layers;                    // [num_layers]: whether an output is of these
    WantedRows wanted;                              // of the group
    AlignedBuffer<float> writer;                    // WriterContext::scratch
    HeadOutputs::Scratch heads;                     // empty without heads
  };

  // Sequences [first, last) of a plan, that are computed together.
  struct Group {
    const OutputPlan& plan;
    int first;
    int last;
  };
  class LowerLayers;

  // That what the offsets point to is there.
  static absl::Status CheckPlan(const PackedBatch& batch, const OutputPlan& plan);
  // BATCH is checked before.
  absl::Status CheckSlots(const PackedBatch& batch, const OutputPlan& plan) const;
  absl::Status CheckSlot(const OutputSlot& slot, uint32_t length) const;
  absl::Status CheckBatch(const PackedBatch& batch) const;
  absl::Status CheckTargets(const PackedBatch& batch) const;
  absl::Status CheckAttended(const PackedBatch& batch) const;
  absl::Status CheckSequences(absl::Span<const uint32_t> ids,
                              absl::Span<const uint32_t> offsets) const;
  static absl::Status CheckIds(absl::Span<const uint32_t> ids, absl::string_view what, int limit);
  void WritePositionMatrix(const InspectItem& item) const;
  int GroupEnd(const PackedBatch& batch, int first) const;
  void RunGroup(const PackedBatch& batch, const Group& group, OwnWorkspace& workspace) const;
  // Runs the layers that the group's outputs need, and writes those of all but the last of them.
  // Returns OutputSpec::layer of those that are left.
  int RunLayers(const PackedBatch& tokens, const Group& group, OwnWorkspace& workspace) const;
  // The outputs of LAYER of sequence SEQUENCE, which are made of VECTORS.
  void WriteOutputs(const OutputPlan& plan, int sequence, int layer, const SequenceVectors& vectors,
                    OwnWorkspace& workspace) const;

  EngineInfo info_;
  std::unique_ptr<nn::Encoder> encoder_;
  std::unique_ptr<const ModelPooling> pooling_;  // null: see ModelPooling
  std::unique_ptr<const HeadOutputs> heads_;     // null: the model has none
  const kernels::VectorKernels& kernels_;
  const int workspace_tokens_;
};

}  // namespace contexture
