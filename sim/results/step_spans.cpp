#include "sim/results/step_spans.hpp"

#include <algorithm>

#include "sim/results/span.hpp"

namespace specmoe {

namespace {
enum Slot : std::size_t { kFirstPrefill, kFirstDecode, kSecondDecode, kLongestDecode };
}

StepSpans::StepSpans(const Platform& platform) : platform_(platform) {
  for (const auto& [row, name] : link_rows(platform)) row_names_[row] = name;
  for (std::size_t i = 0; i < platform.memories.size(); ++i)
    if (platform.memories[i].kind == Memory::Kind::disk)
      row_names_[row_of_disk({static_cast<int>(i)})] = platform.memories[i].name;
}

void StepSpans::stream(Stream stream, const std::string& name) { row_names_[stream.index] = name; }

void StepSpans::add(const Span& span) {
  const auto to = [&](Step& step) {
    ++step.all;
    if (step.spans.size() < kMostSpans) step.spans.push_back(span);
  };
  to(current_);
  if (last_ && span.start < last_->end) to(*last_);
}

void StepSpans::kernel(Stream stream, const Kernel& kernel, Seconds start, Seconds end) {
  add({stream.index, kernel.name, kernel.layer, kernel.expert, start, end, memory_traffic(kernel)});
}

void StepSpans::copy(Stream stream, const CopyLabel& label, const Route& route, Bytes bytes, Seconds start,
                     Seconds end) {
  Span span{stream.index, label.name, label.layer, label.expert, start, end, bytes};
  add(span);
  for (const Hop& hop : route.hops) {
    span.row = row_of(hop);
    add(span);
  }
  for (const MemoryId memory : {route.from, route.to})
    if (platform_[memory].kind == Memory::Kind::disk) {
      span.row = row_of_disk(memory);
      add(span);
    }
}

void StepSpans::step_ended(bool prefill, Seconds start, Seconds end) {
  std::optional<Slot> slot;
  if (prefill) {
    if (!kept_[kFirstPrefill]) slot = kFirstPrefill;
  } else if (!kept_[kFirstDecode]) {
    slot = kFirstDecode;
  } else if (!kept_[kSecondDecode]) {
    slot = kSecondDecode;
  } else if (end - start > longest_decode_) {
    slot = kLongestDecode;
  }
  if (!prefill) longest_decode_ = std::max(longest_decode_, end - start);
  const std::int64_t next = current_.index + 1;
  last_ = nullptr;
  if (slot) {
    current_.prefill = prefill;
    current_.start = start;
    current_.end = end;
    std::optional<Step>& place = kept_[*slot];
    if (!place) place = Step{};
    std::swap(*place, current_);  // and its memory comes back
    last_ = &*place;
  }
  current_.index = next;
  current_.spans.clear();
  current_.all = 0;
}

void StepSpans::write(H5File& file) const {
  std::map<int, std::int16_t> rows;
  std::map<std::string, std::int32_t> labels;
  for (const auto& step : kept_)
    if (step)
      for (const Span& span : step->spans) {
        rows[span.row] = 0;
        labels[span_label(span.name, span.layer, span.expert)] = 0;
      }
  std::vector<std::string> row_names, row_kinds, label_names;
  for (auto& [row, index] : rows) {
    index = static_cast<std::int16_t>(row_names.size());
    row_names.push_back(row_names_.at(row));
    row_kinds.push_back(row < kFirstLinkRow ? "stream" : row < kFirstDiskRow ? "link" : "disk");
  }
  for (auto& [label, index] : labels) {
    index = static_cast<std::int32_t>(label_names.size());
    label_names.push_back(label);
  }

  std::vector<std::int64_t> step_index, first, count, all, bytes;
  std::vector<std::int16_t> phase, row;
  std::vector<std::int32_t> label;
  std::vector<double> step_start, step_duration;
  std::vector<float> start, duration;
  for (const auto& step : kept_) {
    if (!step) continue;
    step_index.push_back(step->index);
    phase.push_back(step->prefill ? 0 : 1);
    step_start.push_back(step->start.value);
    step_duration.push_back((step->end - step->start).value);
    first.push_back(static_cast<std::int64_t>(row.size()));
    count.push_back(static_cast<std::int64_t>(step->spans.size()));
    all.push_back(step->all);
    for (const Span& span : step->spans) {
      row.push_back(rows.at(span.row));
      label.push_back(labels.at(span_label(span.name, span.layer, span.expert)));
      start.push_back(static_cast<float>((span.start - step->start).value));
      duration.push_back(static_cast<float>((span.end - span.start).value));
      bytes.push_back(span.bytes.count);
    }
  }
  file.write_strings("/timeline/rows/name", row_names);
  file.write_strings("/timeline/rows/kind", row_kinds);
  file.write_strings("/timeline/labels", label_names);
  file.write("/timeline/steps/step", step_index);
  file.write("/timeline/steps/phase", phase);
  file.write("/timeline/steps/start", step_start);
  file.write("/timeline/steps/duration", step_duration);
  file.write("/timeline/steps/first", first);
  file.write("/timeline/steps/count", count);
  file.write("/timeline/steps/all", all);
  file.write("/timeline/spans/row", row);
  file.write("/timeline/spans/label", label);
  file.write("/timeline/spans/start", start);
  file.write("/timeline/spans/duration", duration);
  file.write("/timeline/spans/bytes", bytes);
}

}  // namespace specmoe
