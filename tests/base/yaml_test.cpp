#include "sim/base/yaml.hpp"

#include <doctest/doctest.h>

#include "sim/base/input_error.hpp"
#include "tests/approx.hpp"
#include "tests/moe/trace_helpers.hpp"

using namespace specmoe;

namespace {

Yaml parsed(const std::string& text) { return Yaml::parse(text, "f.yaml"); }
// What reading this text says.
std::string refusal(const std::string& text) {
  return message_of([&] { parsed(text); });
}
// What `read` says of the value of key x, on line 1.
template <class Read>
std::string refusal_of(const std::string& value, Read read) {
  return message_of([&] { read(parsed("x: " + value)["x"]); });
}
bool begins_with(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

}  // namespace

TEST_CASE("yaml: maps, lists and scalars in the order of the file, with path and line") {
  const Yaml root = parsed("# a comment\nname: pcie\nlinks:\n  - a\n  - {from: cpu, to: gpu}\nempty:\n");
  CHECK(root.is_map());
  CHECK(root["name"].text() == "pcie");
  const auto links = root["links"].items();
  REQUIRE(links.size() == 2);
  CHECK(links[0].is_scalar());
  CHECK(links[1]["to"].path() == "links[1].to");
  CHECK(links[1]["to"].line() == 5);
  CHECK(root["links"].is_list());
  const auto entries = links[1].entries();
  CHECK(entries[0].first == "from");
  CHECK(entries[1].second.text() == "gpu");
  CHECK_FALSE(root.find("nobody"));
  CHECK(root["empty"].line() == 6);
  CHECK(root.file() == "f.yaml");
  CHECK(begins_with(root.source_text(), "# a comment"));
}

TEST_CASE("yaml: a message names file, line, path, what was found and what was expected") {
  const Yaml root = parsed("links:\n  - bandwidth: 25 GB/s\n  - bandwidth: 25\n");
  CHECK(message_of([&] { root["links"].items()[1]["bandwidth"].bandwidth(); }) ==
        "f.yaml:3: links[1].bandwidth: \"25\"; expected a number with unit, e.g. \"25 GB/s\"");
  CHECK(message_of([&] { root.text(); }) == "f.yaml:1: a map; expected a text");
  CHECK(message_of([&] { root["links"].boolean(); }) == "f.yaml:2: links: a list; expected true or false");
  CHECK(message_of([&] { root["links"]["x"]; }) == "f.yaml:2: links: a list; expected a map");
  CHECK(message_of([&] { root["links"].items()[0].items(); }) ==
        "f.yaml:2: links[0]: a map; expected a list");
}

TEST_CASE("yaml: a missing key is named with its path, at the line of its map") {
  const Yaml root = parsed("gpu:\n  memory:\n    size: 1 GB\n");
  CHECK(message_of([&] { root["gpu"]["memory"]["bandwidth"]; }) ==
        "f.yaml:3: gpu.memory.bandwidth: missing; expected this key");
}

TEST_CASE("yaml: an unknown key is an error at its own line, with the nearest name or all of them") {
  const Yaml root = parsed("size: 1\nbandwith:\n  from: 1\n");
  CHECK_NOTHROW(root.allow_only({"size", "bandwith"}));
  // The value begins on line 3, the key stands on line 2.
  CHECK(message_of([&] {
          root.allow_only({"size", "bandwidth"});
        }) == "f.yaml:2: bandwith: unknown key; expected \"bandwidth\"");
  CHECK(message_of([&] {
          root.allow_only({"size", "xxxxxxxx"});
        }) == "f.yaml:2: bandwith: unknown key; expected one of size, xxxxxxxx");
  CHECK(message_of([&] { root["bandwith"].allow_only({"to"}); }) ==
        "f.yaml:3: bandwith.from: unknown key; expected one of to");
  CHECK(message_of([&] { root["size"].allow_only({"to"}); }) == "f.yaml:1: size: \"1\"; expected a map");
}

TEST_CASE("yaml: the nearest name is the one of fewest edits, none if all are far") {
  CHECK(nearest_name("lur", {"lru", "lfu", "belady"}) == "lru");  // tie of 2 edits: the first
  CHECK(nearest_name("beladi", {"lru", "lfu", "belady"}) == "belady");
  CHECK(nearest_name("clairvoyant", {"lru", "lfu", "belady"}).empty());
  CHECK(nearest_name("", {"belady"}).empty());
  CHECK(nearest_name("x", {}).empty());
}

TEST_CASE("yaml: a choice is one of its names - the error lists them") {
  const auto scope = [](const Yaml& yaml) { return yaml.choice<int>({{"global", 1}, {"layer", 2}}); };
  CHECK(scope(parsed("x: layer")["x"]) == 2);
  CHECK(refusal_of("layers", scope) ==
        "f.yaml:1: x: \"layers\"; expected one of global, layer (did you mean \"layer\"?)");
  CHECK(refusal_of("twice", scope) == "f.yaml:1: x: \"twice\"; expected one of global, layer");
  CHECK(refusal_of("[layer]", scope) == "f.yaml:1: x: a list; expected a text");
}

TEST_CASE("yaml: a duplicate key is an error at the second one") {
  CHECK(refusal("a: 1\nb: 2\na: 3\n") == "f.yaml:3: duplicate key \"a\"; expected each key once");
  CHECK(refusal("m: {a: 1, a: 1}") == "f.yaml:1: duplicate key \"a\"; expected each key once");
  CHECK(refusal("\"a\": 1\na: 2\n") == "f.yaml:2: duplicate key \"a\"; expected each key once");
  CHECK(refusal("m: {a: 1}\nn: {a: 1}\n") == "");
  CHECK(refusal("a:\n  a: 1\n") == "");
  CHECK(begins_with(refusal("[a]: 1\n"), "f.yaml:1: a key that is no scalar"));
}

TEST_CASE("yaml: an alias stands for its anchor, under its own path") {
  const Yaml root = parsed("a: &link\n  size: 1 GB\nb: *link\nc: [*link]\n");
  CHECK(root["b"]["size"].bytes() == Bytes{1'000'000'000});
  CHECK(root["b"]["size"].path() == "b.size");
  CHECK(root["b"]["size"].line() == 2);
  CHECK(root["c"].items()[0]["size"].path() == "c[0].size");
}

TEST_CASE("yaml: a cycle of aliases, or an alias of nothing, is an error") {
  CHECK(refusal("a: &x\n  b: *x\n") ==
        "f.yaml:2: an alias refers to a node that contains it; expected a document without cycles");
  CHECK(begins_with(refusal("&x [1, [2, *x]]"), "f.yaml:1: an alias refers to a node that contains it"));
  CHECK(begins_with(refusal("a: 1\nb: *nobody\n"), "f.yaml:2: "));
}

TEST_CASE("yaml: a billion laughs, which written() would copy, are more than a million nodes") {
  std::string laughs = "a0: &a0 [x]\n";
  for (int i = 1; i <= 30; ++i) {
    const std::string name = "a" + std::to_string(i), last = "*a" + std::to_string(i - 1);
    laughs += name + ": &" + name + " [" + last;
    for (int j = 1; j < 9; ++j) laughs += ", " + last;
    laughs += "]\n";
  }
  // a0 is 2 nodes, each other one list and nine times the one before: a5 125,479, a6 1,129,312.
  CHECK(refusal(laughs) == "f.yaml:7: more than a million nodes; expected a smaller document");
}

TEST_CASE(
    "yaml: aliases of aliases may not nest deeper than brackets, which ended written() with a full stack") {
  std::string chain = "- &a0 [x]\n";
  for (int i = 1; i <= 99; ++i) chain += "- &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) + "]\n";
  // The outer list, a99 to a0: 101 lists in one another.
  CHECK(refusal(chain) == "f.yaml:100: nested more than 100 deep");
  CHECK(refusal(chain.substr(0, chain.rfind("- &a99"))) == "");
}

TEST_CASE("yaml: a map of many keys is read in no more than its share of time") {
  std::string many;
  for (int i = 0; i < 100'000; ++i) many += "key" + std::to_string(i) + ": 1\n";  // each against each: 5e9
  CHECK(refusal(many) == "");
}

TEST_CASE("yaml: a file that does not end is an error") {
  CHECK_THROWS_WITH_AS(Yaml::load("/dev/zero"), "/dev/zero: is longer than 64 MiB; expected a YAML file",
                       InputError);
}

TEST_CASE("yaml: a path that ends in a dot, or goes on after a bracket without one, leads nowhere") {
  const Yaml document = parsed("a: [{b: 1}]");
  CHECK(document.at("a[0].b")->integer(0, 9) == 1);
  for (const char* path : {"a.", "a[0].", "a[0]b", "a[0].b.", "."})
    CHECK_THROWS_AS(document.at(path), InputError);
}

TEST_CASE("yaml: nesting and size are limited") {
  CHECK(refusal(std::string(90, '[') + std::string(90, ']')) == "");
  CHECK(refusal(std::string(5000, '[') + std::string(5000, ']')) == "f.yaml:1: nested more than 100 deep");
  std::string many = "[";
  for (int i = 0; i < 1'000'000; ++i) many += "1,";
  CHECK(refusal(many + "]") == "f.yaml:1: more than a million nodes; expected a smaller document");
}

TEST_CASE("yaml: a file holds one document") {
  CHECK(refusal("a: 1\n---\nb: 1\n") == "f.yaml: holds two documents; expected one");
  CHECK(refusal("---\na: 1\n...\n") == "");
  CHECK(refusal("") == "f.yaml: is empty; expected a YAML document");
  CHECK(refusal("# only a comment\n") == "f.yaml: is empty; expected a YAML document");
  CHECK(refusal("---\n") == "f.yaml: is empty; expected a YAML document");
  CHECK(refusal("a: 1\n---\n") == "f.yaml: holds two documents; expected one");
}

TEST_CASE("yaml: what is no YAML is refused at its line") {
  CHECK(begins_with(refusal("a: 1\nb: [1, 2\n"), "f.yaml:"));
  CHECK(begins_with(refusal("a: 1\n b: 2\n"), "f.yaml:2: "));
  CHECK(begins_with(refusal("a: 1\n\tb: 2\n"), "f.yaml:"));
  // yaml-cpp 0.7 alone takes these quotes for closed, and b for text.
  CHECK(refusal("a: \"never closed\nb: 2\n") ==
        "f.yaml:4: a quote that is never closed; expected valid YAML");
  CHECK(refusal("a: 'never closed") == "f.yaml:2: a quote that is never closed; expected valid YAML");
  CHECK(refusal("[[1], [2]\n") ==
        "f.yaml:1: a key that is no scalar, or a bracket that is never closed; expected a name");
  CHECK(begins_with(refusal("a: 1\n}\n"), "f.yaml:2: "));
  for (const std::string text : {"a: [1, 2\n", "a: \"open\n", "}"})
    CHECK(refusal(text).find("; expected valid YAML") != std::string::npos);
}

TEST_CASE("yaml: Windows line ends and a byte order mark are taken as they are meant") {
  const Yaml root = parsed(
      "\xef\xbb\xbf"
      "size: 1 GB\r\ncount: 3\r\nbad: 1\r\n");
  CHECK(root["size"].bytes() == Bytes{1'000'000'000});
  CHECK(root["count"].integer(0, 9) == 3);
  CHECK(message_of([&] { root["bad"].bytes(); }) ==
        "f.yaml:3: bad: \"1\"; expected a number with unit, e.g. \"9 GiB\"");
}

TEST_CASE("yaml: a file that is missing, a folder or empty is named") {
  const TemporaryFolder folder;
  const std::string name = (folder / "x.yaml").string();
  CHECK(message_of([&] { Yaml::load(name); }) == name + ": cannot be read; expected a YAML file");
  CHECK(message_of([&] { Yaml::load(folder / ""); }) ==
        (folder / "").string() + ": cannot be read; expected a YAML file");
  folder.write("x.yaml", "");
  CHECK(message_of([&] { Yaml::load(name); }) == name + ": is empty; expected a YAML document");
  folder.write("x.yaml", "a: b");
  CHECK(Yaml::load(name)["a"].text() == "b");
  CHECK(Yaml::load(name).file() == name);
}

TEST_CASE("yaml: every unit of bytes, whole after rounding") {
  const auto bytes = [](const std::string& value) { return parsed("x: " + value)["x"].bytes().count; };
  CHECK(bytes("7 B") == 7);
  CHECK(bytes("64 kB") == 64'000);
  CHECK(bytes("1.5 MB") == 1'500'000);
  CHECK(bytes("24 GB") == 24'000'000'000);
  CHECK(bytes("2 TB") == 2'000'000'000'000);
  CHECK(bytes("3 KiB") == 3'072);
  CHECK(bytes("9 MiB") == 9'437'184);
  CHECK(bytes("0.5 GiB") == 536'870'912);
  CHECK(bytes("1 TiB") == 1'099'511'627'776);
  CHECK(bytes("9GiB") == bytes("9   GiB"));
  CHECK(bytes("\"9 GiB\"") == bytes("9 GiB"));
  CHECK(bytes("1e3 B") == 1'000);
  CHECK(bytes("0 B") == 0);
  CHECK(bytes("0.001 kB") == 1);
}

TEST_CASE("yaml: every unit of time, bandwidth, arithmetic, power and energy a byte") {
  const auto x = [](const std::string& value) { return parsed("x: " + value)["x"]; };
  CHECK(x("2 s").seconds() == Seconds{2});
  CHECK(x("3 ms").seconds().value == specmoe::approx(3e-3));
  CHECK(x("2.5 us").seconds().value == specmoe::approx(2.5e-6));
  CHECK(x("4 ns").seconds().value == specmoe::approx(4e-9));
  CHECK(x("1000 B/s").bandwidth() == BytesPerSecond{1e3});
  CHECK(x("5 kB/s").bandwidth() == BytesPerSecond{5e3});
  CHECK(x("6 MB/s").bandwidth() == BytesPerSecond{6e6});
  CHECK(x("25 GB/s").bandwidth() == BytesPerSecond{25e9});
  CHECK(x("3 TB/s").bandwidth() == BytesPerSecond{3e12});
  CHECK(x("1 GiB/s").bandwidth() == BytesPerSecond{1'073'741'824});
  CHECK(x("2 GFLOP/s").flop_rate() == FlopsPerSecond{2e9});
  CHECK(x("165 TFLOP/s").flop_rate() == FlopsPerSecond{165e12});
  CHECK(x("1 PFLOP/s").flop_rate() == FlopsPerSecond{1e15});
  CHECK(x("3 GOP/s").flop_rate() == FlopsPerSecond{3e9});
  CHECK(x("4 TOP/s").flop_rate() == FlopsPerSecond{4e12});
  CHECK(x("450 W").power() == Watts{450});
  CHECK(x("5 mW").power().value == specmoe::approx(5e-3));
  CHECK(x("1.5 kW").power() == Watts{1500});
  CHECK(x("88 pJ/B").energy_per_byte().value == specmoe::approx(88e-12));
  CHECK(x("11 pJ/bit").energy_per_byte().value == specmoe::approx(88e-12));
  CHECK(x("2 nJ/B").energy_per_byte().value == specmoe::approx(2e-9));
}

TEST_CASE("yaml: a quantity without its unit, with another's, or no number at all is refused") {
  const auto bytes = [](const Yaml& yaml) { yaml.bytes(); };
  for (const std::string value :
       {"9", "GiB", "9 gib", "9 GiB/s", "9 Gib", "nine GiB", "9 GiB x", "9,5 GiB", "0x9 GiB", "+9 GiB",
        "nan GiB", "inf GiB", "-inf GiB", "1e400 GiB", "nan", "1e400"})
    CHECK(refusal_of(value, bytes) ==
          "f.yaml:1: x: \"" + value + "\"; expected a number with unit, e.g. \"9 GiB\"");
  CHECK(refusal_of("", bytes) == "f.yaml:1: x: \"\"; expected a number with unit, e.g. \"9 GiB\"");
  CHECK(refusal_of("[9 GiB]", bytes) == "f.yaml:1: x: a list; expected a number with unit, e.g. \"9 GiB\"");
  CHECK(refusal_of("3 s", [](const Yaml& yaml) { yaml.bandwidth(); }) ==
        "f.yaml:1: x: \"3 s\"; expected a number with unit, e.g. \"25 GB/s\"");
  CHECK(refusal_of("3 GB", [](const Yaml& yaml) { yaml.seconds(); }) ==
        "f.yaml:1: x: \"3 GB\"; expected a number with unit, e.g. \"2.5 us\"");
  CHECK(refusal_of("3 FLOP", [](const Yaml& yaml) { yaml.flop_rate(); }) ==
        "f.yaml:1: x: \"3 FLOP\"; expected a number with unit, e.g. \"165.2 TFLOP/s\"");
}

TEST_CASE("yaml: a negative, zero or absurd quantity is refused with its range in its own unit") {
  const auto bytes = [](const Yaml& yaml) { yaml.bytes({1}); };
  CHECK(refusal_of("-1 GB", bytes) == "f.yaml:1: x: \"-1 GB\"; expected 1e-09 to 1e+09 GB (e.g. \"9 GiB\")");
  CHECK(refusal_of("0 B", bytes) == "f.yaml:1: x: \"0 B\"; expected 1 to 1e+18 B (e.g. \"9 GiB\")");
  CHECK(refusal_of("1e300 TB", bytes) != "");
  CHECK(refusal_of("1e308 TB", bytes) != "");  // infinite only once the unit is in
  const auto bandwidth = [](const Yaml& yaml) { yaml.bandwidth(); };
  CHECK(refusal_of("0 GB/s", bandwidth) ==
        "f.yaml:1: x: \"0 GB/s\"; expected 1e-06 to 1e+06 GB/s (e.g. \"25 GB/s\")");
  CHECK(refusal_of("-25 GB/s", bandwidth) != "");
  CHECK(refusal_of("1e9 TB/s", bandwidth) != "");
  const auto rate = [](const Yaml& yaml) { yaml.flop_rate(); };
  CHECK(refusal_of("0 TFLOP/s", rate) != "");
  CHECK(refusal_of("1e12 PFLOP/s", rate) != "");
  const auto seconds = [](const Yaml& yaml) { yaml.seconds(); };
  CHECK(refusal_of("0 us", seconds) == "");
  CHECK(refusal_of("-2 us", seconds) != "");
  CHECK(refusal_of("1e7 s", seconds) == "f.yaml:1: x: \"1e7 s\"; expected 0 to 1e+06 s (e.g. \"2.5 us\")");
}

TEST_CASE("yaml: an integer is a whole number in its range and nothing behind it") {
  const auto one_to_ten = [](const Yaml& yaml) { return yaml.integer(1, 10); };
  CHECK(one_to_ten(parsed("x: 1")["x"]) == 1);
  CHECK(one_to_ten(parsed("x: 10")["x"]) == 10);
  CHECK(parsed("x: -7")["x"].integer(-7, 0) == -7);
  for (const std::string value : {"0", "11", "-1", "3x", "3 4", "3.0", "3.5", "1e1", "0x3", "+3", "three",
                                  "99999999999999999999", "nan", "3 B"})
    CHECK(refusal_of(value, one_to_ten) ==
          "f.yaml:1: x: \"" + value + "\"; expected a whole number from 1 to 10");
  CHECK(refusal_of("", one_to_ten) != "");
  CHECK(refusal_of("{a: 3}", one_to_ten) == "f.yaml:1: x: a map; expected a whole number from 1 to 10");
}

TEST_CASE("yaml: a number is finite, in its range and has nothing behind it") {
  const auto share = [](const Yaml& yaml) { return yaml.number(0, 1); };
  CHECK(share(parsed("x: 0.25")["x"]) == 0.25);
  CHECK(share(parsed("x: 1")["x"]) == 1);
  CHECK(share(parsed("x: 25e-2")["x"]) == 0.25);
  for (const std::string value :
       {"-0.1", "1.1", "nan", "inf", "-inf", "1e400", "-1e400", "0.5x", "0.5 %", "half", ".inf"})
    CHECK(refusal_of(value, share) == "f.yaml:1: x: \"" + value + "\"; expected a number from 0 to 1");
  CHECK(refusal_of("", share) != "");
  CHECK(refusal_of("[0.5]", share) != "");
}

TEST_CASE("yaml: a boolean is true or false, a text is not empty") {
  const auto boolean = [](const Yaml& yaml) { return yaml.boolean(); };
  CHECK(boolean(parsed("x: true")["x"]));
  CHECK_FALSE(boolean(parsed("x: false")["x"]));
  for (const std::string value : {"yes", "True", "0", "on"})
    CHECK(refusal_of(value, boolean) == "f.yaml:1: x: \"" + value + "\"; expected true or false");
  CHECK(refusal_of("", [](const Yaml& yaml) { yaml.text(); }) == "f.yaml:1: x: \"\"; expected a text");
  CHECK(refusal_of("\"\"", [](const Yaml& yaml) { yaml.text(); }) == "f.yaml:1: x: \"\"; expected a text");
}
