#include "client/cli/npy_file.h"

#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace contexture::cli {
namespace {

constexpr char kMagic[] = "\x93NUMPY\x01";  // and the minor version, the literal's last byte: 0
constexpr size_t kPrefixBytes = 10;         // magic, version and the header's length
constexpr size_t kAlignment = 64;
// numpy.save leaves room for the first dimension to grow to this many digits.
constexpr size_t kFirstDimensionDigits = 21;

}  // namespace

std::string NpyHeader(absl::string_view descr, absl::Span<const int64_t> shape) {
  std::string header =
      absl::StrCat("{'descr': '", descr, "', 'fortran_order': False, 'shape': (",
                   absl::StrJoin(shape, ", "), shape.size() == 1 ? ",), }" : "), }");
  if (!shape.empty()) {
    header.append(kFirstDimensionDigits - absl::StrCat(shape.front()).size(), ' ');
  }
  const size_t unpadded = kPrefixBytes + header.size() + 1;
  header.append(kAlignment - unpadded % kAlignment, ' ');
  header += '\n';
  std::string bytes(kMagic, sizeof(kMagic));
  bytes += static_cast<char>(header.size() & 0xFF);
  bytes += static_cast<char>(header.size() >> 8);
  return bytes + header;
}

absl::Status WriteWholeFile(const std::string& path, absl::string_view header,
                            absl::string_view data) {
  const std::string partial = path + ".partial";
  std::ofstream file(partial, std::ios::binary);
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  file.write(data.data(), static_cast<std::streamsize>(data.size()));
  file.close();
  if (!file || std::rename(partial.c_str(), path.c_str()) != 0) {
    std::remove(partial.c_str());
    return absl::InternalError(absl::StrCat("cannot write the file '", path, "'"));
  }
  return absl::OkStatus();
}

}  // namespace contexture::cli
