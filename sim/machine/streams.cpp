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

StreamQueue::StreamQueue(Workshop& shop, Stream id, DeviceId device)
    : shop_(shop), id_(id), device_(device), lane_(shop.kernel.open_lane(*this)) {}

// Recording and waiting need not wait for the date of their call: what follows in the stream, and whoever
// waits for the event, was called later still.
void StreamQueue::append(Op op) {
  if (!busy_) {
    if (const auto* record = std::get_if<RecordOp>(&op.what)) return reach(*record->event, op.issued);
    if (const auto* wait = std::get_if<WaitOp>(&op.what)) {
      if (wait->event->reached) return;
      busy_ = true;
      wait->event->waiting.push_back(this);
    } else {
      wait_until(op.issued);
    }
  }
  ops_.push_back(std::move(op));
}

void StreamQueue::go_on() {
  if (computing_) kernel_ended();
  shop_.ready.push_back(this);
  shop_.serve();
}

void StreamQueue::advance() {
  for (busy_ = false; !busy_ && !ops_.empty();) {
    const Op& op = ops_.front();
    const bool takes_time =
        std::holds_alternative<KernelOp>(op.what) || std::holds_alternative<CopyOp>(op.what);
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
  if (op.duration <= Seconds{0}) return kernel_ended();
  busy_ = true;
  lane_->execute(device_, op.duration);
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
  shop_.ready.insert(shop_.ready.end(), event.waiting.begin(), event.waiting.end());
  if (event.host_waits) shop_.kernel.resume_host();
}

void StreamQueue::begin(const RecordOp& op) {
  reach(*op.event, std::max(shop_.kernel.now(), ops_.front().issued));
  ops_.pop_front();
}

void StreamQueue::begin(const WaitOp& op) {
  if (op.event->reached) return ops_.pop_front();
  busy_ = true;
  op.event->waiting.push_back(this);
}

CopyEngine::CopyEngine(Workshop& shop) : shop_(shop), links_(*this), reader_(*this), writer_(*this) {}

CopyEngine::Part::Part(CopyEngine& engine) : engine_(engine), lane(engine.shop_.kernel.open_lane(*this)) {}

void CopyEngine::Part::go_on() { engine_.part_ended(); }

void CopyEngine::take(StreamQueue* stream) {
  queue_.push_back(stream);
  if (queue_.size() == 1) begin();
}

void CopyEngine::begin() {
  started_ = shop_.kernel.now();
  const Seconds latency = queue_.front()->front_copy().way->latency;
  if (latency > Seconds{0}) {
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
  if (cross) links_.lane->cross(way.route.from, way.route.to, way.host, payload);
  if (read) reader_.lane->read(way.route.from, copy.bytes);
  if (write) writer_.lane->write(way.route.to, copy.bytes);
}

void CopyEngine::end() {
  StreamQueue* stream = queue_.front();
  queue_.pop_front();
  stream->copy_ended(started_);
  if (!queue_.empty()) begin();
}

}  // namespace specmoe
