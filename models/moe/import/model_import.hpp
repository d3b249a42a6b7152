// Models from the files in which others describe them: a Hugging Face config.json, a GGUF file.
#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/moe/model.hpp"

namespace specmoe {

/// The model that a config.json describes. Its keys are those of Hugging Face transformers and of the models' own code;
/// what this simulator has no notion of is in the model's `notes`, what had to be assumed in `unverified`.
/// @param file names the text in errors and, by its folder or name, the model
/// @throws InputError if the text is no JSON object, a dense model, of a model_type that is not known, lacks a key or
/// has one out of the bounds of model_bounds.hpp
MoeModel import_config(std::string_view text, const std::string& file);

/// The model in a GGUF file, of whose bytes only the header, the metadata and the list of tensors are read. They give
/// exact bytes of the routed experts and of all else.
/// @param bytes of the file from its beginning; what follows the list of tensors may be missing
/// @throws InputError if it is no GGUF file (little-endian, version 2 or 3), is cut off within those parts, or as above
MoeModel import_gguf(std::span<const std::byte> bytes, const std::string& file);

/// Either of them, by the first bytes of the file.
/// @throws InputError also if the file cannot be read
MoeModel import_model(const std::filesystem::path& file);

/// The model types of config.json that import_config knows, sorted, and the architectures of import_gguf.
std::vector<std::string_view> importable_model_types();
std::vector<std::string_view> importable_architectures();

}  // namespace specmoe
