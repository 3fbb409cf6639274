#include "client/tensor_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>

namespace contexture::client {
namespace {

using ::testing::ElementsAre;

template <typename T>
v1::Tensor MakeTensor(v1::DataType type, std::initializer_list<int64_t> shape,
                      const std::vector<T>& elements) {
  v1::Tensor tensor;
  tensor.set_data_type(type);
  for (int64_t dimension : shape) tensor.add_shape(dimension);
  tensor.set_data(
      std::string(reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(T)));
  return tensor;
}

TEST(TensorValuesTest, Float32IsUnchanged) {
  const auto tensor = MakeTensor<float>(v1::DATA_TYPE_FLOAT32, {2, 2}, {1.5F, -2, 0, 1e-30F});
  EXPECT_THAT(TensorValues(tensor).value(), ElementsAre(1.5F, -2, 0, 1e-30F));
}

TEST(TensorValuesTest, Bfloat16IsExact) {
  const auto tensor = MakeTensor<uint16_t>(v1::DATA_TYPE_BFLOAT16, {3}, {0x3F80, 0xC040, 0x0001});
  EXPECT_THAT(TensorValues(tensor).value(), ElementsAre(1.0F, -3.0F, std::ldexp(1.0F, -133)));
}

TEST(TensorValuesTest, Float16IsExactForNormalSubnormalAndInfinite) {
  const auto tensor = MakeTensor<uint16_t>(v1::DATA_TYPE_FLOAT16, {6},
                                           {0x3C00, 0xC000, 0x0001, 0x7C00, 0x7BFF, 0x8000});
  const auto values = TensorValues(tensor).value();
  EXPECT_THAT(values, ElementsAre(1.0F, -2.0F, std::ldexp(1.0F, -24), HUGE_VALF, 65504.0F, 0.0F));
  EXPECT_TRUE(std::signbit(values[5]));
}

TEST(TensorValuesTest, Float16NotANumberStaysOne) {
  const auto tensor = MakeTensor<uint16_t>(v1::DATA_TYPE_FLOAT16, {1}, {0x7E00});
  EXPECT_TRUE(std::isnan(TensorValues(tensor).value()[0]));
}

TEST(TensorValuesTest, Int8IsDividedBy127) {
  const auto tensor = MakeTensor<int8_t>(v1::DATA_TYPE_INT8, {3}, {127, -127, 0});
  EXPECT_THAT(TensorValues(tensor).value(), ElementsAre(1.0F, -1.0F, 0.0F));
}

TEST(TensorValuesTest, BitsAreUnpackedFromTheHighestOnRowByRow) {
  const auto tensor = MakeTensor<uint8_t>(v1::DATA_TYPE_BINARY, {2, 9}, {0x98, 0x80, 0x01, 0x00});
  EXPECT_THAT(TensorValues(tensor).value(),
              ElementsAre(1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0));
  const auto cut = MakeTensor<uint8_t>(v1::DATA_TYPE_BINARY, {2, 9}, {0x98, 0x80, 0x01});
  EXPECT_EQ(TensorValues(cut).status().code(), absl::StatusCode::kInternal);
}

TEST(TensorValuesTest, NoRowsHaveNoValues) {
  const auto tensor = MakeTensor<float>(v1::DATA_TYPE_FLOAT32, {0, 4}, {});
  EXPECT_THAT(TensorValues(tensor).value(), ElementsAre());
}

TEST(TensorValuesTest, ShapeAndBytesThatDisagreeAreRefused) {
  const std::vector<float> six(6);
  for (std::initializer_list<int64_t> shape : {std::initializer_list<int64_t>{5},
                                               {7},
                                               {2, 2},
                                               {-6},
                                               {0},
                                               {6, 0},
                                               {-2, -3},
                                               {int64_t{1} << 62, 4, 6}}) {
    const auto tensor = MakeTensor<float>(v1::DATA_TYPE_FLOAT32, shape, six);
    EXPECT_EQ(TensorValues(tensor).status().code(), absl::StatusCode::kInternal)
        << tensor.ShortDebugString();
  }
  auto tensor = MakeTensor<float>(v1::DATA_TYPE_FLOAT32, {6}, six);
  tensor.mutable_data()->pop_back();
  EXPECT_EQ(TensorValues(tensor).status().code(), absl::StatusCode::kInternal);
}

TEST(TensorValuesTest, UnknownDataTypeIsRefusedByNumber) {
  const auto tensor = MakeTensor<float>(static_cast<v1::DataType>(77), {1}, {1.0F});
  EXPECT_EQ(TensorValues(tensor).status(),
            absl::InternalError("a tensor of the unknown data type 77 was received"));
}

}  // namespace
}  // namespace contexture::client
