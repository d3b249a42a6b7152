#include "sim/results/summary.hpp"

namespace specmoe {

namespace {
struct Writer {
  H5File& file;
  const std::string& group;
  void operator()(const char* name, double value) const { file.set(group, name, value); }
  void operator()(const char* name, std::int64_t value) const { file.set(group, name, value); }
  void operator()(const char* name, Bytes value) const { file.set(group, name, value.count); }
};
struct Reader {
  const H5File& file;
  const std::string& group;
  void operator()(const char* name, double& value) const { value = file.get_number(group, name); }
  void operator()(const char* name, std::int64_t& value) const { value = file.get_integer(group, name); }
  void operator()(const char* name, Bytes& value) const { value.count = file.get_integer(group, name); }
};
}  // namespace

void write_summary(H5File& file, const std::string& group, const RunSummary& summary) {
  for_each_field(summary, Writer{file, group});
}

RunSummary read_summary(const H5File& file, const std::string& group) {
  RunSummary summary;
  for_each_field(summary, Reader{file, group});
  return summary;
}

}  // namespace specmoe
