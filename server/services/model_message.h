#pragma once

#include "contexture/v1/encoder.pb.h"
#include "server/services/served_model.h"

namespace contexture {

// What GetModel answers.
v1::Model ModelMessage(const ServedModel& model);

}  // namespace contexture
