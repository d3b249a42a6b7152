#include "models/moe/routing/trace_statistics.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <numeric>

namespace specmoe {
namespace {

constexpr std::int64_t kSideBySide = 64;
constexpr std::size_t kSizes = 7;  // batches of 1, 2, 4 .. 64

// A set of experts for each layer, as bits.
class ExpertSets {
 public:
  ExpertSets(int layers, int experts, int top_k)
      : words_(static_cast<std::size_t>(experts + 63) / 64),
        top_k_(static_cast<std::size_t>(top_k)),
        bits_(static_cast<std::size_t>(layers) * words_) {}

  void assign(std::span<const std::int16_t> row) {
    std::fill(bits_.begin(), bits_.end(), 0);
    for (std::size_t i = 0; i < row.size(); ++i)
      if (row[i] >= 0)
        bits_[i / top_k_ * words_ + static_cast<std::size_t>(row[i]) / 64] |= std::uint64_t{1}
                                                                              << (row[i] % 64);
  }
  void join(const ExpertSets& other) {
    for (std::size_t i = 0; i < bits_.size(); ++i) bits_[i] |= other.bits_[i];
  }
  std::int64_t size() const {
    return std::accumulate(bits_.begin(), bits_.end(), std::int64_t{0},
                           [](std::int64_t sum, std::uint64_t word) { return sum + std::popcount(word); });
  }
  std::int64_t common_with(const ExpertSets& other) const {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < bits_.size(); ++i) sum += std::popcount(bits_[i] & other.bits_[i]);
    return sum;
  }

 private:
  std::size_t words_, top_k_;
  std::vector<std::uint64_t> bits_;  // [layer, word]
};

// Sum and number of what was seen.
struct Mean {
  std::int64_t sum = 0, count = 0;
  void add(std::int64_t value) {
    sum += value;
    ++count;
  }
  double value(int layers) const {
    return count == 0 ? 0 : static_cast<double>(sum) / (static_cast<double>(count) * layers);
  }
};

// Unites neighbours pair by pair: after round i each set at a multiple of 2^i stands for 2^i tokens.
void count_unique(std::vector<ExpertSets>& sets, std::vector<bool>& alive, std::vector<Mean>& unique) {
  for (std::size_t round = 0, n = 1; round < kSizes; ++round, n *= 2)
    for (std::size_t i = 0; i < sets.size(); i += n) {
      if (n > 1) {
        alive[i] = alive[i] && i + n / 2 < sets.size() && alive[i + n / 2];
        if (alive[i]) sets[i].join(sets[i + n / 2]);
      }
      if (alive[i]) unique[round].add(sets[i].size());
    }
}

void summarise_popularity(TraceStatistics& out) {
  for (auto layer : out.counts) {
    const auto total = static_cast<double>(std::accumulate(layer.begin(), layer.end(), std::int64_t{0}));
    std::sort(layer.begin(), layer.end(), std::greater<>());
    double entropy = 0;
    for (const auto count : layer)
      if (count > 0)
        entropy -= static_cast<double>(count) / total * std::log2(static_cast<double>(count) / total);
    const auto most = std::accumulate(
        layer.begin(), layer.begin() + std::min<std::ptrdiff_t>(10, std::ssize(layer)), std::int64_t{0});
    out.entropy_bits.push_back(entropy);
    out.top10_share.push_back(total > 0 ? static_cast<double>(most) / total : 0);
  }
}

}  // namespace

TraceStatistics statistics(RoutingSource& source, const std::function<void(std::int64_t)>& progress) {
  const int layers = source.layers(), top_k = source.top_k();
  TraceStatistics out;
  out.requests = source.requests();
  out.counts.assign(static_cast<std::size_t>(layers),
                    std::vector<std::int64_t>(static_cast<std::size_t>(source.experts()), 0));
  std::vector<std::int16_t> row(static_cast<std::size_t>(layers) * static_cast<std::size_t>(top_k));
  std::int64_t rows = 0;
  const auto read = [&](std::int64_t request, std::int64_t index) {
    source.read(request, index, 1, row);
    for (std::size_t i = 0; i < row.size(); ++i)
      if (row[i] >= 0) ++out.counts[i / static_cast<std::size_t>(top_k)][static_cast<std::size_t>(row[i])];
    if (++rows % 4096 == 0 && progress) progress(rows);
  };

  Mean overlap;
  std::vector<Mean> unique(kSizes);
  for (std::int64_t first = 0; first < out.requests; first += kSideBySide) {
    const std::int64_t count = std::min(kSideBySide, out.requests - first);
    std::vector<RequestInfo> infos;
    std::int64_t longest = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      infos.push_back(source.request(first + i));
      out.prompt_tokens += infos.back().prompt_tokens;
      out.prefill_rows += infos.back().prefill_rows;
      out.decode_rows += infos.back().decode_rows;
      longest = std::max(longest, infos.back().decode_rows);
      for (std::int64_t r = 0; r < infos.back().prefill_rows; ++r) read(first + i, r);
    }
    std::vector<ExpertSets> now(static_cast<std::size_t>(count), ExpertSets(layers, source.experts(), top_k));
    auto before = now, joined = now;
    for (std::int64_t step = 0; step < longest; ++step) {
      std::vector<bool> alive(static_cast<std::size_t>(count), false);
      for (std::size_t i = 0; i < alive.size(); ++i) {
        if (step >= infos[i].decode_rows) continue;
        alive[i] = true;
        read(first + static_cast<std::int64_t>(i), infos[i].prefill_rows + step);
        std::swap(before[i], now[i]);
        now[i].assign(row);
        if (step > 0) overlap.add(now[i].common_with(before[i]));
      }
      joined = now;
      count_unique(joined, alive, unique);
    }
  }
  out.decode_overlap = overlap.value(layers);
  for (std::size_t i = 0; i < kSizes; ++i)
    if (unique[i].count > 0) out.unique_experts.emplace_back(1 << i, unique[i].value(layers));
  summarise_popularity(out);
  return out;
}

double uniform_unique_experts(int experts, int top_k, int tokens) {
  return experts * (1 - std::pow(1 - static_cast<double>(top_k) / experts, tokens));
}

}  // namespace specmoe
