#include "core/model/json_reader.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace contexture {
namespace {

constexpr size_t kShownBytes = 120;

// Builds the value from the parser's events (nlohmann's SAX interface) and stops at the first thing
// that is not allowed. Nothing recurses.
class BoundedBuilder {
 public:
  explicit BoundedBuilder(const JsonLimits& limits) : limits_(limits) {}

  Json TakeRoot() { return std::move(root_); }
  const std::string& error() const { return error_; }

  bool null() { return Place(nullptr) != nullptr; }
  bool boolean(bool value) { return Place(value) != nullptr; }
  bool number_integer(int64_t value) { return Place(value) != nullptr; }
  bool number_unsigned(uint64_t value) { return Place(value) != nullptr; }
  bool number_float(double value, const std::string&) { return Place(value) != nullptr; }
  bool string(std::string& value) { return Place(std::move(value)) != nullptr; }
  bool binary(Json::binary_t&) { return Fail("holds binary data"); }
  bool start_object(size_t) { return Open(Json::object()); }
  bool start_array(size_t) { return Open(Json::array()); }
  bool end_object() { return Close(); }
  bool end_array() { return Close(); }

  bool key(std::string& name) {
    Json& object = *open_.back();
    if (object.contains(name)) return Fail(absl::StrCat("key ", Quote(name), " occurs twice"));
    member_ = &object[name];
    return true;
  }

  // The parser's own text may quote the file at any length; the position says enough.
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) {
    return Fail(absl::StrCat("is not valid JSON in UTF-8 at byte ", position));
  }

 private:
  bool Fail(std::string message) {
    error_ = std::move(message);
    return false;
  }

  // Puts VALUE where the text has it; null when there are too many.
  Json* Place(Json value) {
    if (++num_values_ > limits_.max_values) {
      Fail(absl::StrCat("holds more than ", limits_.max_values, " values"));
      return nullptr;
    }
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    *member_ = std::move(value);
    return member_;
  }

  bool Open(Json container) {
    if (open_.size() >= static_cast<size_t>(limits_.max_depth)) {
      return Fail(absl::StrCat("is nested deeper than ", limits_.max_depth, " levels"));
    }
    Json* placed = Place(std::move(container));
    if (placed != nullptr) open_.push_back(placed);
    return placed != nullptr;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  const JsonLimits limits_;
  size_t num_values_ = 0;
  Json root_;
  std::vector<Json*> open_;  // the containers around the current position, outermost first
  Json* member_ = nullptr;   // where the value after a key goes
  std::string error_;
};

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view what,
                               const JsonLimits& limits) {
  const auto error = [what](absl::string_view message) {
    return absl::InvalidArgumentError(absl::StrCat(what, " ", message));
  };
  if (text.size() > limits.max_bytes) {
    return error(
        absl::StrCat("has ", text.size(), " bytes; at most ", limits.max_bytes, " are allowed"));
  }
  // The parser takes a NUL for the end of the text and would not look at what follows.
  const size_t nul = text.find('\0');
  if (nul != absl::string_view::npos) {
    return error(absl::StrCat("is not valid JSON in UTF-8 at byte ", nul));
  }
  BoundedBuilder builder(limits);
  if (!Json::sax_parse(text.data(), text.data() + text.size(), &builder)) {
    return error(builder.error());
  }
  return builder.TakeRoot();
}

absl::StatusOr<Json> ParseJsonObject(absl::string_view text, absl::string_view what,
                                     const JsonLimits& limits) {
  CTX_ASSIGN_OR_RETURN(Json value, ParseJson(text, what, limits));
  if (!value.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " is a JSON ", value.type_name(), ", not an object"));
  }
  return value;
}

std::string Quote(absl::string_view name) {
  const bool cut = name.size() > kShownBytes;
  return absl::StrCat("'", absl::CHexEscape(name.substr(0, kShownBytes)), cut ? "..." : "", "'");
}

std::string Show(const Json& value) {
  std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true);
  if (text.size() <= kShownBytes) return text;
  text.resize(kShownBytes);
  return text + "...";
}

}  // namespace contexture
