#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "models/moe/routing/routing_trace.hpp"
#include "sim/base/input_error.hpp"
#include "tests/moe/trace_helpers.hpp"

namespace specmoe {

using Row = std::vector<std::int16_t>;

// Two layers, four experts, top-2; request 0: prompt of 1 and two decoded tokens, request 1: unrecorded
// prompt of 7.
static std::filesystem::path small_trace(const TemporaryFolder& folder) {
  TraceHeader header;
  header.layers = 2;
  header.experts = 4;
  header.top_k = 2;
  header.model = "toy";
  header.source = "by hand";
  header.recorder = "test";
  header.expert_bytes = {100, 200};
  header.has_weights = header.has_token_ids = header.has_labels = true;
  TraceWriter writer(folder / "small.h5", header);
  const std::vector<float> weights{0.75f, 0.25f, 0.5f, 0.5f};
  writer.begin_request(1, "chat");
  writer.add_row(true, Row{0, 1, 2, -1}, weights, 10);
  writer.add_row(false, Row{1, 2, 3, 0}, weights, 11);
  writer.add_row(false, Row{2, 3, 0, 1}, weights, 12);
  writer.begin_request(7, "code");
  writer.add_row(false, Row{3, 0, 1, 2}, weights, 13);
  writer.finish();
  return folder / "small.h5";
}

TEST_CASE("trace file: what is written is read back") {
  const TemporaryFolder folder;
  const auto trace = RoutingTrace::open(small_trace(folder));
  CHECK(trace->layers() == 2);
  CHECK(trace->experts() == 4);
  CHECK(trace->top_k() == 2);
  CHECK(trace->tokens() == 4);
  CHECK(trace->header().model == "toy");
  CHECK(trace->header().expert_bytes == std::vector<std::int64_t>{100, 200});
  REQUIRE(trace->requests() == 2);
  CHECK(trace->request(0).prompt_tokens == 1);
  CHECK(trace->request(0).prefill_rows == 1);
  CHECK(trace->request(0).decode_rows == 2);
  CHECK(trace->request(1).prompt_tokens == 7);
  CHECK(trace->request(1).prefill_rows == 0);
  CHECK(trace->request(1).decode_rows == 1);
  CHECK(trace->label(1) == "code");
  CHECK(rows_of(*trace, 0) == Row{0, 1, 2, -1, 1, 2, 3, 0, 2, 3, 0, 1});
  CHECK(rows_of(*trace, 1) == Row{3, 0, 1, 2});
  std::vector<float> weights(4);
  trace->read_weights(1, 0, 1, weights);
  CHECK(weights == std::vector<float>{0.75f, 0.25f, 0.5f, 0.5f});
  CHECK(trace->description() == "trace small.h5: toy, 2 requests, 4 tokens; test; source: by hand");
}

TEST_CASE("trace file: requests read side by side, in pieces and backwards give the same rows") {
  const TemporaryFolder folder;
  TraceHeader header;
  header.layers = 1;
  header.experts = 1000;
  header.top_k = 1;
  TraceWriter writer(folder / "long.h5", header);
  for (int request = 0; request < 2; ++request) {
    writer.begin_request(0);
    for (int row = 0; row < 400; ++row)
      writer.add_row(false, Row{static_cast<std::int16_t>(request * 500 + row)});
  }
  writer.finish();
  const auto trace = RoutingTrace::open(folder / "long.h5");
  Row one(1), many(200);
  for (std::int64_t row = 0; row < 400; ++row)
    for (std::int16_t request = 0; request < 2; ++request) {
      trace->read(request, row, 1, one);
      REQUIRE(one[0] == request * 500 + row);
    }
  trace->read(1, 150, 200, many);  // 650 .. 849
  CHECK(many.front() == 650);
  CHECK(many.back() == 849);
  trace->read(1, 3, 1, one);
  CHECK(one[0] == 503);
}

TEST_CASE("trace file: rows and requests that do not exist are input errors") {
  const TemporaryFolder folder;
  const auto trace = RoutingTrace::open(small_trace(folder));
  Row row(4);
  CHECK(message_of([&] {
          trace->read(0, 3, 1, row);
        }).find("1 rows from row 3 asked for; expected rows 0 to 2") != std::string::npos);
  CHECK_THROWS_AS(trace->read(0, -1, 1, row), InputError);
  CHECK_THROWS_AS(trace->request(2), InputError);
}

TEST_CASE("trace file: weights read row by row, beside the experts and backwards, are those of the row") {
  const TemporaryFolder folder;
  TraceHeader header;
  header.layers = 1;
  header.experts = 4;
  header.top_k = 1;
  header.has_weights = true;
  TraceWriter writer(folder / "w.h5", header);
  constexpr int kRows = 300;  // more than two blocks
  for (int request = 0; request < 2; ++request) {
    writer.begin_request(0);
    for (int row = 0; row < kRows; ++row)
      writer.add_row(false, Row{static_cast<std::int16_t>(row % 4)},
                     std::vector<float>{static_cast<float>(1000 * request + row)});
  }
  writer.finish();
  const auto trace = RoutingTrace::open(folder / "w.h5");
  Row expert(1);
  std::vector<float> weight(1), all(kRows);
  for (int row = 0; row < kRows; ++row)
    for (const int request : {0, 1}) {
      trace->read(request, row, 1, expert);
      trace->read_weights(request, row, 1, weight);
      REQUIRE(expert[0] == row % 4);
      REQUIRE(weight[0] == static_cast<float>(1000 * request + row));
    }
  trace->read_weights(1, 5, 1, weight);
  CHECK(weight[0] == 1005);
  trace->read_weights(1, 0, kRows, all);
  CHECK(all[299] == 1299);
}

TEST_CASE("trace file: a trace without weights says so") {
  const TemporaryFolder folder;
  TraceHeader header;
  header.layers = header.experts = header.top_k = 1;
  TraceWriter writer(folder / "bare.h5", header);
  writer.begin_request(0);
  writer.add_row(false, Row{0});
  writer.finish();
  const auto trace = RoutingTrace::open(folder / "bare.h5");
  std::vector<float> weights(1);
  CHECK(message_of([&] {
          trace->read_weights(0, 0, 1, weights);
        }).ends_with("has no gate weights; expected a trace recorded with them"));
  CHECK(trace->label(0) == "");
}

TEST_CASE("trace file: files that are none, missing or truncated are one clear line") {
  const TemporaryFolder folder;
  CHECK(message_of([&] { RoutingTrace::open(folder / "none.h5"); }).find("no such file") !=
        std::string::npos);
  const auto trace = small_trace(folder);
  std::filesystem::resize_file(trace, std::filesystem::file_size(trace) / 2);
  CHECK(message_of([&] { RoutingTrace::open(trace); }).find("truncated") != std::string::npos);
  H5File::create(folder / "other.h5").write<double>("/x", {1.0});
  CHECK(message_of([&] { RoutingTrace::open(folder / "other.h5"); }).find("is no routing trace") !=
        std::string::npos);
}

TEST_CASE("trace file: a writer that is not finished leaves no file, and what was there untouched") {
  const TemporaryFolder folder;
  TraceHeader header;
  header.layers = header.experts = header.top_k = 1;
  {
    folder.write("half.h5", "what was there before");
    TraceWriter writer(folder / "half.h5", header);
    writer.begin_request(0);
    writer.add_row(false, Row{0});
    CHECK(std::filesystem::exists(folder / "half.h5.unfinished"));
  }
  CHECK_FALSE(std::filesystem::exists(folder / "half.h5.unfinished"));
  CHECK(read_text(folder / "half.h5") == "what was there before");
}

// Writes a trace of one layer, four experts and top-1 by hand, so that it can contradict itself.
struct RawTrace {
  std::vector<std::int64_t> first{0, 2}, prompt{1, 0}, prefill{1, 0}, decode{1, 1};
  std::vector<std::int16_t> experts{0, 1, 2};
  std::vector<std::int64_t> shape{3, 1, 1};
  std::int64_t version = 1, layers = 1;

  std::string error(const TemporaryFolder& folder) const {
    {
      auto file = H5File::create(folder / "raw.h5");
      file.write<std::int16_t>("/experts", experts, shape);
      file.write("/requests/first_token", first);
      file.write("/requests/prompt_tokens", prompt);
      file.write("/requests/prefill_rows", prefill);
      file.write("/requests/decode_rows", decode);
      file.set("/", "format", "specmoe-trace");
      file.set("/", "version", version);
      file.set("/", "layers", layers);
      file.set("/", "experts", std::int64_t{4});
      file.set("/", "top_k", std::int64_t{1});
      for (const char* text : {"model", "source", "licence", "recorder"}) file.set("/", text, "");
    }
    return message_of([&] {
      const auto trace = RoutingTrace::open(folder / "raw.h5");
      rows_of(*trace, 0);
    });
  }
};

TEST_CASE("trace file: a file that contradicts itself does not open") {
  const TemporaryFolder folder;
  const auto contains = [&](const RawTrace& raw, const std::string& part) {
    const auto message = raw.error(folder);
    INFO(message);
    CHECK(message.find(part) != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
  };
  CHECK(RawTrace{}.error(folder) == "");
  RawTrace raw;
  raw.version = 2;
  contains(raw, "is a trace of version 2; expected version 1");
  raw = {};
  raw.layers = 2;
  contains(raw, "/experts has the shape [3, 1, 1]; expected [3, 2, 1]");
  raw = {};
  raw.first = {0, 1};
  contains(raw, "request 1: starts at token 1; expected 2");
  raw = {};
  raw.decode = {1, 2};
  contains(raw, "request 1: 0 prefill and 2 decode rows; expected at most the 1 that follow");
  raw = {};
  raw.decode = {1, 0};
  contains(raw, "the requests have 2 rows; expected 3");
  raw = {};
  raw.prompt = {5, 0};
  contains(raw, "1 prefill rows of a prompt of 5 tokens");
  raw = {};
  raw.prompt = {1};
  contains(raw, "differ in length");
  raw = {};
  raw.experts = {0, 4, 2};
  contains(raw, "/experts: token 1, layer 0: expert 4 of 0 to 3");
}

TEST_CASE("trace file: the writer refuses experts out of range and twice in a layer") {
  const TemporaryFolder folder;
  TraceHeader header;
  header.layers = 1;
  header.experts = 4;
  header.top_k = 2;
  TraceWriter writer(folder / "bad.h5", header);
  CHECK_THROWS_AS(writer.add_row(false, Row{0, 1}), std::logic_error);  // outside a request
  writer.begin_request(0);
  CHECK(message_of([&] {
          writer.add_row(false, Row{0, 4});
        }).find("layer 0: expert 4 of 0 to 3") != std::string::npos);
  CHECK(message_of([&] {
          writer.add_row(false, Row{3, 3});
        }).find("layer 0: expert 3 twice") != std::string::npos);
  CHECK_THROWS_AS(writer.add_row(false, Row{0, 1, 2}), std::logic_error);
  writer.add_row(false, Row{-1, -1});
  CHECK_THROWS_AS(writer.add_row(true, Row{0, 1}), std::logic_error);  // prefill after decode
}

}  // namespace specmoe
