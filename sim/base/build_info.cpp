#include "sim/base/build_info.hpp"

#include <cstdlib>

namespace specmoe {

std::string version() { return SPECMOE_VERSION; }

std::filesystem::path home() {
  const char* set = std::getenv("SPECMOE_HOME");
  return set && *set ? set : SPECMOE_SOURCE_DIR;
}

std::filesystem::path program() {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path own = fs::read_symlink("/proc/self/exe", ignored);
  const fs::path beside = own.parent_path() / "specmoe";
  return fs::is_regular_file(beside, ignored) ? beside : own;
}

}  // namespace specmoe
