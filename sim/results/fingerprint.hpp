#pragma once
#include <string>

#include "sim/scenario/scenario.hpp"

namespace specmoe {

/// Changes when anything that the results depend on does: the scenario and its edits, the contents of the files it names,
/// the sources that simulate, SimGrid.
std::string fingerprint(const Scenario& scenario);

/// The part of it that comes from the files. Their contents are read once, as long as they look the same.
std::string fingerprint_of_inputs(const Scenario& scenario);

}  // namespace specmoe
