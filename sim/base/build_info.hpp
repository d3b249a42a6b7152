#pragma once
#include <filesystem>
#include <string>

namespace specmoe {

/// "0.1.0".
std::string version();
/// Where platforms/, scenarios/ and models/moe/specs/ are: $SPECMOE_HOME, or the source tree of the build.
std::filesystem::path home();
/// The executable whose code simulates: `specmoe` beside this one, or else this one.
std::filesystem::path program();

}  // namespace specmoe
