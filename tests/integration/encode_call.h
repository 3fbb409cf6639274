#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "contexture/v1/encoder.grpc.pb.h"
#include "grpcpp/channel.h"

namespace contexture::test_support {

// The calls that several integration tests make.

// `length` ids below `vocabulary_size`.
std::vector<uint32_t> RandomIds(std::mt19937& random, int length, uint32_t vocabulary_size);

// A request for the pooled vectors of `ids`, or for their token vectors.
v1::EncodeRequest IdsRequest(const std::vector<std::vector<uint32_t>>& ids,
                             v1::OutputKind kind = v1::OUTPUT_KIND_POOLED);

struct EncodeAnswer {
  grpc::Status status;
  v1::EncodeResponse response;
};
// One Encode call. Blocks until the answer or `deadline`; never retries.
EncodeAnswer CallEncode(const std::shared_ptr<grpc::Channel>& channel,
                        const v1::EncodeRequest& request,
                        absl::Duration deadline = absl::Seconds(60));

// One GetModel call for the default model.
absl::StatusOr<v1::Model> CallGetModel(const std::shared_ptr<grpc::Channel>& channel);

}  // namespace contexture::test_support
