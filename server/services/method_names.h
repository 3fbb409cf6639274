#pragma once

#include "server/metrics/registry.h"

namespace contexture {

// The method's name on the wire: what tokens are allowed to call, and what logs and traces say.
constexpr const char* FullName(Method method) {
  constexpr const char* kNames[] = {"contexture.v1.EncoderService/Encode",
                                    "contexture.v1.EncoderService/EncodeStream",
                                    "contexture.v1.EncoderService/Tokenize",
                                    "contexture.v1.EncoderService/GetModel",
                                    "contexture.v1.EncoderService/Inspect",
                                    "contexture.v1.EncoderService/Attend",
                                    "contexture.v1.TaskService/Classify",
                                    "contexture.v1.TaskService/Rerank",
                                    "contexture.v1.AdminService/ListModels",
                                    "contexture.v1.AdminService/LoadModel",
                                    "contexture.v1.AdminService/ReloadModel",
                                    "contexture.v1.AdminService/UnloadModel",
                                    "contexture.v1.EncoderService/EncodeChunked",
                                    "contexture.v1.TaskService/ClassifyTokens",
                                    "contexture.v1.TaskService/FillMask",
                                    "contexture.v1.TaskService/ScoreLateInteraction"};
  return kNames[static_cast<size_t>(method)];
}

}  // namespace contexture
