#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "core/text/tokenizer.h"

namespace contexture {

// A lower-casing WordPiece tokenizer.json: [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, "hello" 4, "world"
// 5,
// "##s" 6, "a" 7, "e" 8, "日" 9, "!" 10. Truncation to 4 and padding to 8 tokens are switched on,
// and the stride would make the library fail if they were heeded.
nlohmann::json SmallTokenizerJson();

// The tokenizer of JSON; fails the test and gives null when it does not load.
std::unique_ptr<Tokenizer> LoadOrFail(const nlohmann::json& json);

}  // namespace contexture
