#include "sim/base/try_reading.hpp"

#include <unistd.h>

#include <set>
#include <stdexcept>

#include "sim/base/input_error.hpp"
#include "sim/base/isolated.hpp"

namespace specmoe {

void try_reading(const std::filesystem::path& file, const std::function<void()>& read) {
  static std::set<std::string> tried;
  if (tried.count(file.string())) return;
  constexpr unsigned kPatience = 30;  // s
  try {
    run_isolated([&] {
      ::alarm(kPatience);
      read();
      return std::string();
    });
  } catch (const InputError&) {
    throw;
  } catch (const std::runtime_error&) {
    throw InputError(file.string(), 0, "is corrupt", "a complete HDF5 file");
  }
  tried.insert(file.string());
}

}  // namespace specmoe
