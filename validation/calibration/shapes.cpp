#include "validation/calibration/shapes.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <stdexcept>
#include <utility>

#include "models/moe/model.hpp"
#include "sim/base/random.hpp"

namespace specmoe {

namespace {

constexpr std::int64_t kMostTokens = 4096;
// cuBLAS changes its kernel with the number of rows: the ladder is dense where it does.
constexpr std::array<std::int64_t, 27> kLadder{1,   2,   3,   4,   6,    8,    12,   16,   24,
                                               32,  48,  64,  80,  96,   128,  160,  192,  256,
                                               320, 384, 512, 768, 1024, 1536, 2048, 3072, 4096};
constexpr Bytes kLargestWeights{3'000'000'000};  // of one launch; grouped launches of more are left out

// All kernels that the shipped models launch for a step of so many sequences, each with as many new tokens and as many
// cached positions.
std::vector<Kernel> model_kernels(const MoeModel& model, std::int64_t sequences, std::int64_t tokens,
                                  std::int64_t context) {
  StepShape shape;
  for (std::int64_t i = 0; i < sequences; ++i) shape.add_sequence(context, tokens, model.attention.window);
  shape.encoder_positions = context * sequences;
  std::vector<Kernel> all;
  const auto add = [&](const std::vector<Kernel>& kernels) {
    all.insert(all.end(), kernels.begin(), kernels.end());
  };
  std::set<std::pair<bool, bool>> seen;  // blocks of one kind launch the same
  for (int i = 0; i < static_cast<int>(model.blocks.size()); ++i) {
    const Block& block = model.blocks[static_cast<std::size_t>(i)];
    if (block.stack == Block::Stack::encoder || block.windowed) continue;
    if (block.cross_attention && tokens > 1) continue;  // such decoders make one token a step
    if (!seen.insert({block.moe_layer >= 0, block.cross_attention}).second) continue;
    add(model.attend(i, shape));
    add(model.feed_forward(i, shape.tokens));
    if (block.moe_layer < 0) continue;
    add(model.route(i, shape.tokens));
    add(model.one_expert(i, 0, shape.tokens));
    add(model.combine(i, shape.tokens));
  }
  add(model.head(sequences));
  return all;
}

// Those that the shipped measurements took their shapes from, sorted. Another list would make other plans, and score
// other points of what has been measured.
constexpr std::array<std::string_view, 8> kMeasuredModels{
    "deepseek-moe-16b",  "glam-64b-64e",   "gpt-oss-20b",   "mixtral-8x7b",
    "qwen1.5-moe-a2.7b", "qwen2-57b-a14b", "qwen3-30b-a3b", "switch-base-128"};

// Stored in bf16, which every GPU multiplies.
std::vector<MoeModel> all_models() {
  std::vector<MoeModel> models;
  for (const std::string_view name : kMeasuredModels)
    models.push_back(MoeModel::load(std::string(name)).with_expert_format(WeightFormat::bf16));
  return models;
}

// (n, k) of the matrices of every model.
std::set<std::pair<std::int64_t, std::int64_t>> matrices() {
  std::set<std::pair<std::int64_t, std::int64_t>> all;
  for (const MoeModel& model : all_models())
    for (const Kernel& kernel : model_kernels(model, 1, 1, 1))
      if (const auto* gemm = std::get_if<Gemm>(&kernel.work)) all.insert({gemm->n, gemm->k});
  return all;
}

// An LM head is computed for one position a sequence.
bool sensible(std::int64_t rows, std::int64_t n) { return n < 30'000 || rows <= 256; }

std::set<std::pair<std::int64_t, std::int64_t>> expert_matrices() {
  std::set<std::pair<std::int64_t, std::int64_t>> all;
  for (const MoeModel& m : all_models()) {
    all.insert({(m.expert.gated ? 2 : 1) * m.expert.intermediate, m.hidden});
    all.insert({m.hidden, m.expert.intermediate});
  }
  return all;
}

std::vector<Kernel> fit_gemm() {
  std::vector<Kernel> all;
  for (const auto& [n, k] : matrices())
    for (const std::int64_t m : kLadder)
      if (sensible(m, n)) all.push_back({Gemm{m, n, k}});
  // fp8, where the card has it
  for (const auto& [n, k] : expert_matrices())
    for (const std::int64_t m : kLadder) all.push_back({Gemm{m, n, k, WeightFormat::fp8}});
  return all;
}

std::vector<Kernel> fit_grouped() {
  std::vector<Kernel> all;
  for (const auto& [n, k] : expert_matrices())
    for (const std::int64_t groups : {2, 4, 8, 16, 32, 64, 96, 128})
      for (const std::int64_t rows : {1, 2, 4, 8, 16, 24, 32, 48, 64, 128, 256})
        if (rows * groups <= 2 * kMostTokens &&
            weight_bytes(n * k * groups, WeightFormat::bf16) <= kLargestWeights)
          all.push_back({GroupedGemm{rows * groups, groups, n, k}});
  return all;
}

Attention attention(std::int64_t sequences, std::int64_t queries, std::int64_t kv,
                    std::array<std::int64_t, 3> h) {
  const std::int64_t pairs = queries * (kv - queries) + queries * (queries + 1) / 2;
  return {sequences, sequences * queries, sequences * kv, sequences * pairs, h[0], h[1], h[2]};
}

// {heads, kv_heads, head_dim} of every model.
std::set<std::array<std::int64_t, 3>> head_shapes() {
  std::set<std::array<std::int64_t, 3>> all;
  for (const MoeModel& m : all_models())
    all.insert({m.attention.heads, m.attention.kv_heads, m.attention.head_dim});
  return all;
}

constexpr std::int64_t kMostCache = 1 << 30;  // values of K and V, in all

bool fits(std::int64_t sequences, std::int64_t kv, const std::array<std::int64_t, 3>& h) {
  return sequences * kv * h[1] * h[2] <= kMostCache / 2;
}

std::vector<Kernel> fit_attention() {
  std::vector<Kernel> all;
  for (const auto& h : head_shapes()) {
    for (const std::int64_t sequences : {1, 4, 16, 64})
      for (const std::int64_t kv : {8, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192})
        if (fits(sequences, kv, h)) all.push_back({attention(sequences, 1, kv, h)});
    for (const std::int64_t sequences : {1, 4, 16, 64})
      for (const std::int64_t queries : {8, 16, 32, 64, 128, 256, 512, 1024, 2048})
        for (const std::int64_t context : {0, 1024})
          if (sequences * queries <= kMostTokens && fits(sequences, queries + context, h))
            all.push_back({attention(sequences, queries, queries + context, h)});
  }
  return all;
}

std::vector<Kernel> fit_elementwise() {
  std::vector<Kernel> all;
  for (const std::int64_t width : {768, 1408, 2048, 2880, 4096, 5632, 14336, 32768})
    for (const auto& [reads, writes] : {std::pair{1, 1}, {2, 1}, {2, 2}, {3, 1}, {6, 1}, {10, 1}})
      for (const std::int64_t rows : {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096})
        if (rows * width * (reads + writes) <= 500'000'000)
          all.push_back({Elementwise{rows, width, reads, writes}});
  return all;
}

std::vector<Kernel> fit_top_k() {
  std::set<std::pair<std::int64_t, std::int64_t>> shapes;
  for (const MoeModel& m : all_models()) {
    shapes.insert({m.experts, m.top_k});
    shapes.insert({m.vocabulary, 1});
  }
  std::vector<Kernel> all;
  for (const auto& [width, k] : shapes)
    for (const std::int64_t rows : {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096})
      if (sensible(rows, width)) all.push_back({TopK{rows, width, k}});
  return all;
}

std::int64_t log_uniform(Random& random, std::int64_t least, std::int64_t most) {
  const double span = std::log(static_cast<double>(most) / static_cast<double>(least));
  return std::clamp(
      static_cast<std::int64_t>(std::llround(static_cast<double>(least) * std::exp(span * random.uniform()))),
      least, most);
}

}  // namespace

std::vector<std::string> parameter_names(std::size_t kernel_class) {
  static const std::vector<std::string> names[] = {
      {"m", "n", "k", "format"},
      {"rows", "groups", "n", "k", "format"},
      {"sequences", "queries", "kv_positions", "pairs", "heads", "kv_heads", "head_dim"},
      {"rows", "width", "reads", "writes"},
      {"rows", "width", "k"}};
  return names[kernel_class];
}

std::vector<std::int64_t> parameters_of(const Kernel& kernel) {
  struct {
    std::vector<std::int64_t> operator()(const Gemm& g) const {
      return {g.m, g.n, g.k, static_cast<int>(g.weights)};
    }
    std::vector<std::int64_t> operator()(const GroupedGemm& g) const {
      return {g.rows, g.groups, g.n, g.k, static_cast<int>(g.weights)};
    }
    std::vector<std::int64_t> operator()(const Attention& a) const {
      return {a.sequences, a.queries, a.kv_positions, a.pairs, a.heads, a.kv_heads, a.head_dim};
    }
    std::vector<std::int64_t> operator()(const Elementwise& e) const {
      return {e.rows, e.width, e.reads, e.writes};
    }
    std::vector<std::int64_t> operator()(const TopK& t) const { return {t.rows, t.width, t.k}; }
  } numbers;
  return std::visit(numbers, kernel.work);
}

Kernel kernel_of(std::size_t kernel_class, const std::vector<std::int64_t>& p) {
  const std::size_t sizes = kernel_class < 2 ? p.size() - 1 : p.size();  // the last is a format
  for (std::size_t i = 0; i < sizes; ++i)
    if (p.at(i) < 1) throw std::out_of_range("a kernel without size");
  const auto format = [&](std::size_t i) {
    if (p.at(i) < 0 || p.at(i) > static_cast<int>(WeightFormat::int2)) throw std::out_of_range("no format");
    return static_cast<WeightFormat>(p.at(i));
  };
  switch (kernel_class) {
    case 0:
      return {Gemm{p.at(0), p.at(1), p.at(2), format(3)}};
    case 1:
      return {GroupedGemm{p.at(0), p.at(1), p.at(2), p.at(3), format(4)}};
    case 2:
      return {Attention{p.at(0), p.at(1), p.at(2), p.at(3), p.at(4), p.at(5), p.at(6)}};
    case 3:
      return {Elementwise{p.at(0), p.at(1), p.at(2), p.at(3)}};
    default:
      return {TopK{p.at(0), p.at(1), p.at(2)}};
  }
}

std::vector<Kernel> shapes_to_fit(std::size_t kernel_class) {
  std::vector<Kernel> (*const grids[])() = {fit_gemm, fit_grouped, fit_attention, fit_elementwise, fit_top_k};
  return grids[kernel_class]();
}

std::vector<Kernel> shapes_to_score(std::size_t kernel_class) {
  constexpr std::size_t kShapes = 160;
  std::set<std::vector<std::int64_t>> taken;
  for (const Kernel& kernel : shapes_to_fit(kernel_class)) taken.insert(parameters_of(kernel));
  const std::vector<MoeModel> models = all_models();
  Random random = Random::stream(1, "shapes to score", kernel_class);
  std::vector<Kernel> all;
  while (all.size() < kShapes) {
    const MoeModel& model = models[random.below(models.size())];
    // Half of the draws are decoding steps, half prefill.
    const std::int64_t sequences = log_uniform(random, 1, 64);
    const std::int64_t tokens = random.chance(0.5) ? 1 : log_uniform(random, 2, kMostTokens / sequences);
    const std::int64_t context = log_uniform(random, 1, 4096);
    std::vector<Kernel> kernels = model_kernels(model, sequences, tokens, context);
    const std::int64_t groups = log_uniform(random, 2, model.experts),
                       rows = groups * log_uniform(random, 1, 128);
    for (const Kernel& kernel :
         model.grouped_experts(static_cast<int>(model.blocks.size()) - 1, groups, rows))
      if (weight_bytes(groups * model.hidden * model.expert.intermediate * 2, WeightFormat::bf16) <=
          kLargestWeights)
        kernels.push_back(kernel);
    std::erase_if(kernels, [&](const Kernel& kernel) { return kernel.work.index() != kernel_class; });
    if (kernels.empty()) continue;
    const Kernel& kernel = kernels[random.below(kernels.size())];
    if (const auto* a = std::get_if<Attention>(&kernel.work))
      if (!fits(a->sequences, a->kv_positions / a->sequences, {a->heads, a->kv_heads, a->head_dim})) continue;
    if (taken.insert(parameters_of(kernel)).second) all.push_back(kernel);
  }
  return all;
}

bool of_first_half(const MoeModel& model) {
  const auto at = std::find(kMeasuredModels.begin(), kMeasuredModels.end(), model.name);
  return at != kMeasuredModels.end() && (at - kMeasuredModels.begin()) % 2 == 0;
}

// What tells a kernel's model: its matrix, its heads, its width.
bool shape_of_first_half(std::size_t kernel_class, const std::vector<std::int64_t>& parameters) {
  const auto mark = [](std::size_t of, const std::vector<std::int64_t>& p) -> std::vector<std::int64_t> {
    switch (of) {
      case 0:
        return {p.at(1), p.at(2)};
      case 1:
        return {p.at(2), p.at(3)};
      case 2:
        return {p.at(4), p.at(5), p.at(6)};
      default:
        return {p.at(1)};
    }
  };
  static const std::vector<std::set<std::vector<std::int64_t>>> marks = [&] {
    std::vector<std::set<std::vector<std::int64_t>>> all(std::size(kKernelClasses));
    for (const MoeModel& model : all_models()) {
      if (!of_first_half(model)) continue;
      std::vector<Kernel> kernels = model_kernels(model, 1, 1, 1);
      for (const Kernel& kernel : model.grouped_experts(static_cast<int>(model.blocks.size()) - 1, 2, 2))
        kernels.push_back(kernel);
      for (const Kernel& kernel : kernels)
        all[kernel.work.index()].insert(mark(kernel.work.index(), parameters_of(kernel)));
    }
    return all;
  }();
  return marks[kernel_class].count(mark(kernel_class, parameters)) > 0;
}

std::vector<Kernel> mixed_kernels(std::int64_t model, std::int64_t sequences) {
  const MoeModel mixed = MoeModel::load(model == 0 ? "qwen1.5-moe-a2.7b" : "mixtral-8x7b");
  StepShape shape;
  for (std::int64_t i = 0; i < sequences; ++i) shape.add_sequence(64, 1, 0);
  std::vector<Kernel> all;
  const int block = static_cast<int>(mixed.blocks.size()) - 1;
  for (const auto& part :
       {mixed.attend(block, shape), mixed.route(block, sequences), mixed.feed_forward(block, sequences),
        mixed.one_expert(block, -1, 1), mixed.one_expert(block, -1, 1), mixed.combine(block, sequences)})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

int copy_train_length(std::int64_t bytes, bool pageable) {
  const std::int64_t all = pageable ? 16 << 20 : 64 << 20, most = pageable ? 50 : 100;
  return static_cast<int>(std::clamp<std::int64_t>(all / bytes, 2, most));
}

std::vector<PredictorPass> predictor_passes() {
  std::vector<PredictorPass> all;
  for (const std::int64_t tokens : {1, 16, 64}) {
    all.push_back({"mlp",
                   {{Gemm{tokens, 1024, 2048}},
                    {Elementwise{tokens, 1024}},
                    {Gemm{tokens, 1024, 1024}},
                    {Elementwise{tokens, 1024}},
                    {Gemm{tokens, 128, 1024}},
                    {TopK{tokens, 128, 8}}}});
    PredictorPass transformer{"transformer", {}};
    for (int layer = 0; layer < 4; ++layer) {
      const std::vector<Kernel> block{{Elementwise{tokens, 256}},
                                      {Gemm{tokens, 768, 256}},
                                      {attention(tokens, 1, 32, {4, 4, 64})},
                                      {Gemm{tokens, 256, 256}},
                                      {Elementwise{tokens, 256, 2, 2}},
                                      {Gemm{tokens, 1024, 256}},
                                      {Elementwise{tokens, 1024}},
                                      {Gemm{tokens, 256, 1024}}};
      transformer.kernels.insert(transformer.kernels.end(), block.begin(), block.end());
    }
    transformer.kernels.push_back({Gemm{tokens, 128, 256}});
    transformer.kernels.push_back({TopK{tokens, 128, 8}});
    all.push_back(transformer);
  }
  return all;
}

}  // namespace specmoe
