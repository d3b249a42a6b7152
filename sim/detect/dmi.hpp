// The firmware's table of memory modules (SMBIOS, DSP0134), which dmidecode prints. Linux shows it to root alone.
#pragma once
#include <filesystem>
#include <vector>

namespace specmoe {

/// A slot with a module in it.
struct MemoryModule {
  double mt_per_s;  // as configured, else as the module can; 0 where the firmware does not tell
};

/// @return none where the file cannot be read
std::vector<MemoryModule> read_dmi(const std::filesystem::path& table);

}  // namespace specmoe
