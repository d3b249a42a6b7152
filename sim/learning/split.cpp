#include "sim/learning/split.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <string_view>

#include "sim/base/input_error.hpp"
#include "sim/base/random.hpp"

namespace specmoe {
namespace {

std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text)
    out += c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool names(std::string_view wanted, std::string_view label) {
  const std::string name = plain(wanted), full = plain(label);
  return !name.empty() && full.starts_with(name) &&
         (full.size() == name.size() || !std::isalnum(static_cast<unsigned char>(full[name.size()])));
}

// Requests with equal routing, by first request.
std::vector<std::vector<int>> groups_of(const LearningData& data) {
  std::vector<std::vector<int>> groups;
  std::map<std::string_view, std::size_t> known;
  for (int r = 0; r < std::ssize(data.requests); ++r) {
    const auto routing = std::as_bytes(data.chosen_of(r));
    const auto [at, made] = known.try_emplace(
        std::string_view(reinterpret_cast<const char*>(routing.data()), routing.size()), groups.size());
    if (made) groups.emplace_back();
    groups[at->second].push_back(r);
  }
  return groups;
}

void require_share(double share, const char* what) {
  if (!(share >= 0 && share < 1))
    throw InputError("", 0, fmt::format("{} share {}", what, share), "0 to below 1");
}

std::int64_t count_of(double share, std::int64_t requests) {
  return share > 0 ? std::max<std::int64_t>(1, std::llround(share * static_cast<double>(requests))) : 0;
}

}  // namespace

Split split_requests(const LearningData& data, const SplitOptions& options) {
  require_share(options.test_share, "test");
  require_share(options.validation_share, "validation");
  Split out;
  std::vector<std::vector<int>> by_label(options.test_labels.size()), others;
  std::int64_t left = 0;
  for (auto& group : groups_of(data)) {
    std::size_t label = 0;
    const auto wanted = [&](int r) {
      return names(options.test_labels[label], data.requests[static_cast<std::size_t>(r)].label);
    };
    while (label < by_label.size() && std::none_of(group.begin(), group.end(), wanted)) ++label;
    if (label < by_label.size()) {
      by_label[label].insert(by_label[label].end(), group.begin(), group.end());
    } else {
      left += std::ssize(group);
      others.push_back(std::move(group));
    }
  }
  auto random = Random::stream(options.seed, "split");
  for (std::size_t i = others.size(); i > 1; --i) std::swap(others[i - 1], others[random.below(i)]);
  // Takes groups from the end, up to a number of requests; a group that is too large makes it more.
  const auto take = [&](std::int64_t count, std::vector<int>& to) {
    while (std::ssize(to) < count && !others.empty()) {
      to.insert(to.end(), others.back().begin(), others.back().end());
      others.pop_back();
    }
    left -= std::ssize(to);
    std::sort(to.begin(), to.end());
  };
  std::vector<int> at_random;
  take(count_of(options.test_share, left), at_random);
  take(count_of(options.validation_share, left), out.validation);
  take(left, out.train);

  if (!at_random.empty())
    out.test_parts.push_back({fmt::format("random {:.3g} %", 100 * options.test_share), at_random});
  for (std::size_t i = 0; i < by_label.size(); ++i) {
    if (by_label[i].empty())
      throw InputError(data.header.source, 0,
                       fmt::format("no request has the label {}", options.test_labels[i]),
                       "a label of the trace, or what it starts with");
    std::sort(by_label[i].begin(), by_label[i].end());
    out.test_parts.push_back({options.test_labels[i], by_label[i]});
  }
  for (const auto& part : out.test_parts)
    out.test.insert(out.test.end(), part.requests.begin(), part.requests.end());
  std::sort(out.test.begin(), out.test.end());
  if (out.train.empty() || out.test.empty())
    throw InputError("", 0,
                     fmt::format("{} requests leave {} to learn from and {} to test on", data.requests.size(),
                                 out.train.size(), out.test.size()),
                     "at least one of each: more requests, or other shares");

  std::vector<std::string> tested;
  for (const auto& part : out.test_parts)
    tested.push_back(fmt::format("{}: {}", part.name, part.requests.size()));
  out.description = fmt::format(
      "{} requests: {} to learn from, {} to validate ({:.3g} % of the rest), {} to test ({}); seed {}",
      data.requests.size(), out.train.size(), out.validation.size(), 100 * options.validation_share,
      out.test.size(), fmt::join(tested, ", "), options.seed);
  return out;
}

}  // namespace specmoe
