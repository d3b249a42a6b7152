// A model out of a config.json.
#include "models/moe/import/model_import.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace specmoe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::read([&] {
    const MoeModel model = import_config(fuzz::text(data, size), "config.json");
    (void)model.parameters();
    (void)model.resident_bytes();
  });
  return 0;
}
