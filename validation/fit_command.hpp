#pragma once

namespace CLI {
class App;
}

namespace specmoe {

/// specmoe-calibrate fit: measurements to a platform file.
void add_fit_command(CLI::App& app);

}  // namespace specmoe
