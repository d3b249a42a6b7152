#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "models/hardware/kernel_price.hpp"
#include "models/hardware/platform.hpp"
#include "sim/base/input_error.hpp"
#include "tests/moe/trace_helpers.hpp"
#include "tests/temporary_folder.hpp"

using namespace specmoe;

namespace {

const std::string kBase = R"(name: base
description: host and GPU memory
price: {value: 100 USD, source: shop}
memories:
  ram: {kind: host, capacity: {value: 64 GB, source: sheet}, reserved: {value: 0 B, source: s}, read: {value: 50 GB/s, source: s}, write: {value: 50 GB/s, source: s}}
  vram: {kind: device, capacity: {value: 24 GB, source: sheet}, reserved: {value: 1 GB, source: s}, read: {value: 1000 GB/s, source: s}, write: {value: 1000 GB/s, source: s}}
links:
  pcie:
    between: [ram, vram]
    duplex: {value: 40 GB/s, source: s}
    forward: {bandwidth: {value: 25 GB/s, source: measured}, latency: {value: 1 us, source: s}, half_size: {value: 0 B, source: s}}
    backward: {bandwidth: {value: 20 GB/s, source: s}, latency: {value: 2 us, source: s}, half_size: {value: 0 B, source: s}}
    pageable_forward: {bandwidth: {value: 5 GB/s, source: s}, latency: {value: 8 us, source: s}, half_size: {value: 0 B, source: s}}
    pageable_backward: {bandwidth: {value: 4 GB/s, source: s}, latency: {value: 9 us, source: s}, half_size: {value: 0 B, source: s}}
devices:
  cpu: {kind: cpu, memory: ram, peak: {bf16: {value: 1 TFLOP/s, source: s}, int8: {value: 2 TOP/s, source: s}}}
)";

const std::string kHead = "name: mine\ndescription: my machine\nlike: base.yaml\n";

struct Folder : TemporaryFolder {
  Folder() { write("base.yaml", kBase); }
  std::string mine(const std::string& rest) const { return write("mine.yaml", kHead + rest).string(); }
  Platform load(const std::string& rest) const { return Platform::load(mine(rest)); }
  std::string error(const std::string& rest) const {
    return message_of([&] { load(rest); });
  }
};

const Provenance& number(const Platform& p, const std::string& path) {
  const auto found = std::find_if(p.provenance.begin(), p.provenance.end(),
                                  [&](const Provenance& each) { return each.path == path; });
  REQUIRE(found != p.provenance.end());
  return *found;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("platform like: what a file gives is its own, all else is carried over, unverified") {
  const Folder folder;
  const Platform p = folder.load("memories: {vram: {capacity: {value: 48 GB, source: my card}}}\n");
  CHECK(p.name == "mine");
  CHECK(p.description == "my machine");
  CHECK(p[p.memory("vram")].capacity == Bytes{48'000'000'000});
  CHECK(p[p.memory("vram")].reserved == Bytes{1'000'000'000});
  CHECK(p.links.at(0).forward.bandwidth == BytesPerSecond{25e9});
  CHECK(number(p, "memories.vram.capacity").source == "my card");
  CHECK_FALSE(number(p, "memories.vram.capacity").unverified);
  CHECK(number(p, "links.pcie.forward.bandwidth").source == "carried over from base: measured");
  CHECK(number(p, "links.pcie.forward.bandwidth").unverified);
  // The base has 8 + 13 + 2 numbers, and a price, which is not this one's.
  CHECK(p.provenance.size() == 23);
  CHECK_FALSE(p.price == p.price);
}

TEST_CASE("platform like: in a chain a number keeps the platform that it came from first") {
  const Folder folder;
  folder.mine("memories: {vram: {capacity: {value: 48 GB, source: my card}}}\n");
  const Platform p =
      Platform::load(folder.write("third.yaml", "name: third\ndescription: d\nlike: mine.yaml\n").string());
  CHECK(number(p, "memories.vram.capacity").source == "carried over from mine: my card");
  CHECK(number(p, "memories.ram.capacity").source == "carried over from base: sheet");
}

TEST_CASE("platform like: without leaves out what the other has, and a link may take another's place") {
  const Folder folder;
  CHECK(folder.load("").devices.at(0).peak.count(WeightFormat::int8) == 1);
  CHECK(folder.load("without: [devices.cpu.peak.int8]\n").devices.at(0).peak.count(WeightFormat::int8) == 0);
  std::string c2c = kBase.substr(kBase.find("links:"), kBase.find("devices:") - kBase.find("links:"));
  c2c.replace(c2c.find("pcie"), 4, "c2c");
  const Platform p = folder.load("without: [links.pcie]\n" + c2c);
  REQUIRE(p.links.size() == 1);
  CHECK(p.links.at(0).name == "c2c");
  CHECK_FALSE(number(p, "links.c2c.duplex").unverified);
}

TEST_CASE("platform like: the files of the chain are told, since results rest on all of them") {
  const Folder folder;
  const std::string mine = folder.mine("");
  std::vector<std::filesystem::path> files;
  Platform::open(mine, &files);
  CHECK(files == std::vector<std::filesystem::path>{mine, folder / "base.yaml"});
}

TEST_CASE("platform like: every fault is one line that names the file in which it stands") {
  const Folder folder;
  CHECK(contains(folder.error("without: [links.pci]\n"),
                 "mine.yaml:4: without[0]: \"links.pci\"; expected a path in "));
  CHECK(contains(folder.error("memories: {vram: {capcity: {value: 48 GB, source: s}}}\n"),
                 "mine.yaml:4: memories.vram.capcity: unknown key; expected \"capacity\""));
  CHECK(contains(folder.error("memories: {vram: {capacity: {value: 48 GB}}}\n"),
                 "mine.yaml:4: memories.vram.capacity.source: missing"));
  CHECK(contains(folder.error("links: {pci: {forward: {latency: {value: 1 us, source: s}}}}\n"),
                 "links.pci.between: missing"));
  CHECK(contains(folder.error("links: {pcie: {duplex: {value: 90 GB/s, source: s}}}\n"),
                 "mine.yaml:4: links.pcie.duplex.value: \"90 GB/s\"; expected from the faster"));
  // 26 GB/s one way need a duplex of 26 to 46: the base's 40 holds; of 50 it is the base's line that is wrong.
  CHECK(contains(folder.error("links: {pcie: {forward: {bandwidth: {value: 50 GB/s, source: s}}}}\n"),
                 "base.yaml:10: links.pcie.duplex.value: \"40 GB/s\""));
  const auto error = [&](const std::string& name, const std::string& text) {
    const std::string file = folder.write(name, text).string();
    return message_of([&] { Platform::load(file); });
  };
  CHECK(contains(error("a.yaml", "name: a\ndescription: d\nlike: rtx9090\n"),
                 "a.yaml:3: like: \"rtx9090\"; expected a file or one of a100_pcie_80gb"));
  CHECK(contains(error("a.yaml", "name: a\ndescription: d\nlike: a.yaml\n"),
                 "a.yaml:3: like: \"a.yaml\"; expected another platform, that is not like this one"));
  folder.write("b.yaml", "name: b\ndescription: d\nlike: a.yaml\n");
  CHECK(contains(error("a.yaml", "name: a\ndescription: d\nlike: b.yaml\n"),
                 "b.yaml:3: like: \"a.yaml\"; expected another platform"));
  CHECK(contains(error("a.yaml", "description: d\nlike: base.yaml\n"), "name: missing"));
}

// A number that is derived from another ("as read") would be wrong if only the other were replaced.
TEST_CASE("platforms: who replaces a memory's or a link's speed replaces what follows from it") {
  for (const std::string& name : platform_names()) {
    CAPTURE(name);
    const Platform p = Platform::load(name);
    if (p.description.ends_with("as the machine tells of itself")) continue;  // of a user
    std::set<std::string> carried, own;
    for (const Provenance& each : p.provenance)
      (each.source.starts_with("carried over from ") ? carried : own).insert(each.path);
    for (const Memory& memory : p.memories) {
      CAPTURE(memory.name);
      const std::string path = "memories." + memory.name;
      CHECK(own.count(path + ".read") == own.count(path + ".write"));
      if (own.count(path + ".read")) CHECK_FALSE(carried.count(path + ".copies.bandwidth"));
    }
    for (const Link& link : p.links) {
      CAPTURE(link.name);
      const std::string path = "links." + link.name;
      CHECK(own.count(path + ".forward.bandwidth") == own.count(path + ".backward.bandwidth"));
      CHECK(link.pageable_forward.bandwidth <= link.forward.bandwidth);
      CHECK(link.pageable_backward.bandwidth <= link.backward.bandwidth);
    }
    CHECK(p.has_power());
  }
}
