// Runs the specmoe binary as a user would.
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

/// `specmoe <arguments>` in the folder.
inline CommandResult specmoe_command(const TemporaryFolder& folder, const std::string& arguments) {
  const std::string command = "cd '" + (folder / "").string() + "' && '" SPECMOE_BINARY "' " + arguments +
                              " >stdout.txt 2>stderr.txt </dev/null";
  const int status = std::system(command.c_str());
  if (!WIFEXITED(status)) throw std::runtime_error("specmoe did not exit: " + command);
  return {WEXITSTATUS(status), read_text(folder / "stdout.txt"), read_text(folder / "stderr.txt")};
}

}  // namespace specmoe
