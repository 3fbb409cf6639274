#include "core/kernels/reference.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace contexture::kernels::reference {

void Norm(const NormArgs& args) {
  for (int r = 0; r < args.rows; ++r) {
    std::vector<double> x(args.size);
    const size_t at = static_cast<size_t>(r) * args.size;
    double mean = 0, variance = 0;
    for (int c = 0; c < args.size; ++c) {
      x[c] = args.input[at + c];
      if (args.bias != nullptr) x[c] += args.bias[c];
      if (args.residual != nullptr) x[c] += args.residual[at + c];
      mean += x[c] / args.size;
    }
    if (!args.subtract_mean) mean = 0;
    for (double v : x) variance += (v - mean) * (v - mean) / args.size;
    for (int c = 0; c < args.size; ++c) {
      args.output[at + c] = static_cast<float>(
          (x[c] - mean) / std::sqrt(variance + args.epsilon) * args.gamma[c] + args.beta[c]);
    }
  }
}

void Add(const AddArgs& args) {
  for (int i = 0; i < args.rows * args.size; ++i) {
    const double bias = args.bias == nullptr ? 0 : args.bias[i % args.size];
    const double residual = args.residual == nullptr ? 0 : args.residual[i];
    args.output[i] = static_cast<float>(args.input[i] + bias + residual);
  }
}

double Activate(Epilogue epilogue, double x) {
  switch (epilogue) {
    case Epilogue::kNone:
    case Epilogue::kBias:
      return x;
    case Epilogue::kBiasGeluErf:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Epilogue::kBiasGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Epilogue::kBiasRelu:
      return std::max(x, 0.0);
    case Epilogue::kBiasSilu:
      return x / (1 + std::exp(-x));
  }
  return x;
}

void ApplyEpilogue(const EpilogueArgs& args) {
  if (args.epilogue == Epilogue::kNone) return;
  for (int r = 0; r < args.rows; ++r) {
    for (int c = 0; c < args.columns; ++c) {
      float& x = args.tile[static_cast<size_t>(r) * args.stride + c];
      x = static_cast<float>(Activate(args.epilogue, static_cast<double>(x) + args.bias[c]));
    }
  }
}

void Gate(const GateArgs& args) {
  for (int r = 0; r < args.num_rows; ++r) {
    float* row = args.rows + static_cast<size_t>(r) * 2 * args.columns;
    for (int c = 0; c < args.columns; ++c) {
      row[c] = static_cast<float>(Activate(args.activation, row[c]) * row[args.columns + c]);
    }
  }
}

void Rotate(const RotateArgs& args) {
  const int half = args.head_size / 2;
  for (int r = 0; r < args.num_rows; ++r) {
    const float* turn = args.turns + static_cast<size_t>(r) * args.head_size;
    for (int i = 0; i < args.num_heads * half; ++i) {
      float* pair = args.rows + static_cast<size_t>(r) * args.stride +
                    static_cast<size_t>(i / half) * args.head_size + i % half;
      const double first = pair[0], second = pair[half];
      const double cosine = turn[i % half], sine = turn[half + i % half];
      pair[0] = static_cast<float>(first * cosine - second * sine);
      pair[half] = static_cast<float>(second * cosine + first * sine);
    }
  }
}

double RelativeScore(const AttentionArgs& args, int query, int key) {
  const RelativeScores& relative = *args.relative;
  const int row = relative.rows[key - query];
  double sum = 0;
  for (int d = 0; d < args.head_size; ++d) {
    if (relative.keys != nullptr) {
      sum += static_cast<double>(args.query[static_cast<size_t>(query) * args.stride + d]) *
             relative.keys[static_cast<size_t>(d) * relative.key_stride + row];
    }
    if (relative.queries != nullptr) {
      sum += static_cast<double>(args.key[static_cast<size_t>(key) * args.stride + d]) *
             relative.queries[static_cast<size_t>(row) * relative.query_stride + d];
    }
  }
  return sum;
}

double Score(const AttentionArgs& args, int query, int key) {
  if (args.causal && key > query) return -INFINITY;
  if (args.window != 0 && std::abs(query - key) > args.window) return -INFINITY;
  double product = 0;
  for (int d = 0; d < args.head_size; ++d) {
    product += static_cast<double>(args.query[static_cast<size_t>(query) * args.stride + d]) *
               args.key[static_cast<size_t>(key) * args.stride + d];
  }
  if (args.relative != nullptr) product += RelativeScore(args, query, key);
  const double bias = args.distance_bias == nullptr ? 0 : args.distance_bias[key - query];
  return product * args.scale - args.alibi_slope * std::abs(query - key) + bias;
}

std::vector<double> Weights(const AttentionArgs& args, int query) {
  std::vector<double> weights(args.key_length);
  for (int j = 0; j < args.key_length; ++j) weights[j] = Score(args, query, j);
  const double max = *std::max_element(weights.begin(), weights.end());
  double sum = 0;
  for (double& weight : weights) sum += weight = std::exp(weight - max);
  for (double& weight : weights) weight /= sum;
  return weights;
}

void Attend(const AttentionArgs& args) {
  for (int i = 0; i < args.query_length; ++i) {
    const std::vector<double> weights = Weights(args, i);
    for (int d = 0; d < args.head_size; ++d) {
      double context = 0;
      for (int j = 0; j < args.key_length; ++j) {
        context += weights[j] * args.value[static_cast<size_t>(j) * args.stride + d];
      }
      args.context[static_cast<size_t>(i) * args.context_stride + d] = static_cast<float>(context);
    }
  }
}

void Pool(PoolMode mode, const float* input, int rows, int size, float* output) {
  for (int c = 0; c < size; ++c) {
    double sum = 0, max = -INFINITY;
    for (int r = 0; r < rows; ++r) {
      const double x = input[static_cast<size_t>(r) * size + c];
      sum += x;
      max = std::max(max, x);
    }
    output[c] = static_cast<float>(mode == PoolMode::kMean ? sum / rows : max);
  }
}

void Multiply(const MatrixArgs& args) {
  for (int r = 0; r < args.rows; ++r) {
    for (int o = 0; o < args.out; ++o) {
      double sum = 0;
      for (int i = 0; i < args.in; ++i) {
        sum += static_cast<double>(args.x[static_cast<size_t>(r) * args.in + i]) *
               args.weight[static_cast<size_t>(o) * args.in + i];
      }
      args.y[static_cast<size_t>(r) * args.out + o] = static_cast<float>(sum);
    }
  }
}

}  // namespace contexture::kernels::reference
