#include "sim/results/timeline.hpp"

#include <fmt/format.h>

#include "sim/base/input_error.hpp"

namespace specmoe {

namespace {
constexpr int kFirstLinkRow = 1000;  // streams are numbered from 0

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out + "\"";
}

std::string named(const char* name, int layer, int expert) {
  std::string text = name;
  if (layer >= 0) text += fmt::format(" L{}", layer);
  if (expert >= 0) text += fmt::format(" E{}", expert);
  return text;
}
}  // namespace

Timeline::Timeline(const std::filesystem::path& fragment, const Platform& platform, int process,
                   const std::string& name, std::int64_t steps)
    : platform_(platform), out_(fragment), process_(process), steps_left_(steps) {
  if (!out_) throw InputError(fragment.string(), 0, "cannot be written", "a writable place");
  out_ << fmt::format(R"({{"ph":"M","name":"process_name","pid":{},"args":{{"name":{}}}}})", process,
                      quoted(name))
       << '\n';
  for (std::size_t i = 0; i < platform.links.size(); ++i) {
    const Link& link = platform.links[i];
    name_row(kFirstLinkRow + 2 * static_cast<int>(i), fmt::format("{}: {} -> {}", link.name, link.a, link.b));
    name_row(kFirstLinkRow + 2 * static_cast<int>(i) + 1,
             fmt::format("{}: {} -> {}", link.name, link.b, link.a));
  }
}

void Timeline::name_row(int row, const std::string& name) {
  out_ << fmt::format(R"({{"ph":"M","name":"thread_name","pid":{},"tid":{},"args":{{"name":{}}}}})", process_,
                      row, quoted(name))
       << '\n';
}

void Timeline::event(int row, const std::string& name, const char* category, Seconds start, Seconds end,
                     const std::string& arguments) {
  if (steps_left_ <= 0) return;
  out_ << fmt::format(
              R"({{"ph":"X","name":{},"cat":"{}","pid":{},"tid":{},"ts":{:.3f},"dur":{:.3f},"args":{{{}}}}})",
              quoted(name), category, process_, row, start.value * 1e6, (end - start).value * 1e6, arguments)
       << '\n';
}

void Timeline::stream(Stream stream, const std::string& name) { name_row(stream.index, name); }

void Timeline::kernel(Stream stream, const Kernel& kernel, Seconds start, Seconds end) {
  event(
      stream.index, named(kernel.name, kernel.layer, kernel.expert), "kernel", start, end,
      fmt::format(R"("gflop":{:.6f},"bytes":{})", flops(kernel).value * 1e-9, memory_traffic(kernel).count));
}

void Timeline::copy(Stream stream, const CopyLabel& label, const Route& route, Bytes bytes, Seconds start,
                    Seconds end) {
  const std::string name = named(label.name, label.layer, label.expert);
  const std::string arguments =
      fmt::format(R"("bytes":{},"from":{},"to":{})", bytes.count, quoted(platform_[route.from].name),
                  quoted(platform_[route.to].name));
  event(stream.index, name, "copy", start, end, arguments);
  for (const Hop& hop : route.hops)
    event(kFirstLinkRow + 2 * hop.link + (hop.forward ? 0 : 1), name, "copy", start, end, arguments);
}

void join_timelines(const std::vector<std::filesystem::path>& fragments, const std::filesystem::path& file) {
  std::ofstream out(file);
  out << "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";
  bool first = true;
  for (const auto& fragment : fragments) {
    std::ifstream in(fragment);
    for (std::string line; std::getline(in, line);) {
      if (!first) out << ",\n";
      first = false;
      out << line;
    }
  }
  out << "\n]}\n";
  if (!out.flush()) throw InputError(file.string(), 0, "cannot be written", "a writable place");
  for (const auto& fragment : fragments) std::filesystem::remove(fragment);
}

}  // namespace specmoe
