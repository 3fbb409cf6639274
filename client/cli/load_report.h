#pragma once

#include <ostream>
#include <vector>

#include "client/cli/json.h"
#include "client/cli/load_generator.h"
#include "client/cli/picture.h"

namespace contexture::cli {

struct LoadReport {
  LoadStep step;
  LoadStepResult result;
};

// Every figure of a step, of all traffic and of each class; seconds, shares and rates a second.
Json ToJson(const LoadReport& report);

// A table for people: its head, and the row of a step with a row for each class where there are
// several.
void PrintLoadHead(std::ostream& out);
void PrintLoadRow(const LoadReport& report, std::ostream& out);

// Latency and throughput over the offered rate (or the calls at a time, in a closed loop).
Picture LoadPicture(const std::vector<LoadReport>& reports);

}  // namespace contexture::cli
