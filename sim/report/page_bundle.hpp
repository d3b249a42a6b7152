// sim/report/page/ and Chart.js as one HTML page, made by sim/report/page/bundle.cmake when the program is built.
#pragma once
#include <string_view>

namespace specmoe {

/// The page up to and from its data.
extern const std::string_view page_before_data, page_after_data;

}  // namespace specmoe
