#include <cmath>
#include <nlohmann/json.hpp>

#include "sim/study/whatif.hpp"

namespace specmoe {

using Json = nlohmann::ordered_json;

namespace {

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json point_json(const Asking::Answer& answer, std::size_t point) {
  const PointInfo& info = answer.plan.points[point];
  Json out{{"platform", info.platform},
           {"model", info.model},
           {"batch", info.batch},
           {"capacity_share", number(info.capacity_share)},
           {"strategies", Json::array()}};
  // In the order of the names, which is the scenario's; a point's refused cells come last.
  for (std::size_t strategy = 0; strategy < answer.plan.strategies.size(); ++strategy)
    for (std::size_t c = 0; c < answer.cells.size(); ++c) {
      const StudyCell& cell = answer.plan.cells[c];
      if (static_cast<std::size_t>(cell.point) != point ||
          static_cast<std::size_t>(cell.strategy) != strategy)
        continue;
      Json row{{"strategy", answer.plan.strategies[strategy]},
               {"refused", cell.refused.empty() ? Json(nullptr) : Json(cell.refused)}};
      for (std::size_t m = 0; m < kCellMetrics.size(); ++m)
        row[kCellMetrics[m]] = number(answer.cells[c].metrics[m].value);
      out["strategies"].push_back(std::move(row));
    }
  return out;
}

}  // namespace

std::string answer_json(const Asking::Answer& answer) {
  const Json json{{"base", point_json(answer, 0)},
                  {"changed", answer.plan.points.size() > 1 ? point_json(answer, 1) : Json(nullptr)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace specmoe
