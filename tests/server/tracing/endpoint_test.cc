#include "server/tracing/endpoint.h"

#include <cstdlib>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/tracing/open_tracer.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using ::testing::HasSubstr;

constexpr char kGeneral[] = "OTEL_EXPORTER_OTLP_ENDPOINT";
constexpr char kOfTraces[] = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

class EndpointTest : public ::testing::Test {
 protected:
  EndpointTest() { Clear(); }
  ~EndpointTest() override { Clear(); }
  static void Clear() {
    unsetenv(kGeneral);
    unsetenv(kOfTraces);
  }
};

TEST_F(EndpointTest, TheFlagWinsOverTheEnvironment) {
  EXPECT_EQ(*TracesEndpoint(""), "");
  setenv(kGeneral, "http://general:4317", 1);
  EXPECT_EQ(*TracesEndpoint(""), "http://general:4317");
  setenv(kOfTraces, "https://traces:4317", 1);
  EXPECT_EQ(*TracesEndpoint(""), "https://traces:4317");
  EXPECT_EQ(*TracesEndpoint("http://flag:4317"), "http://flag:4317");
}

TEST_F(EndpointTest, WhatIsNoUrlIsRefused) {
  EXPECT_THAT(TracesEndpoint("collector:4317"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'collector:4317'")));
}

TEST_F(EndpointTest, WithoutAnEndpointThereIsNoTracer) {
  const auto tracer = OpenTracer({});
  ASSERT_THAT(tracer, IsOk());
  EXPECT_EQ(*tracer, nullptr);
}

}  // namespace
}  // namespace contexture
