#include "core/model/fingerprint.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace contexture {
namespace {

// One SHA-256 computation; remembers a failure until the end.
class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    ok_ = context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1;
  }
  void Add(absl::string_view bytes) {
    ok_ = ok_ && EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1;
  }
  absl::StatusOr<std::string> Finish() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    ok_ = ok_ && EVP_DigestFinal_ex(context_.get(), digest, &size) == 1;
    if (!ok_) return absl::InternalError("OpenSSL cannot compute a SHA-256");
    return absl::BytesToHexString({reinterpret_cast<const char*>(digest), size});
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
  bool ok_ = false;
};

}  // namespace

absl::StatusOr<std::string> Fingerprint(absl::Span<const NamedContents> files) {
  std::vector<const NamedContents*> order;
  for (const NamedContents& file : files) order.push_back(&file);
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return a->name < b->name; });
  Sha256 hash;
  for (const NamedContents* file : order) {
    // The lengths before the bytes keep "ab" + "c" apart from "a" + "bc".
    hash.Add(absl::StrCat(file->name.size(), " ", file->contents.size(), "\n"));
    hash.Add(file->name);
    hash.Add(file->contents);
  }
  return hash.Finish();
}

}  // namespace contexture
