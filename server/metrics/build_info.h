#pragma once

#include <string>

namespace contexture {

// What this program was built from.
struct BuildInfo {
  std::string version;   // of Contexture, "0.1.0"
  std::string onednn;    // "3.7.2"
  std::string compiler;  // "gcc 12.2.0", "clang 14.0.6"
};

BuildInfo CurrentBuild();

}  // namespace contexture
