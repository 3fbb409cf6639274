#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "core/base/aligned_buffer.h"
#include "core/base/team.h"
#include "core/nn/observer.h"
#include "core/nn/positions/positional_encoding.h"
#include "core/nn/profile.h"
#include "core/tensor/packed_batch.h"

namespace contexture::nn {

// Takes the hidden states between the layers while an encoder runs. Called from the computing
// thread; what it is given is valid during the call only.
class LayerTap {
 public:
  virtual ~LayerTap() = default;
  // HIDDEN [tokens, hidden]: what LAYERS layers made of the embedding; 0: the embedding itself. Not
  // called for the last of those that run, whose output Run leaves.
  virtual void OnLayers(int layers, const float* hidden) = 0;
};

// The activations of one worker, allocated once by the encoder that uses them. Not thread safe.
struct Workspace {
  virtual ~Workspace() = default;
  virtual size_t bytes() const { return hidden.bytes(); }

  static constexpr int kAllLayers = -1;

  int max_tokens = 0;
  Profile* profile = nullptr;    // where to add up the time of the parts, or null
  Observer* observer = nullptr;  // who is shown a batch of one sequence, or null; if `observable`
  LayerTap* tap = nullptr;       // or null
  int layers = kAllLayers;       // how many run, or kAllLayers: all, and the final norm
  AlignedBuffer<float> hidden;   // [tokens, hidden]: the residual stream, at the end the result
  // Whose members compute a batch together, see share.h; null or without helpers: nobody else. Each
  // has the scratch of its own workspace, of the same encoder; all have the same rounding modes.
  Team* team = nullptr;
  std::vector<Workspace*> members;  // by number; of a team
};

// A whole encoder in one precision: embedding, layers, optional final norm. Immutable, thread safe.
class Encoder {
 public:
  virtual ~Encoder() = default;
  virtual std::unique_ptr<Workspace> NewWorkspace(int max_tokens) const = 0;
  // Leaves the contextual vectors of the tokens ROWS (ascending; empty: all) one after another in
  // workspace.hidden [rows, hidden]: what only the other tokens need is not computed, and the bits
  // are those of a run for all. The batch holds at most workspace.max_tokens tokens, its ids, type
  // ids and lengths are in range. Allocates nothing. The workspace's team does not change a bit.
  virtual void Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
                   Workspace& workspace) const = 0;
  virtual size_t weight_bytes() const = 0;
  virtual const PositionalEncoding& positions() const = 0;
  // Whether Run shows its steps to the workspace's observer.
  virtual bool observable() const { return false; }
};

}  // namespace contexture::nn
