// A scenario on a platform and a model small enough to be read thousands of times a second, with an edit of it after a NUL:
// "platform.links.pcie.bandwidth=x2".
#include "sim/scenario/scenario.hpp"

#include "tests/fuzz/fuzz.hpp"
#include "tests/fuzz/small_machine.hpp"
#include "tests/moe/tiny_model.hpp"
#include "tests/temporary_folder.hpp"

using namespace specmoe;

namespace {
const TemporaryFolder& folder() {
  static const TemporaryFolder folder;
  [[maybe_unused]] static const auto written = {folder.write("small", fuzz::kSmallMachine),
                                                folder.write("tiny", kTinyDecoder)};
  return folder;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view all = fuzz::text(data, size);
  const std::size_t end = all.find('\0');
  fuzz::read([&] {
    const Yaml document = Yaml::parse(all.substr(0, end), (folder() / "fuzz.yaml").string());
    std::vector<Edit> edits;
    if (end != all.npos) {
      const std::string_view edit = all.substr(end + 1);
      const std::size_t equals = edit.find('=');
      if (equals != edit.npos)
        edits.push_back({std::string(edit.substr(0, equals)), Yaml::parse(edit.substr(equals + 1), "edit")});
    }
    std::vector<RefusedStrategy> refused;
    (void)Scenario::read(document, edits, &refused);
  });
  return 0;
}
