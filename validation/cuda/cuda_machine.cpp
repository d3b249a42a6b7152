#include "validation/cuda/cuda_machine.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "sim/base/random.hpp"

namespace specmoe::cuda {

namespace {

constexpr std::size_t kAnswerBytes = 16 << 20;
// More than a step of any model records.
constexpr std::size_t kEvents = 4096;

// Small values, as weights are: 64 Ki of them, repeated.
std::vector<std::uint16_t> random_values() {
  Random random(1);
  std::vector<std::uint16_t> values(1 << 16);
  for (std::uint16_t& value : values) {
    const auto bits = random.bits();
    // sign, an exponent of 2^-6 to 2^-3 and a random mantissa of a bf16; as an fp16 also a number below 2
    value = static_cast<std::uint16_t>((bits & 0x807f) | (0x3c80 + ((bits >> 20) & 3) * 0x80));
  }
  return values;
}

}  // namespace

HostPool::HostPool(Bytes size) : size_(size) {
  const auto bytes = static_cast<std::size_t>(size.count);
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("host memory: mmap failed");
  data_ = static_cast<char*>(memory);
  ::madvise(memory, bytes, MADV_HUGEPAGE);
  const std::vector<std::uint16_t> values = random_values();
  const std::size_t block = values.size() * sizeof values[0];
  std::vector<std::thread> threads;
  const std::size_t workers = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, 16);
  for (std::size_t worker = 0; worker < workers; ++worker)
    threads.emplace_back([&, worker] {
      const std::size_t begin = bytes / workers / block * worker * block;
      const std::size_t end = worker + 1 == workers ? bytes : bytes / workers / block * (worker + 1) * block;
      for (std::size_t at = begin; at < end; at += block) {
        std::memcpy(data_ + at, values.data(), std::min(block, end - at));
        // every block another, so that a copy from the wrong place is noticed
        std::memcpy(data_ + at, &at, std::min(sizeof at, end - at));
      }
    });
  for (std::thread& thread : threads) thread.join();
}

void HostPool::pin() {
  if (pinned_) return;
  check(cudaHostRegister(data_, static_cast<std::size_t>(size_.count), cudaHostRegisterDefault),
        "cudaHostRegister");
  pinned_ = true;
}

HostPool::~HostPool() {
  if (pinned_) cudaHostUnregister(data_);
  ::munmap(data_, static_cast<std::size_t>(size_.count));
}

// Making an event costs more than recording it: they are made before anything is timed, and used again.
class CudaMachine::EventPool {
 public:
  EventPool() : free_(kEvents) {}
  OwnedEvent take() {
    if (free_.empty()) return {};
    OwnedEvent event = std::move(free_.back());
    free_.pop_back();
    return event;
  }
  void give(OwnedEvent event) { free_.push_back(std::move(event)); }

 private:
  std::vector<OwnedEvent> free_;
};

class CudaMachine::CudaEvent final : public EventState {
 public:
  explicit CudaEvent(std::shared_ptr<EventPool> pool) : pool_(std::move(pool)), event_(pool_->take()) {}
  ~CudaEvent() override { pool_->give(std::move(event_)); }
  const OwnedEvent& event() const { return event_; }
  static const OwnedEvent& of(const Event& event) { return static_cast<const CudaEvent&>(*event).event(); }

 private:
  std::shared_ptr<EventPool> pool_;
  OwnedEvent event_;
};

CudaMachine::CudaMachine(const Platform& platform, KernelRunner& runner, const HostPool& host,
                         const ExpertPlaces& places)
    : platform_(platform),
      runner_(runner),
      host_(host),
      places_(places),
      events_(std::make_shared<EventPool>()),
      // A slot more than the cache holds, so that a copy seldom lands where a kernel still reads.
      slots_(static_cast<std::size_t>(places.cache.count /
                                      std::max<std::int64_t>(1, places.expert_bytes.count)) +
             2),
      cache_(slots_ * static_cast<std::size_t>(places.expert_bytes.count)),
      answers_(kAnswerBytes),
      answers_home_(kAnswerBytes),
      copied_to_(slots_, -1),
      copied_size_(slots_, 0) {
  if (places.expert_bytes > host.size()) throw std::logic_error("host memory smaller than one expert");
  for (std::size_t i = 0; i < static_cast<std::size_t>(places.blocks * places.experts); ++i)
    slot_of_.push_back(cache_.data() + (i % slots_) * static_cast<std::size_t>(places.expert_bytes.count));
  check(fill_random(runner.element(), cache_.data(), static_cast<std::int64_t>(cache_.size() / 2), 0.05F, 4,
                    nullptr),
        "fill_random");
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  const OwnedStream stream;
  base_.record(stream);
  base_.synchronize();
  start_ = std::chrono::steady_clock::now();
}

CudaMachine::~CudaMachine() = default;

Stream CudaMachine::open_stream(DeviceId device, const std::string&) {
  if (platform_[device].kind == Device::Kind::cpu)
    throw std::logic_error("no CPU kernels on a real machine yet");
  streams_.emplace_back();
  return {static_cast<int>(streams_.size()) - 1};
}

void CudaMachine::launch(Stream stream, const Kernel& kernel) {
  const char* weights = nullptr;
  if (kernel.expert >= 0) {
    weights = slot_of_[place(kernel.layer, kernel.expert)];
    // The last matrix of an expert lies at its end: the two products must not read the same bytes.
    if (const auto* gemm = std::get_if<Gemm>(&kernel.work);
        gemm && std::strcmp(kernel.name, "expert_down") == 0)
      weights += places_.expert_bytes.count - weight_bytes(gemm->n * gemm->k, gemm->weights).count;
  }
  runner_.launch(streams_[static_cast<std::size_t>(stream.index)], kernel, weights);
}

// Experts lie one after the other, and round again where the pool is smaller than the model.
const char* CudaMachine::home(std::size_t place) const {
  const auto fit = static_cast<std::size_t>(host_.size().count / places_.expert_bytes.count);
  return host_.data() + place % fit * static_cast<std::size_t>(places_.expert_bytes.count);
}

void CudaMachine::copy(Stream stream, MemoryId from, MemoryId to, Bytes bytes, HostMemory host,
                       const CopyLabel& label) {
  const auto size = static_cast<std::size_t>(bytes.count);
  const OwnedStream& queue = streams_[static_cast<std::size_t>(stream.index)];
  const bool in = platform_[from].kind == Memory::Kind::host && platform_[to].kind == Memory::Kind::device;
  const bool out = platform_[from].kind == Memory::Kind::device && platform_[to].kind == Memory::Kind::host;
  if (in && label.expert >= 0) {
    if ((host == HostMemory::pinned) != host_.pinned())
      throw std::logic_error("copy: host memory of the other kind");
    const std::size_t expert = place(label.layer, label.expert);
    const auto expert_size = static_cast<std::size_t>(places_.expert_bytes.count);
    const auto offset = static_cast<std::size_t>(label.offset.count);
    char*& slot = slot_of_[expert];
    if (offset == 0) {
      slot = cache_.data() + next_slot_ * expert_size;
      copied_to_[next_slot_] = static_cast<std::int64_t>(expert);
      next_slot_ = (next_slot_ + 1) % slots_;
    }
    const std::size_t index = static_cast<std::size_t>(slot - cache_.data()) / expert_size;
    if (copied_to_[index] != static_cast<std::int64_t>(expert))
      copied_to_[index] = -1;  // lost between two pieces
    copied_size_[index] = offset + size;
    check(cudaMemcpyAsync(slot + offset, home(expert) + offset, size, cudaMemcpyHostToDevice, queue),
          "cudaMemcpyAsync");
    copied_ += bytes;
  } else if (out && size <= kAnswerBytes && host == HostMemory::pinned) {
    check(cudaMemcpyAsync(answers_home_.data(), answers_.data(), size, cudaMemcpyDeviceToHost, queue),
          "cudaMemcpyAsync");
  } else {
    throw std::logic_error("copy: no such way on a real machine");
  }
}

Event CudaMachine::record(Stream stream) {
  auto event = std::make_shared<CudaEvent>(events_);
  event->event().record(streams_[static_cast<std::size_t>(stream.index)]);
  return event;
}

void CudaMachine::wait(Stream stream, const Event& event) {
  check(cudaStreamWaitEvent(streams_[static_cast<std::size_t>(stream.index)], CudaEvent::of(event), 0),
        "cudaStreamWaitEvent");
}

void CudaMachine::synchronize(const Event& event) { CudaEvent::of(event).synchronize(); }

void CudaMachine::work(Seconds time) {
  const Seconds end = now() + time;
  while (now() < end) {
  }
}

bool CudaMachine::reached(const Event& event) const { return CudaEvent::of(event).reached(); }

Seconds CudaMachine::time_of(const Event& event) const {
  return {seconds_between(base_, CudaEvent::of(event))};
}

Seconds CudaMachine::now() const {
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count()};
}

void CudaMachine::drain() {
  for (const OwnedStream& stream : streams_) stream.synchronize();
}

bool CudaMachine::verify() const {
  std::vector<char> bytes(static_cast<std::size_t>(places_.expert_bytes.count));
  const std::size_t checked = std::min(slots_, 1 + (std::size_t{1} << 30) / bytes.size());
  for (std::size_t slot = 0; slot < checked; ++slot) {
    if (copied_to_[slot] < 0) continue;
    check(cudaMemcpy(bytes.data(), cache_.data() + slot * bytes.size(), copied_size_[slot],
                     cudaMemcpyDeviceToHost),
          "cudaMemcpy");
    if (std::memcmp(bytes.data(), home(static_cast<std::size_t>(copied_to_[slot])), copied_size_[slot]) != 0)
      return false;
  }
  return true;
}

}  // namespace specmoe::cuda
