#pragma once

#include <array>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace contexture {

// The bearer tokens that a server takes, as a file lists them; immutable, so thread safe.
//
// One token a line: a name for logs, the token's SHA-256 in hexadecimal, and what else holds:
//
//   # reporting job, until the end of the year
//   reports 2c26b46b...e7ae expires=2026-12-31T23:59:59Z
//   operator fcde2b2e...60b1 allow=*
//
// `allow` lists, with commas, services (grpc.health.v1.Health) or methods
// (contexture.v1.EncoderService/Encode) or * for all; without it: the two services of
// contexture.v1. The file has no secret in it: tokens are random (RFC 6750 asks for it), so a plain
// hash cannot be turned round.
class TokenSet {
 public:
  // INVALID_ARGUMENT: a line that is not understood, named by its number; or no token at all.
  static absl::StatusOr<TokenSet> Parse(absl::string_view text);

  // May TOKEN call METHOD ("package.Service/Method")? UNAUTHENTICATED: no such token, or it has
  // expired; PERMISSION_DENIED: it is not for METHOD. Takes the same time for every wrong token of
  // one length.
  absl::Status Check(absl::string_view token, absl::string_view method, absl::Time now) const;

  size_t size() const { return entries_.size(); }

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Entry {
    std::string name;
    Digest digest = {};
    std::vector<std::string> allowed;
    absl::Time expires = absl::InfiniteFuture();
  };

  static absl::StatusOr<Entry> ParseLine(absl::string_view line);
  static absl::Status ParseField(absl::string_view field, Entry& entry);

  std::vector<Entry> entries_;
};

}  // namespace contexture
