#include "validation/calibration/shapes.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

using namespace specmoe;

namespace {

constexpr std::size_t kClasses = std::size(kKernelClasses);

// What validation/cuda/runner.cpp and kernels.hpp take. A shape beyond ends a measuring run, after minutes on a lent GPU.
constexpr std::int64_t kBuffer = 1 << 30;       // bytes of inputs, and of outputs
constexpr std::int64_t kArena = 6'500'000'000;  // weights or cache of one launch, on a GPU with 26 GB free
constexpr std::int64_t kMostGroups = 128, kMostRank = 16, kMostHeads = 65'535, kMostReads = 16,
                       kMostWrites = 2;

/// Why the runner would not take a kernel; "" if it does.
std::string refusal(const Kernel& kernel) {
  struct {
    std::string operator()(const Gemm& g) const {
      if (g.weights != WeightFormat::bf16 && g.weights != WeightFormat::fp8)
        return "weights in another format";
      if (weight_bytes(g.n * g.k, g.weights).count > kArena) return "weights beyond the arena";
      return 2 * g.m * std::max(g.n, g.k) <= kBuffer ? "" : "activations";
    }
    std::string operator()(const GroupedGemm& g) const {
      if (g.weights != WeightFormat::bf16) return "weights in another format";
      if (g.groups < 1 || g.groups > kMostGroups) return "groups";
      if (g.k % 8 != 0) return "k";
      if (weight_bytes(g.n * g.k * g.groups, g.weights).count > kArena) return "weights beyond the arena";
      return 2 * g.rows * std::max(g.n, g.k) <= kBuffer ? "" : "activations";
    }
    std::string operator()(const Attention& a) const {
      if (a.head_dim != 64 && a.head_dim != 128) return "head_dim";
      if (a.heads % a.kv_heads != 0 || a.heads > kMostHeads || a.sequences > kMostHeads) return "heads";
      if (a.queries % a.sequences != 0 || a.kv_positions % a.sequences != 0)
        return "sequences of different length";
      if (a.pairs < a.queries * (a.kv_positions / a.sequences) && a.kv_positions < a.queries) return "cache";
      if (2 * 2 * a.kv_positions * a.kv_heads * a.head_dim > kArena) return "cache beyond the arena";
      return 2 * a.queries * a.heads * a.head_dim <= kBuffer ? "" : "activations";
    }
    std::string operator()(const Elementwise& e) const {
      if (e.reads > kMostReads || e.writes > kMostWrites) return "arrays";
      return 2 * e.rows * e.width * std::max(e.reads, e.writes) <= kBuffer ? "" : "activations";
    }
    std::string operator()(const TopK& t) const {
      if (t.k > std::min(t.width, kMostRank)) return "rank";
      if (4 * t.rows * t.k > kBuffer / 2) return "answers";
      return 2 * t.rows * t.width <= kBuffer ? "" : "activations";
    }
  } reason;
  return std::visit(reason, kernel.work);
}

std::string text_of(const Kernel& kernel) {
  return fmt::format("{} {}", kKernelClasses[kernel.work.index()], fmt::join(parameters_of(kernel), " "));
}

void check_taken(const std::vector<Kernel>& kernels) {
  for (const Kernel& kernel : kernels) {
    const std::string why = refusal(kernel);
    CHECK_MESSAGE(why.empty(), text_of(kernel) << ": " << why);
  }
}

std::vector<std::vector<std::int64_t>> numbers(const std::vector<Kernel>& kernels) {
  std::vector<std::vector<std::int64_t>> all;
  for (const Kernel& kernel : kernels) all.push_back(parameters_of(kernel));
  return all;
}

}  // namespace

TEST_CASE("shapes: the numbers of a kernel make the same kernel, and each has a name") {
  const std::vector<Kernel> examples{{Gemm{2, 3, 5, WeightFormat::fp8}},
                                     {GroupedGemm{2, 3, 5, 7, WeightFormat::int4}},
                                     {Attention{2, 3, 5, 7, 11, 13, 17}},
                                     {Elementwise{2, 3, 5, 7}},
                                     {TopK{2, 3, 5}}};
  REQUIRE(examples.size() == kClasses);
  CHECK((parameters_of(examples[0]) == std::vector<std::int64_t>{2, 3, 5, 2}));  // fp8 is the third format
  CHECK((parameters_of(examples[2]) == std::vector<std::int64_t>{2, 3, 5, 7, 11, 13, 17}));
  for (std::size_t i = 0; i < kClasses; ++i) {
    CAPTURE(kKernelClasses[i]);
    std::vector<Kernel> kernels = shapes_to_fit(i);
    kernels.push_back(examples[i]);
    for (const Kernel& kernel : kernels) {
      const std::vector<std::int64_t> p = parameters_of(kernel);
      REQUIRE(p.size() == parameter_names(i).size());
      const Kernel again = kernel_of(i, p);
      REQUIRE(again.work.index() == i);
      REQUIRE(parameters_of(again) == p);
      // Not only the same numbers: the same numbers in their places.
      REQUIRE(flops(again).value == flops(kernel).value);
      REQUIRE(memory_traffic(again) == memory_traffic(kernel));
    }
    CHECK_THROWS_AS(kernel_of(i, std::vector<std::int64_t>(parameter_names(i).size() - 1, 1)),
                    std::out_of_range);
  }
}

TEST_CASE(
    "shapes: every class has shapes to fit and to score, each once, and none to score is among those to "
    "fit") {
  for (std::size_t i = 0; i < kClasses; ++i) {
    CAPTURE(kKernelClasses[i]);
    const auto fit = numbers(shapes_to_fit(i)), score = numbers(shapes_to_score(i));
    CHECK(fit.size() >= 100);
    CHECK(score.size() >= 100);
    const std::set<std::vector<std::int64_t>> to_fit(fit.begin(), fit.end()),
        to_score(score.begin(), score.end());
    CHECK(to_fit.size() == fit.size());
    CHECK(to_score.size() == score.size());
    for (const auto& shape : score) CHECK(to_fit.count(shape) == 0);
  }
}

TEST_CASE("shapes: two calls give the same shapes in the same order") {
  for (std::size_t i = 0; i < kClasses; ++i) {
    CAPTURE(kKernelClasses[i]);
    CHECK(numbers(shapes_to_fit(i)) == numbers(shapes_to_fit(i)));
    CHECK(numbers(shapes_to_score(i)) == numbers(shapes_to_score(i)));
  }
}

// A grouped product of gpt-oss's mxfp4 experts, which the runner has no kernel for, once ended a measuring run after a
// minute.
TEST_CASE("shapes: the CUDA runner takes all that are measured, gpt-oss's experts in bf16 among them") {
  for (std::size_t i = 0; i < kClasses; ++i) {
    CAPTURE(kKernelClasses[i]);
    check_taken(shapes_to_fit(i));
    check_taken(shapes_to_score(i));
  }
  bool gpt_oss = false;  // 2880 hidden, 2880 intermediate
  for (const Kernel& kernel : shapes_to_score(1)) gpt_oss |= std::get<GroupedGemm>(kernel.work).k == 2880;
  CHECK(gpt_oss);
  for (const PredictorPass& pass : predictor_passes()) check_taken(pass.kernels);
  for (const std::int64_t model : {0, 1})
    for (const std::int64_t sequences : {1, 4, 16, 64}) check_taken(mixed_kernels(model, sequences));
  // What the list above must be able to refuse.
  CHECK(refusal({GroupedGemm{64, 32, 5760, 2880, WeightFormat::mxfp4}}) == "weights in another format");
  CHECK(refusal({GroupedGemm{256, 129, 8, 8}}) == "groups");
  CHECK(refusal({Attention{1, 1, 8, 8, 8, 8, 256}}) == "head_dim");
  CHECK(refusal({Gemm{1 << 15, 1 << 15, 64}}) == "activations");  // 2^30 products of 2 B
}

TEST_CASE("shapes: half of the models are first, and their shapes with them") {
  std::size_t first = 0;
  for (const std::string& name : model_names()) first += of_first_half(MoeModel::load(name));
  CHECK(first == 4);  // of the eight that were measured
  // deepseek-moe-16b is the first by name, glam-64b-64e the second: 2048 x 2048 and 8192 x 8192 matrices.
  CHECK(of_first_half(MoeModel::load("deepseek-moe-16b")));
  CHECK_FALSE(of_first_half(MoeModel::load("glam-64b-64e")));
  CHECK(shape_of_first_half(2, {1, 1, 8, 8, 16, 16, 128}));
  CHECK_FALSE(shape_of_first_half(2, {1, 1, 8, 8, 128, 128, 128}));
}

TEST_CASE("shapes: a decoding block of qwen1.5-moe launches shared experts, one of mixtral none") {
  const auto products = [](const std::vector<Kernel>& kernels) {
    return std::count_if(kernels.begin(), kernels.end(),
                         [](const Kernel& kernel) { return std::holds_alternative<Gemm>(kernel.work); });
  };
  // qkv, output, router and two experts of two products each; of qwen two more and the shared experts' gate
  CHECK(products(mixed_kernels(1, 4)) == 7);
  CHECK(products(mixed_kernels(0, 4)) == 10);
}
