#include "models/moe/routing/routing_subset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/base/input_error.hpp"
#include "sim/base/random.hpp"

namespace specmoe {

RoutingSubset::RoutingSubset(RoutingSource& source, std::vector<Part> parts)
    : source_(source), parts_(std::move(parts)) {
  for (const Part& part : parts_) {
    const RequestInfo info = source_.request(part.request);
    if (part.first_decode < 0 || part.decode_rows < 0 ||
        part.first_decode + part.decode_rows > info.decode_rows)
      throw InputError("", 0,
                       fmt::format("decoded tokens {} to {} of request {}", part.first_decode,
                                   part.first_decode + part.decode_rows, part.request),
                       fmt::format("of {} tokens", info.decode_rows));
  }
}

RequestInfo RoutingSubset::request(std::int64_t index) const {
  if (index < 0 || index >= requests())
    throw InputError("", 0, fmt::format("request {} asked for", index),
                     fmt::format("0 to {}", requests() - 1));
  const Part& part = parts_[static_cast<std::size_t>(index)];
  const RequestInfo info = source_.request(part.request);
  return {info.prompt_tokens + part.first_decode, part.prefill ? info.prefill_rows : 0, part.decode_rows};
}

template <class Read>
void RoutingSubset::pieces(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                           const Read& read) const {
  const RequestInfo info = this->request(request);
  if (first_row < 0 || rows < 0 || rows > info.prefill_rows + info.decode_rows - first_row)
    throw InputError("", 0, fmt::format("{} rows from row {} asked for", rows, first_row),
                     fmt::format("rows 0 to {}", info.prefill_rows + info.decode_rows - 1));
  const Part& part = parts_[static_cast<std::size_t>(request)];
  const std::int64_t prompt = std::clamp(info.prefill_rows - first_row, std::int64_t{0}, rows);
  if (prompt > 0) read(part.request, first_row, prompt, std::int64_t{0});
  if (prompt < rows)
    read(part.request,
         source_.request(part.request).prefill_rows + part.first_decode + first_row + prompt -
             info.prefill_rows,
         rows - prompt, prompt);
}

void RoutingSubset::read(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                         std::span<std::int16_t> out) {
  const std::int64_t size = std::int64_t{layers()} * top_k();
  pieces(request, first_row, rows,
         [&](std::int64_t from, std::int64_t row, std::int64_t count, std::int64_t at) {
           source_.read(
               from, row, count,
               out.subspan(static_cast<std::size_t>(at * size), static_cast<std::size_t>(count * size)));
         });
}

void RoutingSubset::read_weights(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                                 std::span<float> out) {
  const std::int64_t size = std::int64_t{layers()} * top_k();
  pieces(request, first_row, rows,
         [&](std::int64_t from, std::int64_t row, std::int64_t count, std::int64_t at) {
           source_.read_weights(
               from, row, count,
               out.subspan(static_cast<std::size_t>(at * size), static_cast<std::size_t>(count * size)));
         });
}

std::string RoutingSubset::description() const {
  return fmt::format("{} of {} requests of {}", requests(), source_.requests(), source_.description());
}

RoutingSplit split(const RoutingSource& source, double share, std::uint64_t seed) {
  const auto whole = [&](std::int64_t r) {
    return RoutingSubset::Part{r, true, 0, source.request(r).decode_rows};
  };
  RoutingSplit out;
  const std::int64_t requests = source.requests();
  if (requests == 1) {
    auto part = whole(0);
    const auto held = static_cast<std::int64_t>(std::llround(share * static_cast<double>(part.decode_rows)));
    part.decode_rows -= held;
    if (part.decode_rows < 1) throw InputError("", 0, "nothing left to fit on", "a smaller share held out");
    out.fit.push_back(part);
    if (held > 0) out.held_out.push_back({0, false, part.decode_rows, held});
    return out;
  }
  std::vector<std::int64_t> order(static_cast<std::size_t>(requests));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  auto random = Random::stream(seed, "split");
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  const std::int64_t held =
      share > 0 ? std::max<std::int64_t>(1, std::llround(share * static_cast<double>(requests))) : 0;
  if (held >= requests) throw InputError("", 0, "nothing left to fit on", "a smaller share held out");
  for (std::int64_t i = 0; i < requests; ++i)
    (i < requests - held ? out.fit : out.held_out).push_back(whole(order[static_cast<std::size_t>(i)]));
  return out;
}

}  // namespace specmoe
