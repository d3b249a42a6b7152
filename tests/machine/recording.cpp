#include "tests/machine/recording.hpp"

#include <cstring>

#include "sim/base/isolated.hpp"
#include "tests/machine/queue_machine.hpp"

namespace specmoe::testing {
namespace {

class Recorder final : public MachineObserver {
 public:
  explicit Recorder(Recording& recording) : recording_(recording) {}
  void kernel_ended(Stream stream, const Kernel&, Seconds start, Seconds end) override {
    recording_.spans.push_back({stream.index, false, start.value, end.value});
  }
  void copy_ended(Stream stream, const CopyLabel&, const Route&, Bytes, Seconds start, Seconds end) override {
    recording_.spans.push_back({stream.index, true, start.value, end.value});
  }

 private:
  Recording& recording_;
};

template <class T>
void put(std::string& bytes, const T* values, std::size_t count) {
  bytes.append(reinterpret_cast<const char*>(values), count * sizeof(T));
}

template <class T>
const char* take(const char* bytes, T* values, std::size_t count) {
  if (count > 0) std::memcpy(values, bytes, count * sizeof(T));  // an empty vector's pointer is null
  return bytes + count * sizeof(T);
}

}  // namespace

std::vector<Span> Recording::of(Stream stream) const {
  std::vector<Span> result;
  for (const Span& span : spans)
    if (span.stream == stream.index) result.push_back(span);
  return result;
}

Recording run_simulated(const Platform& platform, const Program& program) {
  const std::string bytes = run_isolated([&] {
    Recording recording;
    Recorder recorder(recording);
    const SimulationEnd end = simulate(
        platform, [&](Machine& machine) { program(machine, recording.notes); }, &recorder);
    recording.end = end.date.value;
    for (const Joules each : end.device_energy) recording.energy.push_back(each.value);
    const std::size_t counts[] = {recording.spans.size(), recording.notes.size(), recording.energy.size()};
    std::string result;
    put(result, counts, 3);
    put(result, recording.spans.data(), counts[0]);
    put(result, recording.notes.data(), counts[1]);
    put(result, recording.energy.data(), counts[2]);
    put(result, &recording.end, 1);
    return result;
  });
  std::size_t counts[3];
  const char* rest = take(bytes.data(), counts, 3);
  Recording recording{std::vector<Span>(counts[0]), std::vector<double>(counts[1]), 0,
                      std::vector<double>(counts[2])};
  rest = take(rest, recording.spans.data(), counts[0]);
  rest = take(rest, recording.notes.data(), counts[1]);
  rest = take(rest, recording.energy.data(), counts[2]);
  take(rest, &recording.end, 1);
  return recording;
}

Recording run_queue(const Platform& platform, const Program& program) {
  Recording recording{};
  Recorder recorder(recording);
  QueueMachine machine(platform, &recorder);
  program(machine, recording.notes);
  recording.end = machine.drain().value;
  return recording;
}

}  // namespace specmoe::testing
