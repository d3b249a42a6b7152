// The subcommands of specmoe-calibrate that need a GPU.
#pragma once

namespace CLI {
class App;
}

namespace specmoe::cuda {

void add_commands(CLI::App& app);

}  // namespace specmoe::cuda
