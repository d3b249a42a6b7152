#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include "validation/cuda/experiments.hpp"

namespace specmoe::cuda {

namespace {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using Aligned = std::unique_ptr<char, Free>;
Aligned aligned(std::size_t bytes) { return Aligned(static_cast<char*>(std::aligned_alloc(4096, bytes))); }

// Sequential reads past the page cache.
double read_file(const std::string& file, std::size_t block) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_DIRECT);
  if (fd < 0) return -1;
  const Aligned buffer = aligned(block);
  std::int64_t total = 0;
  const double time = host_seconds([&] {
    for (ssize_t got; total < (std::int64_t{256} << 20) && (got = ::read(fd, buffer.get(), block)) > 0;)
      total += got;
  });
  ::close(fd);
  return total > 0 ? time * static_cast<double>(block) / static_cast<double>(total) : -1;
}

}  // namespace

void measure_host(Bench& bench, const std::string& folder) {
  bench.progress("host memory", 0);
  Experiment memory{
      "seconds to copy 64 MiB with so many threads, each in memory of its own", {"threads"}, {}};
  constexpr std::size_t kEach = 64 << 20;
  const auto most = static_cast<std::int64_t>(std::max(1U, std::thread::hardware_concurrency()));
  for (std::int64_t threads = 1; threads <= most; threads *= 2)
    memory.points.push_back(bench.harness.repeat({threads}, [&] {
      const auto half = static_cast<std::size_t>(bench.host.size().count / 2);
      return host_seconds([&] {
               std::vector<std::thread> workers;
               for (std::int64_t i = 0; i < threads; ++i)
                 workers.emplace_back([&, i] {
                   const std::size_t at = static_cast<std::size_t>(i) * kEach % (half - kEach);
                   std::memcpy(bench.host.data() + half + at, bench.host.data() + at, kEach);
                 });
               for (std::thread& worker : workers) worker.join();
             }) /
             static_cast<double>(threads);
    }));
  bench.out.experiments["host/memory"] = std::move(memory);

  const std::string file = folder + "/specmoe-calibrate.tmp";
  std::FILE* out = std::fopen(file.c_str(), "wb");
  if (!out) return;
  for (int i = 0; i < 4; ++i) std::fwrite(bench.host.data(), 1, 64 << 20, out);
  std::fflush(out);
  ::fsync(::fileno(out));
  std::fclose(out);
  Experiment disk{
      "seconds to read a block of so many bytes of a file, one after the other, past the page cache",
      {"bytes"},
      {}};
  for (const std::int64_t block : {std::int64_t{1} << 20, std::int64_t{16} << 20}) {
    if (read_file(file, static_cast<std::size_t>(block)) < 0) continue;
    disk.points.push_back(
        bench.harness.repeat({block}, [&] { return read_file(file, static_cast<std::size_t>(block)); }));
  }
  ::unlink(file.c_str());
  if (!disk.points.empty()) bench.out.experiments["host/disk"] = std::move(disk);
}

}  // namespace specmoe::cuda
