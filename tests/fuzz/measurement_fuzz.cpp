// See h5_readers.cpp.
#include "tests/fuzz/h5_readers.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return specmoe::fuzz::change_and_read("measurement", data, size);
}
