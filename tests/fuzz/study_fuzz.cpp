// A study and what is asked of its points.
#include "sim/study/study.hpp"

#include <algorithm>

#include "tests/fuzz/fuzz.hpp"

using namespace specmoe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::read([&] {
    const Study study = Study::read(Yaml::parse(fuzz::text(data, size), "fuzz.yaml"));
    const std::size_t points = study.points();
    for (const std::size_t point : {std::size_t{0}, points / 2, points - 1}) {
      if (study.point(study.places(point)) != point) std::abort();
      (void)study.label(point);
      fuzz::read([&] {
        (void)apply_edits(study.scenario, sort_edits(study.edits(point, study.replications - 1)).scenario);
      });
    }
    (void)study.document();
  });
  return 0;
}
