// Files that may end the program that reads them.
#pragma once
#include <filesystem>
#include <functional>

namespace specmoe {

/// HDF5 1.10 crashes or spins on about one damaged file in a hundred (tests/fuzz/README.md), most where it reads texts.
/// So a child process does first what is to be done with a file that somebody else may have made: once for each file and
/// process. Call before any thread is started.
/// @throws what `read` throws as an InputError; InputError if it ends the child, or takes longer than half a minute.
void try_reading(const std::filesystem::path& file, const std::function<void()>& read);

}  // namespace specmoe
