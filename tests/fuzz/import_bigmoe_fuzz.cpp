// The route CSV of BigMoeOnEdge.
#include "tests/fuzz/import_fuzz.hpp"

using namespace specmoe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::MemoryFile file;
  file.write(fuzz::text(data, size));
  fuzz::import_and_read(import_bigmoe, {file.path()});
  return 0;
}
