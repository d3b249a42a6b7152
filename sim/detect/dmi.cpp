#include "sim/detect/dmi.hpp"

#include <fstream>
#include <iterator>
#include <string>

namespace specmoe {

// A structure is a type, its length, a handle, its fields, then texts that two zeros end. Type 17 is a memory device:
// its size at 0x0c, its speed at 0x15 and its configured speed at 0x20, 16 bit each; size 0 is an empty slot.
std::vector<MemoryModule> read_dmi(const std::filesystem::path& table) {
  std::ifstream in(table, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const auto byte = [&](std::size_t at) {
    return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0U;
  };
  std::vector<MemoryModule> modules;
  for (std::size_t at = 0; at + 4 <= bytes.size();) {
    const std::size_t length = byte(at + 1);
    if (length < 4) break;
    const auto word = [&](std::size_t offset) {
      return offset + 2 <= length ? byte(at + offset) + 256 * byte(at + offset + 1) : 0U;
    };
    constexpr unsigned kUnknown = 0xffff;
    if (byte(at) == 17 && word(0x0c) != 0 && word(0x0c) != kUnknown) {
      const unsigned speed = word(0x20) ? word(0x20) : word(0x15);
      modules.push_back({speed == kUnknown ? 0.0 : speed});
    }
    const std::size_t end = bytes.find(std::string(2, '\0'), at + length);
    if (end == std::string::npos) break;
    at = end + 2;
  }
  return modules;
}

}  // namespace specmoe
