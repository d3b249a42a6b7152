// What the tests of traces share: the text of an error, all rows of a request.
#pragma once
#include <string>
#include <vector>

#include "models/moe/routing/routing.hpp"
#include "sim/base/input_error.hpp"
#include "tests/temporary_folder.hpp"

namespace specmoe {

/// The text of the InputError that `work` throws; "" if it throws none.
template <class Work>
std::string message_of(Work work) {
  try {
    work();
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

/// [row, layer, rank] of a whole request.
inline std::vector<std::int16_t> rows_of(RoutingSource& source, std::int64_t request) {
  const RequestInfo info = source.request(request);
  const std::int64_t rows = info.prefill_rows + info.decode_rows;
  std::vector<std::int16_t> out(static_cast<std::size_t>(rows * source.layers() * source.top_k()));
  source.read(request, 0, rows, out);
  return out;
}

}  // namespace specmoe
