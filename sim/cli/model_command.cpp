#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>

#include "models/moe/import/model_import.hpp"
#include "sim/base/input_error.hpp"
#include "sim/cli/commands.hpp"

namespace specmoe {
namespace {

struct ImportOptions {
  std::string file, out, name;
};

void import_and_write(const ImportOptions& options) {
  MoeModel model = import_model(options.file);
  if (!options.name.empty()) model.name = options.name;
  const std::string text = model.written();
  MoeModel::read(Yaml::parse(text, options.out));  // a name that YAML would not give back
  if (options.out.empty()) {
    fmt::print("{}", text);
    return;
  }
  std::ofstream out(options.out, std::ios::binary);
  out << text;
  if (!out.flush()) throw InputError(options.out, 0, "cannot be written", "a file in a folder that is there");
  const Parameters p = model.parameters();
  fmt::print(
      "{}: {}, {:.2f} B parameters ({:.2f} B active), {} MoE layers of {} experts, top {}, {:.2f} MB each\n",
      options.out, model.name, p.total * 1e-9, p.active * 1e-9, model.moe_layers, model.experts, model.top_k,
      static_cast<double>(model.expert_bytes().count) * 1e-6);
}

}  // namespace

void add_model_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("model", "Model files");
  command->require_subcommand(1);
  auto options = std::make_shared<ImportOptions>();
  CLI::App* import =
      command->add_subcommand("import", "A model file from a Hugging Face config.json or a GGUF file");
  import->add_option("file", options->file, "config.json, or model.gguf (of a split one the first part)")
      ->required();
  import->add_option("--out", options->out, "File to write; default standard output");
  import->add_option("--name", options->name, "The model's name; default from the file's or its folder's");
  import->footer(fmt::format("model_type of config.json: {}\narchitecture of GGUF: {}",
                             fmt::join(importable_model_types(), ", "),
                             fmt::join(importable_architectures(), ", ")));
  import->callback([options] { import_and_write(*options);
});
}  // namespace specmoe

}  // namespace specmoe
