#pragma once
#include <filesystem>
#include <string>

namespace specmoe {

/// "0.1.0".
std::string version();
/// Where platforms/, scenarios/ and models/moe/specs/ are: $SPECMOE_HOME, or the source tree of the build.
std::filesystem::path home();
/// A hash of the sources that simulate, the same in all programs built from them.
std::string sources();

}  // namespace specmoe
