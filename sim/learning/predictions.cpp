#include "sim/learning/predictions.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "sim/base/build_info.hpp"
#include "sim/base/h5.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/unfinished_file.hpp"
#include "sim/learning/guesser.hpp"

namespace specmoe {

int prediction_ranks(int experts, int top_k) { return std::min(experts, std::max(10, 3 * top_k)); }

Predictions rank_scores(const LearningData& data, int request, std::span<const float> scores) {
  if (scores.size() != score_size(data, request))
    throw std::logic_error("rank_scores: scores of another size");
  Predictions out{data.requests[static_cast<std::size_t>(request)].rows,
                  data.layers,
                  prediction_ranks(data.experts, data.top_k),
                  {},
                  {}};
  const auto experts = static_cast<std::size_t>(data.experts);
  const auto ranks = static_cast<std::size_t>(out.ranks);
  const std::size_t lists = scores.size() / experts;
  out.experts.resize(lists * ranks);
  out.confidence.resize(lists * ranks);
  std::vector<std::int16_t> order(experts);
  for (std::size_t i = 0; i < lists; ++i) {
    const auto of = scores.subspan(i * experts, experts);
    if (std::any_of(of.begin(), of.end(), [](float score) { return std::isnan(score); }))
      throw std::logic_error("rank_scores: a score is no number");
    std::iota(order.begin(), order.end(), std::int16_t{0});
    std::partial_sort(order.begin(), order.begin() + out.ranks, order.end(),
                      [&](std::int16_t a, std::int16_t b) {
                        const float x = of[static_cast<std::size_t>(a)], y = of[static_cast<std::size_t>(b)];
                        return x != y ? x > y : a < b;
                      });
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      out.experts[i * ranks + rank] = order[rank];
      out.confidence[i * ranks + rank] = of[static_cast<std::size_t>(order[rank])];
    }
  }
  return out;
}

struct PredictionsWriter::State {
  UnfinishedFile out;
  int layers, ranks;
  H5File file;
  H5Growing experts, confidence;
  std::vector<std::int64_t> first_token;
  std::int64_t tokens = 0;
  std::vector<double> wide;

  State(const std::filesystem::path& path, const LearningData& data)
      : out(path),
        layers(data.layers),
        ranks(prediction_ranks(data.experts, data.top_k)),
        file(H5File::create(out.path())),
        experts(file, "/experts", H5Growing::Type::int16, {layers, kDistances, ranks}),
        confidence(file, "/confidence", H5Growing::Type::float32, {layers, kDistances, ranks}) {}
};

PredictionsWriter::PredictionsWriter(const std::filesystem::path& file, const LearningData& data,
                                     const std::optional<PredictorNetwork>& network)
    : state_(std::make_unique<State>(file, data)) {
  H5File& out = state_->file;
  out.set("/", "format", "specmoe-predictions");
  out.set("/", "version", std::int64_t{1});
  out.set("/", "layers", std::int64_t{data.layers});
  out.set("/", "experts", std::int64_t{data.experts});
  out.set("/", "created_by", "specmoe " + version());
  if (!network) return;
  out.set("/network", "name", network->name);
  out.set("/network", "parameters", network->parameters);
  for (const auto& [name, part] : {std::pair{"step", &network->step}, {"layer", &network->layer}}) {
    std::vector<std::int64_t> products, attention;
    for (const auto& [rows, inner, columns] : part->products)
      products.insert(products.end(), {rows, inner, columns});
    for (const auto& [heads, width, keys] : part->attention)
      attention.insert(attention.end(), {heads, width, keys});
    const std::string path = std::string("/network/") + name;
    out.write<std::int64_t>(path, products, {std::ssize(part->products), 3});
    out.write<std::int64_t>(path + "_attention", attention, {std::ssize(part->attention), 3});
  }
}

PredictionsWriter::~PredictionsWriter() = default;

void PredictionsWriter::add(const Predictions& predictions) {
  State& s = *state_;
  const auto size =
      static_cast<std::size_t>(predictions.rows * predictions.layers * kDistances * predictions.ranks);
  if (predictions.layers != s.layers || predictions.ranks != s.ranks || predictions.experts.size() != size ||
      predictions.confidence.size() != size)
    throw std::logic_error("PredictionsWriter: predictions of another shape");
  s.first_token.push_back(s.tokens);
  s.experts.append(std::span<const std::int16_t>(predictions.experts));
  s.wide.resize(size);
  std::transform(predictions.confidence.begin(), predictions.confidence.end(), s.wide.begin(),
                 [](float value) {
                   // Cut off after 12 of 24 bits, to the nearest: random bits do not compress. A relative error of 1e-4.
                   return std::isfinite(value)
                              ? std::bit_cast<float>((std::bit_cast<std::uint32_t>(value) + 0x800u) & ~0xfffu)
                              : value;
                 });
  s.confidence.append(std::span<const double>(s.wide));
  s.tokens += predictions.rows;
}

void PredictionsWriter::finish() {
  State& s = *state_;
  s.experts.flush();
  s.confidence.flush();
  s.file.write("/requests/first_token", s.first_token);
  s.file.flush();
  UnfinishedFile out = std::move(s.out);
  state_.reset();
  out.publish();
}

void write_trace(const LearningData& data, std::span<const int> requests, const std::filesystem::path& file) {
  TraceWriter writer(file, data.header);
  const auto row_size = static_cast<std::size_t>(data.layers * data.top_k);
  for (const int r : requests) {
    const auto& request = data.requests.at(static_cast<std::size_t>(r));
    // Where only the first rows were loaded, the prompt is as long as its rows.
    writer.begin_request(request.prefill_rows > 0 ? request.prefill_rows : request.prompt_tokens,
                         request.label);
    for (std::int64_t i = 0; i < request.rows; ++i) {
      const auto row = static_cast<std::size_t>(request.first_row + i);
      writer.add_row(i < request.prefill_rows, std::span(data.chosen).subspan(row * row_size, row_size),
                     data.has_weights ? std::span(data.weights).subspan(row * row_size, row_size)
                                      : std::span<const float>{},
                     data.has_token_ids ? data.token_ids[row] : -1);
    }
  }
  writer.finish();
}

}  // namespace specmoe
