#include "sim/machine/flows.hpp"

#include <algorithm>

namespace specmoe {

void Dates::add(Seconds date, Worker& worker) {
  heap_.push_back({date, added_++, &worker});
  std::push_heap(heap_.begin(), heap_.end(), is_later);
}

void Dates::remove(const Worker& worker) {
  std::erase_if(heap_, [&](const Entry& entry) { return entry.worker == &worker; });
  std::make_heap(heap_.begin(), heap_.end(), is_later);
}

void Dates::serve_next() {
  std::pop_heap(heap_.begin(), heap_.end(), is_later);
  const Entry entry = heap_.back();
  heap_.pop_back();
  go_to(entry.date);
  entry.worker->go_on();
}

void Flow::start(const std::vector<Share*>& path, double amount) {
  path_ = &path;
  bool alone = true;
  for (Share* share : path) {
    if (share->alone) share->alone->join();
    alone = alone && share->flows == 0;
    ++share->flows;
  }
  if (!alone) return be_shared(amount);
  rate_ = path.front()->rate;
  for (const Share* share : path) rate_ = std::min(rate_, share->rate);
  for (Share* share : path) share->alone = this;
  begun_ = dates_.now();
  end_ = begun_ + Seconds{amount / rate_};
  end_at(end_);
}

void Flow::join() {
  for (Share* share : *path_) share->alone = nullptr;
  if (end_ <= dates_.now()) return was_alone(end_ - begun_);  // it is ending
  dates_.remove(*this);
  was_alone(dates_.now() - begun_);
  be_shared((end_ - dates_.now()).value * rate_);
}

void Flow::go_on() {
  if (path_->front()->alone == this) was_alone(end_ - begun_);
  for (Share* share : *path_) {
    --share->flows;
    share->alone = nullptr;
  }
  worker_.go_on();
}

}  // namespace specmoe
