#include "sim/results/recorder.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "sim/base/statistics.hpp"

namespace specmoe {

// The growing datasets of a run; destroyed before the file is closed.
struct Recorder::Columns {
  using Type = H5Growing::Type;
  H5Growing phase, sequences, tokens, routed, accesses, hits, misses, requested, issued, useful, late,
      useless, dropped, on_cpu, skipped, low_pairs, skipped_pairs, host_hits, host_misses, evictions,
      demand_bytes, prefetch_bytes, disk_bytes, start, duration, critical_path, exposed_stall, expert_wait,
      predictor, energy, block_duration, layer_accesses, layer_hits;

  Columns(H5File& file, const MoeModel& model)
      : phase(file, "/steps/phase", Type::int16),
        sequences(file, "/steps/sequences", Type::int64),
        tokens(file, "/steps/tokens", Type::int64),
        routed(file, "/steps/routed", Type::int64),
        accesses(file, "/steps/accesses", Type::int64),
        hits(file, "/steps/hits", Type::int64),
        misses(file, "/steps/misses", Type::int64),
        requested(file, "/steps/prefetch_requested", Type::int64),
        issued(file, "/steps/prefetch_issued", Type::int64),
        useful(file, "/steps/prefetch_useful", Type::int64),
        late(file, "/steps/prefetch_late", Type::int64),
        useless(file, "/steps/prefetch_useless", Type::int64),
        dropped(file, "/steps/prefetch_dropped", Type::int64),
        on_cpu(file, "/steps/misses_on_cpu", Type::int64),
        skipped(file, "/steps/misses_skipped", Type::int64),
        low_pairs(file, "/steps/low_pairs", Type::int64),
        skipped_pairs(file, "/steps/skipped_pairs", Type::int64),
        host_hits(file, "/steps/host_hits", Type::int64),
        host_misses(file, "/steps/host_misses", Type::int64),
        evictions(file, "/steps/evictions", Type::int64),
        demand_bytes(file, "/steps/demand_bytes", Type::int64),
        prefetch_bytes(file, "/steps/prefetch_bytes", Type::int64),
        disk_bytes(file, "/steps/disk_bytes", Type::int64),
        start(file, "/steps/start", Type::float64),
        duration(file, "/steps/duration", Type::float64),
        critical_path(file, "/steps/critical_path", Type::float64),
        exposed_stall(file, "/steps/exposed_stall", Type::float64),
        expert_wait(file, "/steps/expert_wait", Type::float64),
        predictor(file, "/steps/predictor", Type::float64),
        energy(file, "/steps/energy", Type::float64),
        block_duration(file, "/layers/duration", Type::float32,
                       {static_cast<std::int64_t>(model.blocks.size())}),
        layer_accesses(file, "/layers/accesses", Type::int32, {model.moe_layers}),
        layer_hits(file, "/layers/hits", Type::int32, {model.moe_layers}) {}
};

Recorder::Recorder(const std::filesystem::path& file, const Scenario& scenario, const Strategy& strategy,
                   Timeline* timeline)
    : scenario_(scenario),
      strategy_(strategy),
      timeline_(timeline),
      spans_(scenario.platform),
      file_(H5File::create(file)),
      columns_(std::make_unique<Columns>(*file_, scenario.model)),
      energy_(scenario.platform),
      links_(2 * scenario.platform.links.size() + scenario.platform.memories.size()) {}

Recorder::Recorder(const Scenario& scenario, const Strategy& strategy)
    : scenario_(scenario),
      strategy_(strategy),
      energy_(scenario.platform),
      links_(2 * scenario.platform.links.size() + scenario.platform.memories.size()) {}

Recorder::~Recorder() = default;

void Recorder::write_columns(const StepRecord& step, double energy) {
  const Counters& c = step.counters;
  columns_->phase.append(std::int64_t{step.prefill ? 0 : 1});
  columns_->sequences.append(step.sequences);
  columns_->tokens.append(step.tokens);
  columns_->routed.append(c.routed);
  columns_->accesses.append(c.accesses);
  columns_->hits.append(c.hits);
  columns_->misses.append(c.misses);
  columns_->requested.append(c.requested);
  columns_->issued.append(c.issued);
  columns_->useful.append(c.useful);
  columns_->late.append(c.late);
  columns_->useless.append(c.useless);
  columns_->dropped.append(c.dropped);
  columns_->on_cpu.append(c.on_cpu);
  columns_->skipped.append(c.skipped);
  columns_->low_pairs.append(c.low_pairs);
  columns_->skipped_pairs.append(c.skipped_pairs);
  columns_->host_hits.append(c.host_hits);
  columns_->host_misses.append(c.host_misses);
  columns_->evictions.append(c.evictions);
  columns_->demand_bytes.append(c.demand_bytes.count);
  columns_->prefetch_bytes.append(c.prefetch_bytes.count);
  columns_->disk_bytes.append(c.disk_bytes.count);
  columns_->start.append(step.start.value);
  columns_->duration.append(step.duration().value);
  columns_->critical_path.append(step.critical_path.value);
  columns_->exposed_stall.append(step.exposed_stall().value);
  columns_->expert_wait.append(step.expert_wait.value);
  columns_->predictor.append(predictor_);
  columns_->energy.append(energy);
  columns_->layer_accesses.append(step.layer_accesses);
  columns_->layer_hits.append(step.layer_hits);
  std::vector<double> durations;
  Seconds before = step.start;
  for (const Seconds end : step.block_end) {
    durations.push_back(std::max(0.0, (end - before).value));
    before = std::max(before, end);
  }
  columns_->block_duration.append(durations);
}

void Recorder::step_ended(const StepRecord& step) {
  const double drawn = energy_.total(step.device_energy), energy = drawn - energy_before_;
  energy_before_ = drawn;
  if (columns_) write_columns(step, energy);
  const Counters& c = step.counters;
  summary_.counters += c;
  ++summary_.steps;
  if (step.prefill && !in_prefill_) batch_start_ = step.start.value;
  // A prompt's last prefill step makes the first token; an encoder's is made by the decoder's first step.
  const bool after_encoder = in_prefill_ && !step.prefill && scenario_.model.encoder_decoder();
  const std::int64_t first = after_encoder ? step.sequences : step.first_tokens;
  first_tokens_.insert(first_tokens_.end(), static_cast<std::size_t>(first), step.end.value - batch_start_);
  in_prefill_ = step.prefill;
  if (!step.prefill) {
    const double duration = step.duration().value;
    decode_durations_.push_back(duration);
    decode_time_ += duration;
    token_time_ += duration * static_cast<double>(step.tokens);
    summary_.decoded_tokens += step.tokens;
    stall_ += step.exposed_stall().value;
    wait_ += step.expert_wait.value;
    path_ += step.critical_path.value;
    predictor_time_ += predictor_;
    decode_energy_ += energy;
    decode_routed_ += c.routed;
    decode_accesses_ += c.accesses;
    decode_hits_ += c.hits;
    decode_late_ += c.late;
  }
  predictor_ = 0;
  if (spans_) spans_->step_ended(step.prefill, step.start, step.end);
  if (timeline_) timeline_->step_ended();
}

void Recorder::run_ended(std::int64_t useless, Bytes cache_peak) {
  summary_.counters.useless += useless;
  cache_peak_ = cache_peak;
}

void Recorder::stream_opened(Stream stream, DeviceId device, const std::string& name) {
  streams_.resize(std::max(streams_.size(), static_cast<std::size_t>(stream.index) + 1));
  StreamUse& use = streams_[static_cast<std::size_t>(stream.index)];
  use.name = name;
  use.device = device;
  if (spans_) spans_->stream(stream, scenario_.platform[device].name + " " + name);
  if (timeline_) timeline_->stream(stream, scenario_.platform[device].name + " " + name);
}

void Recorder::kernel_ended(Stream stream, const Kernel& kernel, Seconds start, Seconds end) {
  StreamUse& use = streams_[static_cast<std::size_t>(stream.index)];
  ++use.kernels;
  use.busy += (end - start).value;
  energy_.computed(use.device, kernel);
  if (kernel.name == kPredictorKernel) predictor_ += (end - start).value;
  ++summary_.activities;
  if (spans_) spans_->kernel(stream, kernel, start, end);
  if (timeline_) timeline_->kernel(stream, kernel, start, end);
}

void Recorder::copy_ended(Stream stream, const CopyLabel& label, const Route& route, Bytes bytes,
                          Seconds start, Seconds end) {
  const auto count = [&](std::size_t i) {
    links_[i].bytes += bytes.count;
    ++links_[i].copies;
    links_[i].busy += (end - start).value;
  };
  for (const Hop& hop : route.hops) count(2 * static_cast<std::size_t>(hop.link) + (hop.forward ? 0 : 1));
  for (const MemoryId end_memory : {route.from, route.to})
    if (scenario_.platform[end_memory].kind == Memory::Kind::disk)
      count(2 * scenario_.platform.links.size() + static_cast<std::size_t>(end_memory.index));
  energy_.copied(route, bytes);
  ++summary_.activities;
  if (spans_) spans_->copy(stream, label, route, bytes, start, end);
  if (timeline_) timeline_->copy(stream, label, route, bytes, start, end);
}

RunSummary Recorder::finish(const SimulationEnd& end) {
  const auto ratio = [](double a, double b) {
    return b > 0 ? a / b : std::numeric_limits<double>::quiet_NaN();
  };
  RunSummary& s = summary_;
  const auto steps = static_cast<double>(decode_durations_.size());
  s.total_time = end.date.value;
  s.ttft = ratio(std::accumulate(first_tokens_.begin(), first_tokens_.end(), 0.0),
                 static_cast<double>(first_tokens_.size()));
  s.ttft_p50 = quantile(first_tokens_, 0.50);
  s.ttft_p99 = quantile(first_tokens_, 0.99);
  s.tpot = ratio(token_time_, static_cast<double>(s.decoded_tokens));
  s.tpot_p50 = quantile(decode_durations_, 0.50);
  s.tpot_p95 = quantile(decode_durations_, 0.95);
  s.tpot_p99 = quantile(decode_durations_, 0.99);
  s.tokens_per_second = ratio(static_cast<double>(s.decoded_tokens), decode_time_);
  s.hit_rate = ratio(static_cast<double>(decode_hits_), static_cast<double>(decode_accesses_));
  s.deduplicated =
      ratio(static_cast<double>(decode_routed_ - decode_accesses_), static_cast<double>(decode_routed_));
  s.late_rate = ratio(static_cast<double>(decode_late_), static_cast<double>(decode_accesses_));
  s.hit_rate_all = ratio(static_cast<double>(s.counters.hits), static_cast<double>(s.counters.accesses));
  s.exposed_stall = ratio(stall_, steps);
  s.expert_wait = ratio(wait_, steps);
  s.critical_path = ratio(path_, steps);
  s.predictor_time = ratio(predictor_time_, steps);
  s.predictor_share = ratio(predictor_time_, decode_time_);
  s.energy = energy_.total(end.device_energy);
  s.energy_per_token = ratio(decode_energy_, static_cast<double>(s.decoded_tokens));
  double busy = 0;
  for (const StreamUse& stream : streams_)
    if (scenario_.platform[stream.device].kind == Device::Kind::gpu) busy += stream.busy;
  s.gpu_utilisation = ratio(busy, s.total_time);
  s.cache_capacity = strategy_.settings.cache_capacity;
  s.peak_gpu_memory = strategy_.bill.taken() + cache_peak_;
  if (file_) write_totals(end);
  return s;
}

void Recorder::write_totals(const SimulationEnd& end) {
  columns_.reset();  // flushes
  H5File& file = *file_;
  const RunSummary& s = summary_;
  write_summary(file, "/", s);

  const auto shares = [&](std::vector<double> busy_times) {
    for (double& time : busy_times)
      time = s.total_time > 0 ? time / s.total_time : std::numeric_limits<double>::quiet_NaN();
    return busy_times;
  };
  const Platform& platform = scenario_.platform;
  std::vector<std::string> names, directions;
  std::vector<std::int64_t> bytes, copies;
  std::vector<double> times;
  const auto add = [&](const std::string& name, const std::string& direction, const LinkUse& use) {
    names.push_back(name);
    directions.push_back(direction);
    bytes.push_back(use.bytes);
    copies.push_back(use.copies);
    times.push_back(use.busy);
  };
  for (std::size_t i = 0; i < platform.links.size(); ++i) {
    const Link& link = platform.links[i];
    add(link.name, link.a + " -> " + link.b, links_[2 * i]);
    add(link.name, link.b + " -> " + link.a, links_[2 * i + 1]);
  }
  for (std::size_t i = 0; i < platform.memories.size(); ++i)
    if (platform.memories[i].kind == Memory::Kind::disk)
      add(platform.memories[i].name, "disk", links_[2 * platform.links.size() + i]);
  file.write_strings("/links/name", names);
  file.write_strings("/links/direction", directions);
  file.write("/links/bytes", bytes);
  file.write("/links/copies", copies);
  file.write("/links/busy", times);
  file.write("/links/utilisation", shares(times));
  energy_.write(file, end);

  names.clear();
  times.clear();
  copies.clear();
  for (const StreamUse& stream : streams_) {
    names.push_back(stream.name);
    times.push_back(stream.busy);
    copies.push_back(stream.kernels);
  }
  file.write_strings("/streams/name", names);
  file.write("/streams/busy", times);
  file.write("/streams/utilisation", shares(times));
  file.write("/streams/kernels", copies);

  names.clear();
  bytes.clear();
  for (const auto& [name, size] : strategy_.bill.items) {
    names.push_back(name);
    bytes.push_back(size.count);
  }
  names.push_back("expert_cache");
  bytes.push_back(s.cache_capacity.count);
  file.write_strings("/memory/name", names);
  file.write("/memory/bytes", bytes);
  spans_->write(file);
  file.flush();
}

}  // namespace specmoe
