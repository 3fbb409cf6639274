#include "client/cli/utf8.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"

namespace contexture::cli {
namespace {

bool IsContinuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

// Bytes of the code point that `text` begins with; 0: none that is valid.
size_t CodePointBytes(absl::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return 1;
  const size_t size = byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : 2;
  if (byte(0) < 0xC2 || byte(0) > 0xF4 || text.size() < size) return 0;
  uint32_t value = byte(0) & (0x7F >> size);
  for (size_t i = 1; i < size; ++i) {
    if (!IsContinuation(byte(i))) return 0;
    value = value << 6 | (byte(i) & 0x3F);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  return value < kSmallest[size] || value > 0x10FFFF || surrogate ? 0 : size;
}

}  // namespace

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t size = CodePointBytes(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

std::string OneLine(absl::string_view text, size_t max_characters) {
  std::string line;
  size_t characters = 0;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (!IsContinuation(byte) && ++characters > max_characters) return line + "...";
    // U+0080 to U+009F, C2 80 to C2 9F, control some terminals.
    if (IsContinuation(byte) && byte < 0xA0 && !line.empty() && line.back() == '\xC2') {
      line.back() = ' ';
      continue;
    }
    line += byte < 0x20 || byte == 0x7F ? ' ' : c;
  }
  return line;
}

size_t CountCharacters(absl::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return !IsContinuation(static_cast<unsigned char>(c)); });
}

std::string PadLeft(absl::string_view text, size_t width) {
  const size_t characters = CountCharacters(text);
  return absl::StrCat(std::string(width - std::min(width, characters), ' '), text);
}

}  // namespace contexture::cli
