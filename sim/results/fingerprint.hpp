#pragma once
#include <string>

#include "sim/scenario/scenario.hpp"

namespace specmoe {

/// Changes when anything that the results depend on does: the scenario and its edits, the program, the files it names.
std::string fingerprint(const Scenario& scenario);

}  // namespace specmoe
