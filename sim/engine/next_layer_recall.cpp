#include "sim/engine/next_layer_recall.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/base/linear.hpp"

namespace specmoe {
namespace {

constexpr int kLayersBack = 4;
constexpr double kLambda = 10;

// Calls visit(request, row) of the half that is learnt from, or of the other.
template <class Visit>
void each_row(const DecodedRows& rows, bool learn, const Visit& visit) {
  const std::size_t requests = rows.requests.size();
  for (std::size_t r = 0; r < requests; ++r) {
    const auto& request = rows.requests[r];
    std::int64_t first = 0, end = rows.count(request);
    if (requests == 1)
      (learn ? end : first) = end / 2;
    else if ((r < requests / 2) != learn)
      continue;
    for (std::int64_t row = first; row < end; ++row) visit(request, row);
  }
}

// Counts which of the experts with the highest scores were right.
class Recall {
 public:
  explicit Recall(const DecodedRows& rows) : order_(static_cast<std::size_t>(rows.experts)) {}
  void add(std::span<const double> scores, std::span<const std::int16_t> truth) {
    std::iota(order_.begin(), order_.end(), std::int16_t{0});
    const auto k = static_cast<std::ptrdiff_t>(truth.size());
    std::partial_sort(order_.begin(), order_.begin() + k, order_.end(), [&](std::int16_t a, std::int16_t b) {
      const double x = scores[static_cast<std::size_t>(a)], y = scores[static_cast<std::size_t>(b)];
      return x != y ? x > y : a < b;
    });
    for (const std::int16_t e : truth) {
      if (e < 0) continue;
      ++of_;
      right_ += std::find(order_.begin(), order_.begin() + k, e) != order_.begin() + k;
    }
  }
  double value() const { return of_ == 0 ? 0 : static_cast<double>(right_) / static_cast<double>(of_); }

 private:
  std::vector<std::int16_t> order_;
  std::int64_t right_ = 0, of_ = 0;
};

}  // namespace

DecodedRows read_decoded(RoutingSource& source) {
  DecodedRows out{source.layers(), source.experts(), source.top_k(), {}};
  for (std::int64_t r = 0; r < source.requests(); ++r) {
    const RequestInfo info = source.request(r);
    out.requests.emplace_back(static_cast<std::size_t>(info.decode_rows * out.layers * out.top_k));
    source.read(r, info.prefill_rows, info.decode_rows, out.requests.back());
  }
  return out;
}

double transition_recall(const DecodedRows& rows) {
  const auto n = static_cast<std::size_t>(rows.experts);
  std::vector<double> table(n * n), scores(n);
  Recall recall(rows);
  for (int layer = 1; layer < rows.layers; ++layer) {
    std::fill(table.begin(), table.end(), 0.0);
    each_row(rows, true, [&](const auto& request, std::int64_t row) {
      for (const std::int16_t from : rows.chosen(request, row, layer - 1))
        for (const std::int16_t to : rows.chosen(request, row, layer))
          if (from >= 0 && to >= 0)
            table[static_cast<std::size_t>(from) * n + static_cast<std::size_t>(to)] += 1;
    });
    for (std::size_t from = 0; from < n; ++from) {
      const auto begin = table.begin() + static_cast<std::ptrdiff_t>(from * n),
                 end = begin + static_cast<std::ptrdiff_t>(n);
      const double total = std::max(1.0, std::accumulate(begin, end, 0.0));
      std::for_each(begin, end, [&](double& count) { count /= total; });
    }
    each_row(rows, false, [&](const auto& request, std::int64_t row) {
      std::fill(scores.begin(), scores.end(), 0.0);
      for (const std::int16_t from : rows.chosen(request, row, layer - 1))
        if (from >= 0)
          for (std::size_t e = 0; e < n; ++e) scores[e] += table[static_cast<std::size_t>(from) * n + e];
      recall.add(scores, rows.chosen(request, row, layer));
    });
  }
  return recall.value();
}

double ridge_recall(const DecodedRows& rows) {
  const auto n = static_cast<std::size_t>(rows.experts);
  // Indicators of the experts of the layers before, and of the previous token's in the layer; the last is 1.
  const std::size_t features = (kLayersBack + 1) * n + 1;
  std::vector<double> normal, weights, scores(n);
  std::vector<std::size_t> on;
  const auto describe = [&](const auto& request, std::int64_t row, int layer) {
    on.clear();
    const auto add = [&](std::size_t block, std::span<const std::int16_t> chosen) {
      for (const std::int16_t e : chosen)
        if (e >= 0) on.push_back(block * n + static_cast<std::size_t>(e));
    };
    for (int back = 1; back <= std::min(kLayersBack, layer); ++back)
      add(static_cast<std::size_t>(back - 1), rows.chosen(request, row, layer - back));
    if (row > 0) add(kLayersBack, rows.chosen(request, row - 1, layer));
    on.push_back(features - 1);
  };
  Recall recall(rows);
  for (int layer = 1; layer < rows.layers; ++layer) {
    normal.assign(features * features, 0.0);
    weights.assign(features * n, 0.0);
    each_row(rows, true, [&](const auto& request, std::int64_t row) {
      describe(request, row, layer);
      for (const std::size_t i : on) {
        for (const std::size_t j : on) normal[i * features + j] += 1;
        for (const std::int16_t e : rows.chosen(request, row, layer))
          if (e >= 0) weights[i * n + static_cast<std::size_t>(e)] += 1;
      }
    });
    for (std::size_t i = 0; i < features; ++i) normal[i * features + i] += i + 1 < features ? kLambda : 1e-3;
    solve_symmetric(normal, weights, features, n);
    each_row(rows, false, [&](const auto& request, std::int64_t row) {
      describe(request, row, layer);
      std::fill(scores.begin(), scores.end(), 0.0);
      for (const std::size_t i : on)
        for (std::size_t e = 0; e < n; ++e) scores[e] += weights[i * n + e];
      recall.add(scores, rows.chosen(request, row, layer));
    });
  }
  return recall.value();
}

}  // namespace specmoe
