// What the targets of imports share: the import itself, and that the reader of traces takes what it wrote.
#pragma once
#include <filesystem>
#include <vector>

#include "models/moe/routing/trace_import.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace specmoe::fuzz {

/// @param import one of trace_import.hpp; a prompt of one token is claimed of each file
void import_and_read(void (*import)(const TraceImport&), std::vector<std::filesystem::path> inputs);

}  // namespace specmoe::fuzz
