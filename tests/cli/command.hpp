// Runs the binaries, specmoe and specmoe-calibrate, as a user would.
#pragma once
#include <sys/wait.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "tests/temporary_folder.hpp"

namespace specmoe {

struct CommandResult {
  int status;
  std::string out, err;
};

/// `<binary> <arguments>` in the folder.
inline CommandResult run_command(const std::string& binary, const TemporaryFolder& folder,
                                 const std::string& arguments) {
  const std::string command = "cd '" + (folder / "").string() + "' && '" + binary + "' " + arguments +
                              " >stdout.txt 2>stderr.txt </dev/null";
  const int status = std::system(command.c_str());
  if (!WIFEXITED(status)) throw std::runtime_error("it did not exit: " + command);
  return {WEXITSTATUS(status), read_text(folder / "stdout.txt"), read_text(folder / "stderr.txt")};
}

inline CommandResult specmoe_command(const TemporaryFolder& folder, const std::string& arguments) {
  return run_command(SPECMOE_BINARY, folder, arguments);
}
inline CommandResult calibrate_command(const TemporaryFolder& folder, const std::string& arguments) {
  return run_command(SPECMOE_CALIBRATE_BINARY, folder, arguments);
}

}  // namespace specmoe
