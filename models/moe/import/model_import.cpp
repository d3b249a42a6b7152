#include "models/moe/import/model_import.hpp"

#include <fmt/format.h>

#include <cstring>
#include <fstream>

#include "models/moe/import/imported.hpp"
#include "sim/base/input_error.hpp"

namespace specmoe {

namespace {

// Of a GGUF file only the front is read: metadata with a vocabulary of some hundred thousand words, and the list of
// tensors. A config.json is a few kB.
constexpr std::size_t kMostGguf = std::size_t{256} << 20, kMostConfig = std::size_t{16} << 20;

}  // namespace

std::string name_from(const std::string& file) {
  const std::filesystem::path path(file);
  std::string name = path.stem().string();
  if (name == "config") name = path.has_parent_path() ? path.parent_path().filename().string() : "model";
  if (name.ends_with("_config")) name.resize(name.size() - 7);
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_')) c = '-';
  }
  return name.find_first_not_of(".-_") == std::string::npos ? "model" : name;
}

MoeModel checked(const MoeModel& model, const std::string& file) {
  try {
    return MoeModel::read(Yaml::parse(model.written(), "specification"));
  } catch (const InputError& error) {
    throw InputError(file, 0, fmt::format("its specification would not be sound: {}", error.what()));
  }
}

MoeModel import_model(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  char magic[4] = {};
  if (std::filesystem::is_directory(file) || !in.read(magic, sizeof magic))
    throw InputError(file.string(), 0, "cannot be read", "a config.json or a GGUF file");
  const bool gguf = std::memcmp(magic, "GGUF", 4) == 0;
  const std::size_t most = gguf ? kMostGguf : kMostConfig;
  std::string bytes(magic, sizeof magic);
  std::string chunk(std::size_t{1} << 20, '\0');
  while (bytes.size() < most && in) {
    in.read(chunk.data(), static_cast<std::streamsize>(std::min(chunk.size(), most - bytes.size())));
    bytes.append(chunk, 0, static_cast<std::size_t>(in.gcount()));
  }
  if (gguf) return import_gguf(std::as_bytes(std::span(bytes)), file.string());
  if (in && in.peek() != std::ifstream::traits_type::eof())
    throw InputError(file.string(), 0, "is above 16 MiB", "a config.json or a GGUF file");
  return import_config(bytes, file.string());
}

}  // namespace specmoe
