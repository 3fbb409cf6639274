#include "server/model_source.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

absl::StatusOr<std::vector<ModelSource>> Sources(const std::string& model,
                                                 const std::string& name = "") {
  ServerOptions options;
  options.model = model;
  options.model_name = name;
  return ModelSources(options);
}

TEST(ModelSourceTest, NameIsTheDirectorysLastPartUnlessGiven) {
  for (const char* path : {"models/bert", "models/bert/", "models/bert/.", "/a/b/../bert//"}) {
    EXPECT_THAT(*Sources(path), ElementsAre(ModelSource{"bert", path}));
  }
  EXPECT_THAT(*Sources("models/bert", "mine"), ElementsAre(ModelSource{"mine", "models/bert"}));
  EXPECT_THAT(*Sources("own=models/bert", "mine"), ElementsAre(ModelSource{"own", "models/bert"}));
}

TEST(ModelSourceTest, SeveralComeInOrder) {
  EXPECT_THAT(
      *Sources("small=/m/a, /m/b,c=d", "first"),
      ElementsAre(ModelSource{"small", "/m/a"}, ModelSource{"b", "/m/b"}, ModelSource{"c", "d"}));
  EXPECT_THAT(*Sources("/m/a,/m/b", "first"),
              ElementsAre(ModelSource{"first", "/m/a"}, ModelSource{"b", "/m/b"}));
}

TEST(ModelSourceTest, EqualsSignAfterASlashIsOfTheDirectory) {
  EXPECT_THAT(*Sources("/m/a=b/bert"), ElementsAre(ModelSource{"bert", "/m/a=b/bert"}));
}

TEST(ModelSourceTest, MistakesAreNamed) {
  EXPECT_THAT(Sources("/m/a,,/m/b"), StatusIs(kInvalid, HasSubstr("model 2")));
  EXPECT_THAT(Sources("a="), StatusIs(kInvalid, HasSubstr("no directory")));
  EXPECT_THAT(Sources("/m/bert,/n/bert"), StatusIs(kInvalid, HasSubstr("'bert'")));
  EXPECT_THAT(Sources("a\nb=/m"), StatusIs(kInvalid, HasSubstr("printable")));
  EXPECT_THAT(CheckNewModelName(std::string(129, 'a')), StatusIs(kInvalid, HasSubstr("129")));
  EXPECT_THAT(CheckNewModelName(""), StatusIs(kInvalid, HasSubstr("0 bytes")));
  EXPECT_THAT(CheckNewModelName("all-MiniLM-L6-v2"), IsOk());
}

}  // namespace
}  // namespace contexture
