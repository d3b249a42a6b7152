#include "sim/base/build_info.hpp"

#include <cstdlib>

namespace specmoe {

std::string version() { return SPECMOE_VERSION; }

std::filesystem::path home() {
  const char* set = std::getenv("SPECMOE_HOME");
  return set && *set ? set : SPECMOE_SOURCE_DIR;
}

}  // namespace specmoe
