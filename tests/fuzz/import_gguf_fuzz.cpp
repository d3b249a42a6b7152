// A model out of the front of a GGUF file.
#include "models/moe/import/model_import.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace specmoe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::read([&] {
    const MoeModel model = import_gguf(std::as_bytes(std::span(data, size)), "model.gguf");
    (void)model.parameters();
    (void)model.resident_bytes();
  });
  return 0;
}
