#include "tests/fuzz/import_fuzz.hpp"

#include <cstdlib>

#include "models/moe/routing/routing_trace.hpp"
#include "tests/temporary_folder.hpp"

namespace specmoe::fuzz {

void import_and_read(void (*import)(const TraceImport&), std::vector<std::filesystem::path> inputs) {
  static const TemporaryFolder folder;
  TraceImport request;
  request.inputs = std::move(inputs);
  request.out = folder / "trace.h5";
  request.prompt_tokens = {1};
  bool imported = false;
  read([&] {
    import(request);
    imported = true;
  });
  if (!imported) return;
  // What an importer wrote is a trace; only what it cannot know, weights that are no numbers, may be wrong in it.
  const auto trace = RoutingTrace::open(request.out);
  std::vector<std::int16_t> row(static_cast<std::size_t>(trace->layers() * trace->top_k()));
  std::int64_t rows = 0;
  for (std::int64_t r = 0; r < trace->requests(); ++r) {
    const RequestInfo info = trace->request(r);
    rows += info.prefill_rows + info.decode_rows;
    if (info.prefill_rows + info.decode_rows > 0) trace->read(r, 0, 1, row);
  }
  if (rows != trace->tokens()) std::abort();
}

}  // namespace specmoe::fuzz
