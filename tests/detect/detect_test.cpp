#include "sim/detect/detect.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "sim/base/input_error.hpp"
#include "sim/detect/gpu.hpp"
#include "tests/cli/command.hpp"
#include "tests/detect/fake_host.hpp"
#include "tests/moe/trace_helpers.hpp"

using namespace specmoe;

namespace {

const Provenance& number(const Platform& p, const std::string& path) {
  const auto found = std::find_if(p.provenance.begin(), p.provenance.end(),
                                  [&](const Provenance& each) { return each.path == path; });
  REQUIRE_MESSAGE(found != p.provenance.end(), path);
  return *found;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool notes_say(const Detected& detected, const std::string& part) {
  return std::any_of(detected.notes.begin(), detected.notes.end(),
                     [&](const std::string& note) { return contains(note, part); });
}

// What a user does with the file: the quickstart's routing and model on it.
void check_runs(const Detected& detected) {
  const TemporaryFolder folder;
  folder.write("mine.yaml", detected.yaml);
  const CommandResult result =
      specmoe_command(folder, "run '" + std::string(SPECMOE_SOURCE_DIR) +
                                  "/scenarios/quickstart.yaml' --platform mine.yaml --out out");
  CHECK_MESSAGE(result.status == 0, result.err);
  CHECK(contains(result.out, "on-demand LRU"));
  const CommandResult list = specmoe_command(folder, "list platforms mine.yaml");
  CHECK(list.status == 0);
}

}  // namespace

TEST_CASE("detect: an H100 in a server is the platform of that card with what this machine tells") {
  const FakeHost machine(kServer, 32, 264'000'000);
  machine.put_nvme("7501476528", "16.0 GT/s PCIe", "4");
  for (const char* node : {"node0", "node1"})
    machine.put("sys/devices/system/node/" + std::string(node) + "/cpulist", "0\n");
  const Detected d = detect(machine.host(fake_nvml({kH100})), {});
  const Platform& p = d.platform;
  CHECK(contains(d.yaml, "\nlike: h100_sxm_80gb\n"));
  CHECK(p[p.memory("vram")].capacity == Bytes{85'520'809'984});
  CHECK(number(p, "memories.vram.capacity").source == "read: NVML nvmlDeviceGetMemoryInfo");
  CHECK_FALSE(number(p, "memories.vram.capacity").unverified);
  // 5120 bit / 8 x 2619 MHz x 2 = 3352.3 GB/s
  CHECK(p[p.memory("vram")].read.value == doctest::Approx(3352e9).epsilon(1e-4));
  CHECK(p[p.first(Device::Kind::gpu)].multiprocessors == 132);
  // 264,000,000 KiB; PCIe 4 x4: 31.5 GB/s / 4 = 7.875
  CHECK(p[p.memory("dram")].capacity == Bytes{270'336'000'000});
  CHECK(p[p.memory("nvme")].capacity == Bytes{7'501'476'528 * 512});
  CHECK(number(p, "links.m2.forward.bandwidth").value == "7.875 GB/s");
  CHECK(contains(number(p, "links.m2.forward.bandwidth").source,
                 "read: /sys/class/nvme/nvme0/device/current_link_speed"));
  // 12 channels x 4800 MT/s x 8 B x 0.7 = 322.6 GB/s; 32 cores x 3.25 GHz x 64 = 6.656 TFLOP/s
  CHECK(number(p, "memories.dram.read").value == "322.6 GB/s");
  CHECK(number(p, "memories.dram.read").source.starts_with("guessed: 0.7 of 12 channels"));
  CHECK(number(p, "memories.dram.read").unverified);
  CHECK(number(p, "devices.cpu.peak.bf16").value == "6.656 TFLOP/s");
  // Its link and its power are those of the card that was measured.
  CHECK(number(p, "links.pcie.forward.bandwidth")
            .source.starts_with("carried over from h100_sxm_80gb: h100.h5"));
  CHECK(number(p, "devices.gpu.power.compute_bound").source.starts_with("carried over"));
  CHECK(notes_say(
      d, "found: NVIDIA H100 80GB HBM3, 79.6 GiB, 132 multiprocessors, up to 1980 MHz, PCIe 5 x16 (NVML)"));
  CHECK(notes_say(d,
                  "AMD EPYC 9354 32-Core Processor, 32 cores, 1 socket, 2 NUMA nodes, 270 GB of memory, "
                  "disk nvme0n1 of 3841 GB on PCIe 4 x4"));
  check_runs(d);
}

TEST_CASE("detect: an RTX 4090 on eight lanes copies half as fast as on sixteen") {
  const FakeHost machine(kDesktop, 16, 65'000'000);
  machine.put("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "5700000\n");
  FakeGpu card = kRtx4090;
  card.lanes = 8;
  card.milliwatts = 300'000;
  const Detected d = detect(machine.host(fake_nvml({card})), {});
  const Platform& p = d.platform;
  CHECK(contains(d.yaml, "\nlike: rtx4090\n"));
  // 31.5 GB/s / 2 x 26 / 31.5 = 13 GB/s; 26.5 and 38 GB/s, and 113 kB, halved too
  CHECK(p.links[0].forward.bandwidth.value == doctest::Approx(13e9));
  CHECK(p.links[0].backward.bandwidth.value == doctest::Approx(13.25e9));
  CHECK(p.links[0].duplex.value == doctest::Approx(19e9));
  CHECK(p.links[0].forward.half_size == Bytes{56'500});
  // The driver's copy is slower than either.
  CHECK(p.links[0].pageable_forward.bandwidth.value == doctest::Approx(7.9e9));
  CHECK(number(p, "links.pcie.forward.bandwidth")
            .source.starts_with(
                "read: NVML nvmlDeviceGetMaxPcieLinkGeneration, nvmlDeviceGetMaxPcieLinkWidth: PCIe 4 "
                "x8; guessed: as much of it as 26 GB/s"));
  CHECK(number(p, "links.pcie.forward.bandwidth").unverified);
  CHECK(notes_say(d, "guessed: 13 GB/s of the PCIe 4 x8 link, where rtx4090 has 26 GB/s"));
  // 300 W is two thirds of the card's 450 W.
  CHECK(p[p.first(Device::Kind::gpu)].power->compute_bound == Watts{300});
  CHECK(p[p.first(Device::Kind::gpu)].power->idle == Watts{40});
  // Not the 0.4 GHz at which it idles: 16 x 5.7 GHz x 32 = 2.918 TFLOP/s. DDR5: 2 x 5200 MT/s x 8 B x 0.7 = 58.24 GB/s
  CHECK(number(p, "devices.cpu.peak.bf16").value == "2.918 TFLOP/s");
  CHECK(number(p, "memories.dram.read").value == "58.24 GB/s");
  check_runs(d);
}

TEST_CASE("detect: a Jetson is the Orin with as much memory, and has one memory") {
  const FakeHost machine("model name\t: ARMv8 Processor rev 1 (v8l)\nFeatures\t: fp asimd\n", 12, 62'000'000);
  machine.put("proc/device-tree/model", std::string("NVIDIA Jetson AGX Orin Developer Kit\0", 37));
  machine.put("etc/nv_tegra_release", "# R36 (release), REVISION: 4.0\n");
  const Detected d = detect(machine.host(), {});
  CHECK(contains(d.yaml, "\nlike: jetson_agx_orin_64gb\n"));
  CHECK(d.platform[d.platform.memory("lpddr")].capacity == Bytes{63'488'000'000});
  CHECK(
      number(d.platform, "memories.lpddr.read").source.starts_with("carried over from jetson_agx_orin_64gb"));
  CHECK(notes_say(d, "found: NVIDIA Jetson AGX Orin Developer Kit"));
  check_runs(d);
  const FakeHost small("Features\t: fp asimd\n", 8, 30'000'000);
  small.put("proc/device-tree/model", "NVIDIA Orin NX Developer Kit");
  small.put("etc/nv_tegra_release", "# R36\n");
  CHECK(notes_say(detect(small.host(), {}),
                  "carried over from jetson_agx_orin_32gb, the nearest that is known"));
}

TEST_CASE("detect: without a GPU it takes --gpu, and says so in one line without") {
  const FakeHost machine(kDesktop, 8, 65'000'000);
  const std::string error = message_of([&] { detect(machine.host(), {}); });
  CHECK(error.starts_with("no GPU of NVIDIA's was found"));
  CHECK(contains(error, "expected --gpu NAME, for that one in this host: one of a100_pcie_80gb"));
  CHECK(std::count(error.begin(), error.end(), '\n') == 0);
  const Detected d = detect(machine.host(), {"rtx4090", 0, "laptop"});
  CHECK(d.platform.name == "laptop");
  CHECK(d.platform[d.platform.memory("dram")].capacity == Bytes{66'560'000'000});
  CHECK(notes_say(d, "found: the GPU of rtx4090, as --gpu says"));
  CHECK(notes_say(d, ", no disk"));
  check_runs(d);
  CHECK(
      contains(message_of([&] { detect(machine.host(), {"rtx9090"}); }), "platform \"rtx9090\" is unknown"));
  CHECK(contains(message_of([&] { detect(machine.host(), {"apple_m3_ultra"}); }),
                 "has one memory with its CPU"));
}

TEST_CASE("detect: a GPU that only the PCI bus shows needs a name, and gives its lanes") {
  const FakeHost machine(kDesktop, 8, 65'000'000);
  const std::string device = "sys/bus/pci/devices/0000:01:00.";
  machine.put(device + "0/vendor", "0x10de\n");
  machine.put(device + "0/class", "0x030000\n");
  machine.put(device + "0/device", "0x2684\n");
  machine.put(device + "0/max_link_speed", "16.0 GT/s PCIe\n");
  machine.put(device + "0/current_link_width", "4\n");
  machine.put(device + "1/vendor", "0x10de\n");  // its sound
  machine.put(device + "1/class", "0x040300\n");
  CHECK(contains(message_of([&] { detect(machine.host(), {}); }),
                 "a GPU whose type is not known (PCI device 0x2684; neither NVML nor nvidia-smi tells); "
                 "expected --gpu"));
  const Detected d = detect(machine.host(), {"rtx4090"});
  // 31.5 GB/s / 4 x 26 / 31.5
  CHECK(d.platform.links[0].forward.bandwidth.value == doctest::Approx(6.5e9));
  CHECK(notes_say(d, "PCIe 4 x4 (the PCI bus)"));
}

TEST_CASE("detect: nvidia-smi tells where NVML is not there") {
  const FakeHost machine(kDesktop, 8, 65'000'000);
  Host host = machine.host();
  host.run = [](const std::string& command) -> std::optional<std::string> {
    CHECK(contains(command, "nvidia-smi --query-gpu=name,memory.total"));
    return "Tesla T4, 15360, 7.5, 1590, 3, 16, 70.00\nNVIDIA GeForce RTX 3090, 24576, 8.6, 2100, 4, [N/A], "
           "[N/A]\n";
  };
  const Detected first = detect(host, {});
  CHECK(contains(first.yaml, "\nlike: t4\n"));
  CHECK(first.platform[first.platform.memory("vram")].capacity == Bytes{15360LL << 20});
  CHECK(notes_say(first, "number 0 of 2 GPUs (--index)"));
  const Detected second = detect(host, {"", 1});
  CHECK(contains(second.yaml, "\nlike: rtx3090\n"));
  CHECK(number(second.platform, "links.pcie.forward.bandwidth").source.starts_with("carried over"));
  CHECK(contains(message_of([&] { detect(host, {"", 2}); }), "--index: 2; expected less than 2"));
}

TEST_CASE("detect: a GPU that no platform has is like the nearest of its kind, scaled") {
  const FakeHost machine(kDesktop, 8, 65'000'000);
  // An RTX 4080: 76 multiprocessors, 256 bit at 11201 MHz = 716.9 GB/s. The L40S is nearer in bandwidth, but no GeForce.
  const FakeGpu card{"NVIDIA GeForce RTX 4080", 17'171'480'576, 3105, 11201, 256, 9728, 8, 9, 4, 16, 320'000};
  const Detected d = detect(machine.host(fake_nvml({card})), {});
  const Platform& p = d.platform;
  CHECK(contains(d.yaml, "\nlike: rtx4090\n"));
  CHECK(notes_say(d, "carried over from rtx4090, the nearest that is known"));
  // 165.2 TFLOP/s x 76 / 128 = 98.09
  CHECK(p[p.first(Device::Kind::gpu)].peak.at(WeightFormat::bf16).value ==
        doctest::Approx(98.09e12).epsilon(1e-4));
  CHECK(number(p, "devices.gpu.peak.bf16").unverified);
  // 3.2 MB x 716.86 / 1008 = 2.2757 MB
  CHECK(p[p.first(Device::Kind::gpu)].saturation[0].half_bytes.count ==
        doctest::Approx(2'275'755).epsilon(1e-4));
  check_runs(d);
}

TEST_CASE(
    "detect: every platform with a GPU of NVIDIA's is known by its name, and another chip's name is not it") {
  for (const std::string& name : platform_names()) {
    if (name == "mi300x" || name == "apple_m3_ultra" ||
        Platform::load(name).description.find("as the machine tells") != std::string::npos)
      continue;
    CHECK_MESSAGE(std::any_of(known_gpus().begin(), known_gpus().end(),
                              [&](const KnownGpu& known) { return known.platform == name; }),
                  name);
  }
  const auto matched = [](const char* name) {
    const auto found = match({1, 0, name, "NVML"});
    return found ? std::string(found->gpu->platform) : "";
  };
  CHECK(matched("NVIDIA H100 PCIe") == "h100_pcie_80gb");
  CHECK(matched("NVIDIA H100 80GB HBM3") == "h100_sxm_80gb");
  CHECK(matched("NVIDIA A100-PCIE-40GB") == "a100_pcie_80gb");
  CHECK(matched("NVIDIA A100-SXM4-80GB") == "a100_sxm_80gb");
  CHECK(matched("NVIDIA GH200 480GB") == "gh200");
  CHECK(matched("NVIDIA GB200") == "gb200");
  CHECK(matched("NVIDIA GeForce RTX 3080 Laptop GPU") == "rtx3080_mobile_16gb");
  for (const char* other : {"NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GeForce RTX 4090 D",
                            "NVIDIA GeForce RTX 3060 Ti", "NVIDIA H100 NVL", "NVIDIA L40", "Quadro"})
    CHECK_MESSAGE(matched(other) == "", other);
}

TEST_CASE("detect: the firmware's table of memory modules tells their rate, where it may be read") {
  const FakeHost machine(kDesktop, 8, 65'000'000);
  // Type 17, 0x22 bytes long: size at 0x0c, speed at 0x15, configured speed at 0x20; then no texts.
  const auto module = [](int size, int speed, int configured) {
    std::string s(0x22, '\0');
    s[0] = 17;
    s[1] = 0x22;
    const auto put = [&](std::size_t at, int value) {
      s[at] = static_cast<char>(value & 0xff);
      s[at + 1] = static_cast<char>(value >> 8);
    };
    put(0x0c, size);
    put(0x15, speed);
    put(0x20, configured);
    return s + std::string(2, '\0');
  };
  machine.put("sys/firmware/dmi/tables/DMI",
              module(32767, 5600, 3600) + module(0, 0, 0) + module(32767, 5600, 3600));
  const Detected d = detect(machine.host(), {"rtx4090"});
  // 2 channels x 3600 MT/s x 8 B x 0.7 = 40.32 GB/s
  CHECK(number(d.platform, "memories.dram.read").value == "40.32 GB/s");
  CHECK(contains(number(d.platform, "memories.dram.read").source, "read: DMI, 2 modules at 3600 MT/s"));
  machine.put("sys/firmware/dmi/tables/DMI", std::string("\x11\x02garbage", 9));
  CHECK(contains(number(detect(machine.host(), {"rtx4090"}).platform, "memories.dram.read").source,
                 "by the class"));
}

TEST_CASE("detect: of several disks the largest NVMe drive, without one the largest other that is no stick") {
  const FakeHost machine(kDesktop, 8, 65'000'000);
  machine.put("sys/block/loop0/size", "99999999999\n");
  machine.put("sys/block/sda/size", "4000000000\n");
  machine.put("sys/block/sda/queue/rotational", "1\n");
  machine.put("sys/block/sdb/size", "8000000000\n");
  machine.put("sys/block/sdb/removable", "1\n");
  const Detected rotating = detect(machine.host(), {"rtx4090"});
  CHECK(rotating.platform[rotating.platform.memory("nvme")].capacity == Bytes{4'000'000'000 * 512});
  CHECK(number(rotating.platform, "memories.nvme.read").source == "guessed: a disk that rotates");
  machine.put_nvme("1000000000", "32.0 GT/s PCIe", "2");
  const Detected drive = detect(machine.host(), {"rtx4090"});
  CHECK(drive.platform[drive.platform.memory("nvme")].capacity == Bytes{512'000'000'000});
  // PCIe 5 x2: 63 GB/s / 8 = 7.875; a drive of 14.7 GB/s on four lanes has 7.35 on two, 0.9 of the link is 7.088
  CHECK(number(drive.platform, "links.m2.forward.bandwidth").value == "7.875 GB/s");
  CHECK(number(drive.platform, "memories.nvme.read").value == "7.088 GB/s");
}

TEST_CASE("machine detect: the command writes the file, and not over one that it did not write") {
  const TemporaryFolder folder;
  const CommandResult first = specmoe_command(folder, "machine detect --gpu rtx4090 --out mine.yaml");
  REQUIRE_MESSAGE(first.status == 0, first.err);
  CHECK(first.out.empty());
  CHECK(contains(first.err, "written: mine.yaml"));
  CHECK(Platform::load((folder / "mine.yaml").string()).name == "mine");
  CHECK(specmoe_command(folder, "machine detect --gpu rtx4090 --out mine.yaml").status == 0);
  folder.write("other.yaml", "name: other\n");
  const CommandResult refused = specmoe_command(folder, "machine detect --gpu rtx4090 --out other.yaml");
  CHECK(refused.status == 2);
  CHECK(refused.err == "other.yaml: is there, and detect did not write it; expected another --out\n");
  const CommandResult printed = calibrate_command(folder, "detect --gpu rtx4090");
  CHECK(printed.status == 0);
  CHECK(contains(printed.out, "specmoe-calibrate measure"));
  CHECK(contains(printed.out, "like: rtx4090"));
}
