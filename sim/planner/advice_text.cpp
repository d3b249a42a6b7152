#include <fmt/format.h>

#include <algorithm>

#include "sim/planner/advice.hpp"

namespace specmoe {

namespace {

std::string short_gb(Bytes bytes) {
  return fmt::format("{:.1f} GB", static_cast<double>(bytes.count) * 1e-9);
}

std::string range_text(const Advice& advice, double speed) {
  if (!advice.errors) return "";
  const auto& [range, of] = *advice.errors;
  return fmt::format("{:.3g} to {:.3g}", speed * range.low, speed * range.high);
}

std::string bill_text(const Advice& advice) {
  const Setting& setting = advice.setting;
  std::string text = fmt::format(
      "Memory at {}, {} positions{}:\n  GPU       ", name_of(setting.precision), advice.question.context,
      advice.question.sequences() > 1 ? fmt::format(" x {} sequences", advice.question.sequences()) : "");
  for (const auto& [name, bytes] : setting.bill.items)
    text += fmt::format("{}{} {}", &name == &setting.bill.items.front().first ? "" : " + ",
                        name == "weights"    ? "weights but the experts"
                        : name == "kv_cache" ? "KV cache"
                                             : name,
                        short_gb(bytes));
  text += fmt::format(" = {} of {}; left for experts: {}\n", short_gb(setting.bill.taken()),
                      short_gb(setting.bill.available), short_gb(setting.bill.rest()));
  const Bytes away = setting.all_experts - std::max(Bytes{0}, setting.gpu_room);
  text +=
      fmt::format("  experts   {} in all: {}\n", short_gb(setting.all_experts),
                  away > Bytes{0} ? short_gb(away) + " do not fit in GPU memory" : "they fit in GPU memory");
  const auto place = [&](const char* what, const std::string& name, Bytes free) {
    if (name.empty()) return fmt::format("  {:<10}none of its own\n", what);
    return fmt::format("  {:<10}{} free: {}\n", what, short_gb(free),
                       free >= setting.all_experts ? "all experts fit there"
                       : free >= away              ? "what the GPU does not hold fits there"
                                                   : "too small for the experts");
  };
  return text + place("host", setting.host_name, setting.host_free) +
         place("disk", setting.disk_name, setting.disk_free);
}

std::string table(const Advice& advice) {
  std::size_t width = 9;
  for (const Row& row : advice.rows) width = std::max(width, name_of(row.precision).size());
  std::string text = fmt::format(
      "  {:<{}}{:>9}{:>9}{:>9}{:>7}{:>9}{:>9}{:>9}  experts\n  {:<{}}{:>9}{:>9}{:>9}{:>7}{:>9}{:>9}{:>9}\n",
      "precision", width, "decode", "TPOT", "TTFT", "hit", "GPU", "host", "disk", "", width, "tok/s", "ms",
      "s", "%", "GB", "GB", "GB");
  const auto gb = [](Bytes bytes) {
    return bytes > Bytes{0} ? fmt::format("{:.1f}", static_cast<double>(bytes.count) * 1e-9)
                            : std::string("-");
  };
  for (std::size_t i = 0; i < advice.rows.size(); ++i) {
    const Row& row = advice.rows[i];
    const Candidate& c = row.candidate;
    text +=
        fmt::format("{} {:<{}}{:>9.1f}{:>9.2f}{:>9.2f}{:>7.1f}{:>9}{:>9}{:>9}  {}{}\n",
                    i == advice.best ? "*" : " ", name_of(row.precision), width, row.trial.tokens_per_second,
                    row.trial.tpot * 1e3, row.ttft, row.trial.hit_rate * 100, gb(row.gpu_memory), gb(c.host),
                    gb(c.disk), c.name, c.cpu_layers > 0 ? fmt::format(" ({})", c.cpu_layers) : "");
  }
  for (const Formats precision : advice.without_room)
    text += fmt::format("  {:<{}}  no room\n", name_of(precision), width);
  return text;
}

}  // namespace

std::string describe(Resource resource) {
  switch (resource) {
    case Resource::link:
      return "the link to the GPU";
    case Resource::disk:
      return "the disk";
    case Resource::cpu:
      return "the CPU, which waits for its memory or computes";
    case Resource::host:
      return "the host, which launches kernels";
    case Resource::gpu_memory:
      return "the GPU, most of the time for its memory";
    case Resource::gpu_arithmetic:
      return "the GPU, most of the time for its arithmetic";
    case Resource::gpu_floor:
      return "the GPU, most of the time with kernels too small to fill it";
  }
  return "";
}

std::string answer_of(const Advice& advice) {
  if (!advice.feasible())
    return fmt::format("No: {} does not run on {} at any precision tried: even at {}, {}.", advice.model,
                       advice.platform, name_of(advice.setting.precision), advice.missing);
  const Row& row = advice.rows[*advice.best];
  const std::string range = range_text(advice, row.trial.tokens_per_second);
  std::string where;
  switch (row.candidate.way) {
    case Way::resident:
      where = "all experts in GPU memory";
      break;
    case Way::fetched:
      where = "experts fetched from host memory";
      break;
    case Way::shared:
      where = "experts in host memory, missed ones shared by link and CPU";
      break;
    case Way::on_cpu:
      where = "what does not fit in GPU memory computed by the CPU";
      break;
    case Way::from_disk:
      where = "experts read from the disk";
      break;
  }
  const bool fails = advice.question.target && row.trial.tokens_per_second < *advice.question.target;
  return fmt::format("{}: {} runs on {} at about {:.3g} tokens a second{} with experts in {}, {}.",
                     fails ? "Not that fast" : "Yes", advice.model, advice.platform,
                     row.trial.tokens_per_second, range.empty() ? "" : fmt::format(" ({})", range),
                     name_of(row.precision.experts), where);
}

std::string advice_text(const Advice& advice) {
  std::string text = answer_of(advice) + "\n\n" + bill_text(advice);
  text += fmt::format("  routing   {}\n", advice.routing);
  for (const std::string& note : advice.notes) text += fmt::format("  note      {}\n", note);
  if (!advice.feasible()) return text;
  const Row& best = advice.rows[*advice.best];
  text += fmt::format("\nThe best of each precision ({} sequence{}, prompt of {} tokens):\n{}",
                      advice.question.sequences(), advice.question.sequences() == 1 ? "" : "s",
                      advice.question.context - advice.question.output, table(advice));
  text += fmt::format("\n* recommended: {}.\n", advice.reason);
  if (advice.errors)
    text += fmt::format(
        "Published runs like this one ({}, {} rows) had {:.2f} to {:.2f} of the simulated tokens a second "
        "(10th and 90th percentile): {}. Their hosts' constants were fitted on other rows: one that nobody "
        "measured may be farther off.\n",
        advice.errors->of == "all" ? "of all kinds" : "class " + advice.errors->of, advice.errors->range.rows,
        advice.errors->range.low, advice.errors->range.high,
        range_text(advice, best.trial.tokens_per_second));
  else
    text += "No interval: there is no file of errors against published runs.\n";
  text += fmt::format("Busy longest: {} ({:.0f} % of the time).\n", describe(best.trial.bottleneck()),
                      100 * best.trial.busy_share());
  text += "What would help:";
  std::size_t shown = 0;
  for (const Upgrade& upgrade : advice.upgrades) {
    if (upgrade.gain < 1.01) break;
    text += fmt::format("\n  {:<36}{:>6.2f}x {:>8.1f} tok/s  {}", upgrade.what, upgrade.gain,
                        upgrade.tokens_per_second, upgrade.way);
    ++shown;
  }
  text += shown > 0 ? "\n" : " nothing of what was tried (twice each part, the next card).\n";
  if (advice.best_batch && advice.best_batch->batch > 1)
    text += fmt::format("Most tokens a second in all: batch {}, {:.0f} tok/s.\n", advice.best_batch->batch,
                        advice.best_batch->tokens_per_second);
  else if (advice.best_batch)
    text += "A larger batch gives no more tokens a second.\n";
  text +=
      "\nNearest settings elsewhere, and what the simulator makes of such a division (not of that engine):\n";
  for (const EngineFlags& flags : advice.flags)
    text +=
        fmt::format("  {}{}: {}\n{}", flags.engine,
                    flags.tokens_per_second ? fmt::format(" ({:.1f} tok/s)", *flags.tokens_per_second) : "",
                    flags.command, flags.note.empty() ? "" : fmt::format("    ({})\n", flags.note));
  return text;
}

}  // namespace specmoe
