#include "sim/results/timeline.hpp"

#include <fmt/format.h>

#include "sim/base/input_error.hpp"
#include "sim/results/span.hpp"

namespace specmoe {

namespace {
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out + "\"";
}
}  // namespace

Timeline::Timeline(const std::filesystem::path& fragment, const Platform& platform, int process,
                   const std::string& name, std::int64_t steps)
    : platform_(platform), out_(fragment), process_(process), steps_left_(steps) {
  if (!out_) throw InputError(fragment.string(), 0, "cannot be written", "a writable place");
  out_ << fmt::format(R"({{"ph":"M","name":"process_name","pid":{},"args":{{"name":{}}}}})", process,
                      quoted(name))
       << '\n';
  for (const auto& [row, row_name] : link_rows(platform)) name_row(row, row_name);
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
      stream.index, span_label(kernel.name, kernel.layer, kernel.expert), "kernel", start, end,
      fmt::format(R"("gflop":{:.6f},"bytes":{})", flops(kernel).value * 1e-9, memory_traffic(kernel).count));
}

void Timeline::copy(Stream stream, const CopyLabel& label, const Route& route, Bytes bytes, Seconds start,
                    Seconds end) {
  const std::string name = span_label(label.name, label.layer, label.expert);
  const std::string arguments =
      fmt::format(R"("bytes":{},"from":{},"to":{})", bytes.count, quoted(platform_[route.from].name),
                  quoted(platform_[route.to].name));
  event(stream.index, name, "copy", start, end, arguments);
  for (const Hop& hop : route.hops) event(row_of(hop), name, "copy", start, end, arguments);
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
