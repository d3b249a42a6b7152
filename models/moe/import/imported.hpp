// What all imports have in common.
#pragma once
#include <string>

#include "models/moe/model.hpp"

namespace specmoe {

/// "qwen3-30b-a3b" of .../Qwen3-30B-A3B/config.json, "x" of x_config.json and x.gguf.
std::string name_from(const std::string& file);

/// The model as its specification says it: what an import gives, MoeModel::read accepts.
/// @throws InputError if it does not
MoeModel checked(const MoeModel& model, const std::string& file);

}  // namespace specmoe
