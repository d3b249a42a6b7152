#include "sim/machine/streams.hpp"

#include <algorithm>

namespace specmoe {

void Workshop::serve() {
  while (!ready.empty()) {
    StreamQueue* stream = ready.front();
    ready.pop_front();
    stream->advance();
  }
}

void Workshop::serve_at(Seconds date, StreamQueue* stream) {
  later_.emplace(date, stream);
  lane_->wait_until(date);
}

void Workshop::go_on() {
  const auto end = later_.upper_bound(kernel.now());
  for (auto due = later_.begin(); due != end; due = later_.erase(due)) ready.push_back(due->second);
  serve();
}

StreamQueue::StreamQueue(Workshop& shop, Stream id, DeviceId device, const Device& properties)
    : shop_(shop),
      id_(id),
      device_(device),
      memory_(properties.memory),
      event_time_(properties.event_time),
      lane_(shop.kernel.open_lane(*this, device)) {}

// Recording without time and waiting need not wait for the date of their call: what follows in the stream, and whoever
// waits for the event, was called later still.
void StreamQueue::append(Op&& op) {
  if (!busy_) {
    const auto* record = std::get_if<RecordOp>(&op.what);
    if (record && record->time <= Seconds{0}) return reach(*record->event, op.issued);
    if (const auto* wait = std::get_if<WaitOp>(&op.what)) {
      if (passes(*wait->event, op.issued)) return;
      await(*wait->event, op.issued);
    } else {
      wait_until(op.issued);
    }
  }
  ops_.push_back(std::move(op));
}

void StreamQueue::go_on() {
  if (computing_) kernel_ended();
  shop_.ready.push_back(this);
  if (recording_) recorded();
  shop_.serve();
}

void StreamQueue::advance() {
  for (busy_ = false; !busy_ && !ops_.empty();) {
    const Op& op = ops_.front();
    const auto* record = std::get_if<RecordOp>(&op.what);
    const bool takes_time = record ? record->time > Seconds{0} : !std::holds_alternative<WaitOp>(op.what);
    if (takes_time && op.issued > shop_.kernel.now())
      wait_until(op.issued);
    else
      std::visit([this](const auto& what) { begin(what); }, op.what);
  }
}

void StreamQueue::wait_until(Seconds date) {
  busy_ = true;
  lane_->wait_until(date);
}

void StreamQueue::begin(const KernelOp& op) {
  started_ = shop_.kernel.now();
  computing_ = true;
  // As it stands at its start: a kernel is short beside a copy.
  const bool beside = shop_.crossing[static_cast<std::size_t>(memory_.index)] > 0;
  const Seconds duration = beside ? op.price.beside_copies : op.price.alone;
  if (duration <= Seconds{0}) return kernel_ended();
  busy_ = true;
  lane_->execute(device_, duration, op.traffic, op.price.memory_bound);
}

void StreamQueue::kernel_ended() {
  computing_ = false;
  if (shop_.observer)
    shop_.observer->kernel_ended(id_, std::get<KernelOp>(ops_.front().what).kernel, started_,
                                 shop_.kernel.now());
  ops_.pop_front();
}

void StreamQueue::begin(const CopyOp& op) {
  busy_ = true;
  op.way->engine->take(this);
}

void StreamQueue::copy_ended(Seconds start) {
  const CopyOp& copy = front_copy();
  if (shop_.observer)
    shop_.observer->copy_ended(id_, copy.label, copy.way->route, copy.bytes, start, shop_.kernel.now());
  ops_.pop_front();
  shop_.ready.push_back(this);
}

void StreamQueue::reach(StreamEvent& event, Seconds date) {
  event.reached = true;
  event.date = date;
  for (const auto& [since, stream] : event.waiting)
    if (event.stream_notice > Seconds{0})
      shop_.serve_at(date + event.stream_notice, stream);
    else
      shop_.ready.push_back(stream);
  if (event.host_waits) shop_.kernel.resume_host();
}

// Whether a wait that the host called at `issued` holds nothing up.
bool StreamQueue::passes(const StreamEvent& event, Seconds issued) const {
  if (!event.reached || event.recorded_by == this) return event.reached;
  return event.date + event.stream_notice <= std::max(issued, shop_.kernel.now());
}

void StreamQueue::await(StreamEvent& event, Seconds since) {
  busy_ = true;
  if (event.reached)
    shop_.serve_at(event.date + event.stream_notice, this);
  else
    event.waiting.emplace(since, this);
}

void StreamQueue::begin(const RecordOp& op) {
  if (op.time > Seconds{0}) {
    recording_ = true;
    return wait_until(shop_.kernel.now() + op.time);
  }
  reach(*op.event, std::max(shop_.kernel.now(), ops_.front().issued));
  ops_.pop_front();
}

void StreamQueue::recorded() {
  recording_ = false;
  reach(*std::get<RecordOp>(ops_.front().what).event, shop_.kernel.now());
  ops_.pop_front();
}

void StreamQueue::begin(const WaitOp& op) {
  if (passes(*op.event, ops_.front().issued))
    ops_.pop_front();
  else
    await(*op.event, std::max(shop_.kernel.now(), ops_.front().issued));
}

CopyEngine::CopyEngine(Workshop& shop) : shop_(shop), links_(*this), reader_(*this), writer_(*this) {}

CopyEngine::Part::Part(CopyEngine& engine)
    : engine_(engine), lane(engine.shop_.kernel.open_lane(*this, {})) {}

void CopyEngine::Part::go_on() { engine_.part_ended(); }

void CopyEngine::take(StreamQueue* stream) {
  const bool idle = queue_.empty();
  queue_.push_back(stream);
  if (idle) begin();
}

void CopyEngine::begin() {
  constexpr Seconds kRounding{1e-10};
  started_ = shop_.kernel.now();
  const StreamQueue& stream = *queue_.front();
  const CopyOp& copy = stream.front_copy();
  const bool pause = started_ - ended_ > stream.event_time() + kRounding;
  const Seconds latency = copy.way->latency;
  if (pause && copy.bytes > copy.way->inline_size && latency > Seconds{0}) {
    fixed_cost_ = true;
    links_.lane->wait_until(started_ + latency);
  } else {
    transfer();
  }
}

void CopyEngine::part_ended() {
  if (fixed_cost_) {
    fixed_cost_ = false;
    transfer();
  } else if (--under_way_ == 0) {
    count_crossing(*queue_.front()->front_copy().way, -1);
    end();
  }
  shop_.serve();
}

void CopyEngine::transfer() {
  const CopyOp& copy = queue_.front()->front_copy();
  const Way& way = *copy.way;
  const bool some = copy.bytes > Bytes{0};
  const Bytes payload = copy.bytes + way.half_size;
  const bool cross = payload > Bytes{0}, read = some && way.from_disk, write = some && way.to_disk;
  under_way_ = cross + read + write;
  if (under_way_ == 0) return end();
  count_crossing(way, 1);
  if (cross && way.within > BytesPerSecond{})
    links_.lane->wait_until(shop_.kernel.now() + payload / way.within);
  else if (cross)
    links_.lane->cross(way.route.from, way.route.to, way.host, payload);
  if (read) reader_.lane->read(way.route.from, copy.bytes);
  if (write) writer_.lane->write(way.route.to, copy.bytes);
}

void CopyEngine::count_crossing(const Way& way, int change) {
  for (const MemoryId memory : {way.route.from, way.route.to})
    shop_.crossing[static_cast<std::size_t>(memory.index)] += change;
}

void CopyEngine::end() {
  ended_ = shop_.kernel.now();
  StreamQueue* stream = queue_.front();
  queue_.pop_front();
  stream->copy_ended(started_);
  if (!queue_.empty()) begin();
}

}  // namespace specmoe
