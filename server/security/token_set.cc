#include "server/security/token_set.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"

namespace contexture {
namespace {

constexpr const char* kDefaultServices[] = {"contexture.v1.EncoderService",
                                            "contexture.v1.TaskService"};

bool IsHex(absl::string_view text) {
  return text.find_first_not_of("0123456789abcdefABCDEF") == absl::string_view::npos;
}

// "package.Service" allows all of its methods.
bool Covers(absl::string_view allowed, absl::string_view method) {
  if (allowed == "*" || allowed == method) return true;
  return absl::ConsumePrefix(&method, allowed) && absl::StartsWith(method, "/");
}

}  // namespace

absl::Status TokenSet::ParseField(absl::string_view field, Entry& entry) {
  if (absl::ConsumePrefix(&field, "allow=")) {
    entry.allowed = absl::StrSplit(field, ',', absl::SkipEmpty());
    if (!entry.allowed.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError("allow= names no service");
  }
  if (absl::ConsumePrefix(&field, "expires=")) {
    std::string error;
    if (absl::ParseTime(absl::RFC3339_full, field, &entry.expires, &error)) return absl::OkStatus();
    return absl::InvalidArgumentError("expires= is not a time such as 2026-12-31T23:59:59Z");
  }
  return absl::InvalidArgumentError("a field is neither allow= nor expires=");
}

absl::StatusOr<TokenSet::Entry> TokenSet::ParseLine(absl::string_view line) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  // What is on the line is not repeated: it may be a token that somebody forgot to hash.
  if (words.size() < 2) return absl::InvalidArgumentError("a name and a SHA-256 are expected");
  Entry entry;
  if (words[1].size() != 2 * entry.digest.size() || !IsHex(words[1])) {
    return absl::InvalidArgumentError("the second word is not a SHA-256 of 64 hexadecimal digits");
  }
  entry.name = std::string(words[0]);
  const std::string digest = absl::HexStringToBytes(words[1]);
  std::copy(digest.begin(), digest.end(), entry.digest.begin());
  entry.allowed = {std::begin(kDefaultServices), std::end(kDefaultServices)};
  for (size_t i = 2; i < words.size(); ++i) CTX_RETURN_IF_ERROR(ParseField(words[i], entry));
  return entry;
}

absl::StatusOr<TokenSet> TokenSet::Parse(absl::string_view text) {
  TokenSet tokens;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || absl::StartsWith(line, "#")) continue;
    auto entry = ParseLine(line);
    if (!entry.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": ", entry.status().message()));
    }
    tokens.entries_.push_back(*std::move(entry));
  }
  if (tokens.entries_.empty()) return absl::InvalidArgumentError("no token in it");
  return tokens;
}

absl::Status TokenSet::Check(absl::string_view token, absl::string_view method,
                             absl::Time now) const {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  const Entry* found = nullptr;
  // All are compared, each to its end: the time tells nothing about how near a guess was.
  for (const Entry& entry : entries_) {
    if (CRYPTO_memcmp(digest.data(), entry.digest.data(), digest.size()) == 0) found = &entry;
  }
  if (found == nullptr) return absl::UnauthenticatedError("the bearer token is not known");
  if (now >= found->expires) {
    return absl::UnauthenticatedError(
        absl::StrCat("the bearer token '", found->name, "' expired at ",
                     absl::FormatTime(absl::RFC3339_sec, found->expires, absl::UTCTimeZone())));
  }
  for (const std::string& allowed : found->allowed) {
    if (Covers(allowed, method)) return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      absl::StrCat("the bearer token '", found->name, "' is not for ", method));
}

}  // namespace contexture
