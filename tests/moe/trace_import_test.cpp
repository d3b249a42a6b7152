#include <doctest/doctest.h>
#include <zlib.h>

#include <cstring>

#include "models/moe/routing/routing_trace.hpp"
#include "models/moe/routing/trace_import.hpp"
#include "tests/moe/trace_helpers.hpp"

namespace specmoe {

using Row = std::vector<std::int16_t>;

namespace {

// A folder with inputs and the trace that is made of them.
struct Bench {
  TemporaryFolder folder;
  TraceImport import;

  Bench() { import.out = folder / "out.h5"; }
  void add(const std::string& name, const std::string& content) {
    import.inputs.push_back(folder.write(name, content));
  }
  std::unique_ptr<RoutingTrace> run(std::string_view format = "") {
    import_trace(import, format);
    return RoutingTrace::open(import.out);
  }
  std::string error(std::string_view format = "") {
    const auto message = message_of([&] { run(format); });
    CHECK(message.find('\n') == std::string::npos);
    CHECK_FALSE(std::filesystem::exists(import.out));
    return message;
  }
};

std::string error_of(const std::string& name, const std::string& content) {
  Bench bench;
  bench.add(name, content);
  const std::string path = bench.import.inputs[0].string(), message = bench.error();
  CHECK(message.starts_with(path));
  return message.substr(std::min(message.size(), path.size()));
}

template <class T>
std::string npy(std::vector<T> values, const std::string& shape, const std::string& type, char version = 1) {
  std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
  header.resize(118, ' ');
  std::string text = "\x93NUMPY";
  text += {version, '\0', static_cast<char>(header.size()), '\0'};
  if (version > 1) text += std::string(2, '\0');
  text += header;
  text.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  return text;
}

constexpr const char* kJsonl =
    R"({"request": 0, "phase": "prefill", "experts": [[3, 1], [0, 2]], "prompt_tokens": 1, "label": "chat"})"
    "\n"
    R"({"request": 0, "phase": "decode", "experts": [[3, 2], [-1, -1]]})"
    "\n\n"
    R"({"request": 1, "phase": "decode", "experts": [[0, 1], [2, 3]], "prompt_tokens": 9})"
    "\n";

constexpr const char* kRoute =
    "# route_trace v1\n"
    "# model=/data/Toy-7B.gguf arch=toy n_layer=2 n_expert=8 n_expert_used=2\n"
    "# layer=0 expert_bytes=100 dense_bytes=5\n"
    "# layer=1 expert_bytes=200 dense_bytes=5\n"
    "turn,phase,step,layer,slot,expert,weight,residency,expert_bytes\n";

}  // namespace

TEST_CASE("import: vLLM's int16 npy becomes a request, dense layers are dropped") {
  for (const char version : {'\1', '\2', '\3'}) {
    Bench bench;
    // Three tokens, layer 0 dense, layer 1 routed.
    bench.add("a.npy",
              npy<std::int16_t>({-1, -1, 0, 5, -1, -1, 1, 2, -1, -1, 3, 4}, "(3, 2, 2)", "<i2", version));
    const auto trace = bench.run();
    CHECK(trace->layers() == 1);
    CHECK(trace->top_k() == 2);
    CHECK(trace->experts() == 6);  // highest id + 1
    CHECK(rows_of(*trace, 0) == Row{0, 5, 1, 2, 3, 4});
    CHECK(trace->request(0).prompt_tokens == 0);
    CHECK(trace->request(0).decode_rows == 3);
    CHECK(trace->header().recorder ==
          "routed experts (npy), 1 dense layers dropped, number of experts: highest id seen + 1, phases "
          "unknown: all "
          "rows taken for decode");
  }
}

TEST_CASE("import: SGLang's int32 npy, several files, with prompt lengths and the number of experts") {
  Bench bench;
  bench.add("a.npy", npy<std::int32_t>({0, 5, 1, 2, 3, 4}, "(3, 1, 2)", "<i4"));
  bench.add("b.npy", npy<std::int32_t>({7, 6}, "(1, 1, 2)", "<i4"));
  bench.import.prompt_tokens = {2, 1};
  bench.import.experts = 64;
  bench.import.model = "toy";
  const auto trace = bench.run();
  CHECK(trace->experts() == 64);
  CHECK(trace->header().model == "toy");
  CHECK(trace->request(0).prefill_rows == 2);
  CHECK(trace->request(0).decode_rows == 1);
  CHECK(trace->request(1).prefill_rows == 1);
  CHECK(rows_of(*trace, 1) == Row{7, 6});
}

TEST_CASE("import: a bad npy is one clear line") {
  const auto good = npy<std::int16_t>({0, 1, 2, 3}, "(2, 1, 2)", "<i2");
  CHECK(error_of("a.npy", "hello world, no numpy at all") ==
        ": is no .npy file; expected a file made by numpy.save");
  CHECK(error_of("a.npy", good.substr(0, good.size() - 1)).find("too early") != std::string::npos);
  CHECK(error_of("a.npy", good + "x").find("more data") != std::string::npos);
  CHECK(error_of("a.npy", good.substr(0, 40)).find("too early") != std::string::npos);
  CHECK(error_of("a.npy", npy<float>({0, 1}, "(1, 1, 2)", "<f4")) ==
        ": has elements of the type '<f4'; expected '<i2' or '<i4'");
  CHECK(error_of("a.npy", npy<std::int16_t>({0, 1}, "(1, 2)", "<i2")) ==
        ": has the shape (1, 2); expected [token, layer, rank]");
  CHECK(error_of("a.npy", npy<std::int16_t>({0, -2}, "(1, 1, 2)", "<i2")) ==
        ": token 0: expert -2; expected -1 to 32766");
  CHECK(error_of("a.npy", npy<std::int16_t>({0, 3, 2, 2}, "(2, 1, 2)", "<i2")) ==
        ": token 1, layer 0: expert 2 twice (dense layers not counted); expected distinct experts");
  CHECK(error_of("a.npy", npy<std::int16_t>({-1, -1}, "(1, 1, 2)", "<i2")).find("no routed token") !=
        std::string::npos);
  std::string fortran = good;
  fortran.replace(fortran.find("False"), 5, "True ");
  CHECK(error_of("a.npy", fortran).find("is not in C order") != std::string::npos);

  Bench bench;
  bench.add("a.npy", good);
  bench.import.experts = 3;
  CHECK(bench.error().ends_with("expert 3 among the inputs; expected 0 to 2"));
  bench.import.experts.reset();
  bench.import.prompt_tokens = {3};
  CHECK(bench.error().ends_with("a prompt of 3 tokens in 2 rows; expected at most as many as rows"));
  bench.add("b.npy", npy<std::int16_t>({0, 1, 2}, "(1, 1, 3)", "<i2"));
  bench.import.prompt_tokens = {};
  CHECK(bench.error().find("has 1 layers and 3 ranks; expected 1 and 2 as in") != std::string::npos);
}

TEST_CASE("import: a few bytes that claim rows of a billion experts take no memory") {
  CHECK(error_of("a.npy", npy<std::int16_t>({0}, "(1, 10000, 32767)", "<i2")).starts_with(": has the shape"));
  std::string head = "# model=m n_expert=32767 n_expert_used=32767\n";
  for (int layer = 0; layer < 31; ++layer) head += "# layer=" + std::to_string(layer) + " expert_bytes=1\n";
  head += "turn,phase,step,layer,slot,expert,weight,residency,expert_bytes\n";
  CHECK(error_of("a.csv", head) == ":33: 31 layers, top 32767; expected at most 1000000 experts a token");
}

TEST_CASE(
    "import: JSON nested a million deep, which filled the stack where the error shows it, is one clear "
    "line") {
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  CHECK(error_of("a.jsonl",
                 R"({"request":0,"phase":"decode","experts":[[0,1]],"prompt_tokens":2,"token_id":)" + deep +
                     "}") == ":1: \"token_id\": a list or an object; expected 0 to 2147483647");
}

TEST_CASE("import: 2^64 - 1 is no expert, though it compares as -1") {
  CHECK(
      error_of("a.jsonl",
               R"({"request":0,"phase":"decode","experts":[[0,18446744073709551615]],"prompt_tokens":2})") ==
      ":1: expert 18446744073709551615; expected -1 to 32766");
}

TEST_CASE("import: JSON lines with phases, prompt lengths, labels and tokens that were not routed") {
  Bench bench;
  bench.add("a.jsonl", kJsonl);
  const auto trace = bench.run();
  CHECK(trace->requests() == 2);
  CHECK(trace->experts() == 4);
  CHECK_FALSE(trace->header().has_weights);
  CHECK(trace->request(0).prefill_rows == 1);
  CHECK(trace->request(1).prompt_tokens == 9);
  CHECK(trace->request(1).prefill_rows == 0);
  CHECK(rows_of(*trace, 0) == Row{3, 1, 0, 2, 3, 2, -1, -1});
  CHECK(trace->label(0) == "chat");
  CHECK(trace->label(1) == "");
}

TEST_CASE("import: JSON lines with weights and token ids, gzipped") {
  Bench bench;
  const auto path = bench.folder / "a.jsonl.gz";
  const gzFile file = gzopen(path.c_str(), "wb");
  gzputs(
      file,
      R"({"request":0,"phase":"decode","experts":[[1,0]],"weights":[[0.75,0.25]],"token_id":42,"prompt_tokens":0})");
  gzclose(file);
  bench.import.inputs = {path};
  const auto trace = bench.run();
  CHECK(trace->header().has_weights);
  CHECK(trace->header().has_token_ids);
  std::vector<float> weights(2);
  trace->read_weights(0, 0, 1, weights);
  CHECK(weights == std::vector<float>{0.75f, 0.25f});
}

TEST_CASE("import: bad JSON lines name the line") {
  const std::string first = R"({"request":0,"phase":"decode","experts":[[0,1]],"prompt_tokens":2})"
                            "\n";
  CHECK(error_of("a.jsonl", "").find("holds no routed token") != std::string::npos);
  CHECK(error_of("a.jsonl", first + "{\"request\": 0, ") ==
        ":2: is no JSON object; expected one object a line");
  CHECK(error_of("a.jsonl", R"({"request":0,"phase":"decode","experts":[[0,1]]})") ==
        ":1: \"prompt_tokens\" is missing; expected a number");
  CHECK(error_of("a.jsonl", first + R"({"request":0,"phase":"dec","experts":[[0,1]]})") ==
        ":2: \"phase\": \"dec\"; expected \"prefill\" or \"decode\"");
  CHECK(error_of("a.jsonl", first + R"({"request":0,"phase":"prefill","experts":[[0,1]]})") ==
        ":2: prefill after decode; expected a request's prefill lines first");
  CHECK(
      error_of("a.jsonl", first + R"({"request":2,"phase":"decode","experts":[[0,1]],"prompt_tokens":0})") ==
      ":2: request 2; expected 0 or 1");
  CHECK(error_of("a.jsonl", first + R"({"request":0,"phase":"decode","experts":[[0,1],[2,3]]})") ==
        ":2: \"experts\" has 2 layers, one of 2 ranks; expected 1 layers of 2 ranks as before");
  CHECK(error_of("a.jsonl", first + R"({"request":0,"phase":"decode","experts":[[0,0]]})") ==
        ":2: layer 0: expert 0 twice; expected distinct experts");
  CHECK(error_of("a.jsonl", first + R"({"request":0,"phase":"decode","experts":[[0,1.5]]})") ==
        ":2: expert 1.5; expected -1 to 32766");
  CHECK(error_of("a.jsonl", first + R"({"request":0,"phase":"decode","experts":[[0,40000]]})") ==
        ":2: expert 40000; expected -1 to 32766");
  CHECK(
      error_of("a.jsonl", first + R"({"request":0,"phase":"decode","experts":[[0,1]],"gate":1})") ==
      ":2: unknown key \"gate\"; expected request, phase, experts, prompt_tokens, label, weights, token_id");
  CHECK(error_of("a.jsonl", first + R"({"request":0,"phase":"decode","experts":[[0,1]],"token_id":1})") ==
        ":2: weights or token_id on some lines only; expected on all lines or on none");
  CHECK(error_of("a.jsonl", R"({"request":0,"phase":"prefill","experts":[[0,1]],"prompt_tokens":2})") ==
        ":1: request 0 ended with 1 prefill lines; expected 2 as its prompt_tokens say, or none");
  Bench bench;
  bench.add("a.jsonl", kJsonl);
  bench.import.experts = 3;
  CHECK(bench.error().ends_with("a.jsonl:1: expert 3; expected 0 to 2"));
}

TEST_CASE("import: BigMoeOnEdge's prefill, stored layer by layer, becomes rows of tokens") {
  Bench bench;
  // Two prompt tokens, the last layer of the last one only; then one decoded token.
  bench.add("toy.route.csv", std::string(kRoute) +
                                 "0,0,0,0,0,7,0.6,0,100\n0,0,0,0,1,6,0.4,0,100\n"
                                 "0,0,1,0,0,5,0.6,0,100\n0,0,1,0,1,4,0.4,0,100\n"
                                 "0,0,1,1,0,3,0.6,0,200\n0,0,1,1,1,2,0.4,0,200\n"
                                 "0,1,2,0,0,1,0.6,0,100\n0,1,2,0,1,0,0.4,0,100\n"
                                 "0,1,2,1,0,7,0.6,1,0\n0,1,2,1,1,5,0.25,0,200\n");
  const auto trace = bench.run();
  CHECK(trace->experts() == 8);
  CHECK(trace->header().model == "Toy-7B");
  CHECK(trace->header().expert_bytes == std::vector<std::int64_t>{100, 200});
  REQUIRE(trace->requests() == 1);
  CHECK(trace->request(0).prompt_tokens == 2);
  CHECK(trace->request(0).prefill_rows == 2);
  CHECK(trace->request(0).decode_rows == 1);
  CHECK(rows_of(*trace, 0) == Row{7, 6, -1, -1, 5, 4, 3, 2, 1, 0, 7, 5});
  std::vector<float> weights(4);
  trace->read_weights(0, 2, 1, weights);
  CHECK(weights == std::vector<float>{0.6f, 0.4f, 0.6f, 0.25f});
}

TEST_CASE("import: bad route CSVs name the line") {
  const std::string head = kRoute;
  const std::string token =
      "0,1,0,0,0,1,0.6,0,100\n0,1,0,0,1,0,0.4,0,100\n0,1,0,1,0,7,0.6,1,0\n0,1,0,1,1,5,0.25,0,200\n";
  CHECK(error_of("a.csv", "a,b,c\n").starts_with(":1: is not the line of columns; expected turn,phase"));
  CHECK(error_of("a.csv", head.substr(head.find("turn")))
            .starts_with(":1: the comment lines lack the model's shape"));
  CHECK(error_of("a.csv", head) == ":5: no rows follow; expected at least one token");
  CHECK(error_of("a.csv", head + "0,1,0\n").starts_with(":6: 3 fields"));
  CHECK(error_of("a.csv", head + "0,1,0,0,0,8,0.6,0,100\n") == ":6: expert: \"8\"; expected 0 to 7");
  CHECK(error_of("a.csv", head + "0,1,0,0,0,x,0.6,0,100\n") == ":6: expert: \"x\"; expected 0 to 7");
  CHECK(error_of("a.csv", head + "0,1,0,2,0,1,0.6,0,100\n") ==
        ":6: layer 2; expected a layer of the comment lines");
  CHECK(error_of("a.csv", head + "0,1,0,0,0,1,nan,0,100\n") == ":6: weight: \"nan\"; expected a number");
  CHECK(error_of("a.csv", head + token + "0,1,2,0,0,1,0.6,0,100\n") == ":10: step 2; expected 1");
  CHECK(error_of("a.csv", head + token + "0,0,1,0,0,1,0.6,0,100\n") ==
        ":10: a prefill row after a decode row; expected phase 0, then phase 1");
  CHECK(error_of("a.csv", head + token + "2,1,1,0,0,1,0.6,0,100\n") == ":10: turn 2; expected 1");
  CHECK(error_of("a.csv", head + token.substr(0, token.find("0,1,0,1,1")))
            .starts_with(":8: up to here step 0 lacks slot 1 of MoE layer 1"));
  CHECK(error_of("a.csv", head + token.substr(0, 22) + token)
            .starts_with(":7: the same turn, phase, step, layer and slot"));
}

TEST_CASE("import: truncated, corrupt and mislabelled gzip are one clear line") {
  std::string packed(200, '\0');
  {
    const TemporaryFolder folder;
    const auto path = folder / "x.gz";
    const gzFile file = gzopen(path.c_str(), "wb");
    for (int i = 0; i < 2000; ++i) gzprintf(file, "%s%d\n", kRoute, i * 7919);
    gzclose(file);
    std::ifstream in(path, std::ios::binary);
    packed.assign(std::istreambuf_iterator<char>(in), {});
  }
  CHECK(error_of("a.csv.gz", kRoute) == ": is no gzip file; expected gzip, as its name says");
  CHECK(error_of("a.csv.gz", packed.substr(0, 60)).find("gzip data end too early") != std::string::npos);
  std::string corrupt = packed;
  for (std::size_t i = 12; i < 40; ++i) corrupt[i] = static_cast<char>(~corrupt[i]);
  CHECK(error_of("a.csv.gz", corrupt).find("corrupt") != std::string::npos);
}

TEST_CASE(
    "import: a gpt-oss directory gives requests, weights from bfloat16 and the ids of the decoded tokens") {
  Bench bench;
  const auto pack = [&](const std::string& name, std::string_view content) {
    const gzFile file = gzopen((bench.folder / name).c_str(), "wb");
    gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
    gzclose(file);
  };
  bench.folder.write(
      "meta.json",
      R"({"model": "toy", "moe_layers": 1, "experts_per_layer": 4, "top_k": 2, "decode_tokens": 3})");
  bench.folder.write("requests.csv",
                     "id,dataset,category,prompt_tokens,traced_decode_tokens,trace_offset,tok_offset,path\n"
                     "0,mmlu,law,2,1,0,0,\"a, b\"\n1,gpqa,physics,1,2,1,4,c\n");
  pack("experts.u8.gz", std::string("\3\0\1\2\0\1", 6));
  // 0x3f40 = 0.75, 0x3e80 = 0.25
  pack("weights.bf16le.gz", std::string("\x40\x3f\x80\x3e\x40\x3f\x80\x3e\x40\x3f\x80\x3e", 12));
  std::vector<std::uint32_t> ids{10, 11, 12, 13, 20, 21, 22, 23};
  pack("token_local_ids.u32le.gz", {reinterpret_cast<const char*>(ids.data()), ids.size() * 4});
  bench.import.inputs = {bench.folder / ""};
  {
    const auto trace = bench.run();
    CHECK(trace->header().model == "toy");
    CHECK(trace->request(1).prompt_tokens == 1);
    CHECK(trace->request(1).prefill_rows == 0);
    CHECK(rows_of(*trace, 1) == Row{1, 2, 0, 1});
    CHECK(trace->label(1) == "gpqa/physics");
    std::vector<float> weights(4);
    trace->read_weights(1, 0, 2, weights);
    CHECK(weights == std::vector<float>{0.75f, 0.25f, 0.75f, 0.25f});
    // Rows 0, 1 and 2 process local tokens 0 + 2, 4 + 1 and 4 + 1 + 1.
    CHECK(H5File::open(bench.import.out).read<std::int32_t>("/token_ids") ==
          std::vector<std::int32_t>{12, 21, 22});
  }
  std::filesystem::remove(bench.import.out);
  pack("experts.u8.gz", std::string("\3\0\1\2\0", 5));
  CHECK(bench.error().ends_with("experts.u8.gz: ends 1 bytes too early; expected a complete file"));
  pack("experts.u8.gz", std::string("\3\0\1\4\0\1", 6));
  CHECK(bench.error().ends_with(
      "experts.u8.gz: token 1, layer 0: expert 4 of 0 to 3; expected distinct experts"));
  pack("experts.u8.gz", std::string("\3\0\1\2\0\1\1", 7));
  CHECK(bench.error().find("more data") != std::string::npos);
  std::filesystem::remove(bench.folder / "meta.json");
  CHECK(bench.error().ends_with("meta.json: no such file; expected a file to import"));
}

TEST_CASE("import: formats are named or guessed, and the output is not the input") {
  Bench bench;
  bench.add("a.txt", kJsonl);
  CHECK(bench.error().ends_with(
      "has a name that no format goes by; expected --format, one of gpt-oss, bigmoe, npy, jsonl"));
  CHECK(bench.error("csv") == "format \"csv\"; expected one of gpt-oss, bigmoe, npy, jsonl");
  CHECK(bench.run("jsonl")->requests() == 2);
  bench.import.out = bench.import.inputs[0];
  CHECK(message_of([&] {
          bench.run("jsonl");
        }).ends_with("is input and output at once; expected another --out"));
  bench.import.inputs = {bench.folder / "none.npy"};
  CHECK(message_of([&] { bench.run(); }).ends_with("none.npy: no such file; expected a trace to import"));
}

}  // namespace specmoe
