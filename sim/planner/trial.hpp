// Simulations of a candidate: some steps of decoding in the steady state, and the prompt.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sim/planner/setting.hpp"

namespace specmoe {

/// What can hold a run up. Of the GPU, whichever of its three takes most of its time: kernels that wait for its memory, for
/// its arithmetic, or that are as short as a kernel can be.
enum class Resource { link, disk, cpu, host, gpu_memory, gpu_arithmetic, gpu_floor };
inline constexpr std::size_t kResources = 7;

/// What a candidate gives.
struct Trial {
  /// Decoded tokens a second of all sequences; s a step; share of expert accesses that found their expert.
  double tokens_per_second, tpot, hit_rate;
  /// Of those, computed by the CPU.
  double cpu_rate;
  double energy_per_token;  // J; NaN where the platform has no watts
  /// s that each was busy a second of the run, [Resource]. Copies over several links count once.
  std::array<double, kResources> busy;

  /// What was busy longest, and for which share of the run.
  Resource bottleneck() const;
  double busy_share() const;
  double gpu_busy() const;
};

/// Decodes so many tokens a sequence with the cache as it starts; the context ends at the question's.
/// In a process of its own: see run_isolated.
Trial decode(const Question& question, const Setting& setting, std::size_t candidate, std::int64_t tokens);

/// Mean s to the first token of the question's batch. @return likewise
double first_token(const Question& question, const Setting& setting, std::size_t candidate);

/// Simulations to run side by side.
class Trials {
 public:
  explicit Trials(int jobs) : jobs_(jobs) {}
  /// The references must live until run() returns.
  void add_decode(const Question& question, const Setting& setting, std::size_t candidate,
                  std::int64_t tokens);
  void add_first_token(const Question& question, const Setting& setting, std::size_t candidate);
  /// @return in the order in which they were added; of first tokens, only tpot is set: the time.
  std::vector<Trial> run();

 private:
  int jobs_;
  std::vector<std::function<std::string()>> works_;
};

}  // namespace specmoe
