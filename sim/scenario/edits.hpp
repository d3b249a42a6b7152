// Changes to a scenario and to the platform and model it names, by path: what studies sweep and what-ifs ask.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/yaml.hpp"

namespace specmoe {

/// `path` is that of a scenario's key ("cache.capacity", "strategies[LRU].prefetch.window"); below "platform." and
/// "model." it is one of those files. `value` takes the place of what is there; "x2" multiplies a number there and keeps
/// its unit.
struct Edit {
  std::string path;
  Yaml value;
};

/// A document after several edits, one after another. Where a platform's number stands with its source, the value is
/// changed and the source says so. `links.<name>.bandwidth` and `links.<name>.latency` stand for both directions, and
/// what both share goes along; pageable copies, which the host bounds, keep theirs.
/// @throws InputError at the edit's value for a path that leads nowhere or nothing to multiply
Yaml apply_edits(Yaml document, const std::vector<Edit>& edits);

/// The edits sorted by the file that they change; model.name, model.layers, model.top_k and model.expert_format, which a
/// scenario has itself, among the scenario's.
struct SortedEdits {
  std::vector<Edit> scenario, platform, model;
};
SortedEdits sort_edits(const std::vector<Edit>& edits);

/// The keys of a scenario's `model`.
inline const std::vector<std::string_view> kModelKeys{"name", "expert_format", "top_k", "layers"};

}  // namespace specmoe
