// The bounds of validation and single published figures.
#include "tests/fuzz/fuzz.hpp"
#include "tests/fuzz/small_machine.hpp"
#include "validation/compare/comparison.hpp"
#include "validation/compare/quoted.hpp"

using namespace specmoe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text(data, size);
  // Copies are simulated, each in a process of its own, which would take most of a fuzzer's time.
  if (text.find("copy") != text.npos) return 0;
  static const Platform platform = Platform::read(Yaml::parse(fuzz::kSmallMachine, "small.yaml"));
  fuzz::read([&] {
    const Yaml document = Yaml::parse(text, "fuzz.yaml");
    if (document.is_map() && document.find("bounds"))
      (void)read_bounds(document);
    else
      (void)compare_quoted("rtx4090", platform, document);
  });
  return 0;
}
