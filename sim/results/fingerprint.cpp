#include "sim/results/fingerprint.hpp"

#include <fmt/format.h>

#include <fstream>
#include <map>

#include "sim/base/build_info.hpp"
#include "sim/base/fnv.hpp"
#include "sim/machine/machine.hpp"

namespace specmoe {

namespace {

std::uint64_t hash_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::uint64_t hash = fnv1a({});
  std::string piece(1 << 20, '\0');
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())) || in.gcount() > 0)
    hash = fnv1a(std::as_bytes(std::span(piece.data(), static_cast<std::size_t>(in.gcount()))), hash);
  return hash;
}

}  // namespace

std::string fingerprint_of_inputs(const Scenario& scenario) {
  namespace fs = std::filesystem;
  static std::map<std::string, std::uint64_t> known;  // by name, size and date
  std::string all;
  for (const fs::path& input : scenario.inputs) {
    std::error_code ignored;
    const std::string looks = fmt::format("{} {} {}", input.string(), fs::file_size(input, ignored),
                                          fs::last_write_time(input, ignored).time_since_epoch().count());
    auto found = known.find(looks);
    if (found == known.end()) found = known.emplace(looks, hash_of(input)).first;
    all += fmt::format("{:016x};", found->second);
  }
  return all;
}

std::string fingerprint(const Scenario& scenario) {
  const std::string all = fmt::format("{} {} {}\n{}\n{}", version(), sources(), simgrid_version(),
                                      fingerprint_of_inputs(scenario), scenario.identity);
  return fmt::format("{:016x}", fnv1a(std::as_bytes(std::span(all))));
}

}  // namespace specmoe
