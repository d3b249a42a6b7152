#include <ctime>
#include <stdexcept>

#include "sim/machine/bench.hpp"
#include "sim/machine/simgrid.hpp"

namespace specmoe {
namespace {

// Activities each of which is started from the callback of the one before.
template <class T, class Start>
class Chain final : public Worker {
 public:
  Chain(const std::vector<T>& work, Start start) : activities_(*this), work_(work), start_(start) {}
  void go_on() override {
    if (started_ < work_.size())
      start_(activities_, work_[started_++]);
    else
      ended_ = true;
  }
  bool ended() const { return ended_; }

 private:
  sg::Activities activities_;
  const std::vector<T>& work_;
  Start start_;
  std::size_t started_ = 0;
  bool ended_ = false;
};

}  // namespace

BareCost run_bare(const BareWork& work) {
  sg::Zone* zone = sg::open_engine(false);
  sg::Host *device = sg::add_host(zone, "device"), *from = sg::add_host(zone, "from"),
           *to = sg::add_host(zone, "to");
  sg::add_route(zone, from, to,
                {sg::add_link(zone, "link", work.bandwidth), sg::add_link(zone, "both ways", work.duplex)});
  sg::seal(zone);
  sg::on_completion([](Worker& chain) { chain.go_on(); });
  Chain kernels(work.kernels,
                [=](sg::Activities& start, Seconds duration) { start.execute(device, duration); });
  Chain copies(work.copies, [=](sg::Activities& start, Bytes payload) {
    start.cross(from, to, static_cast<double>(payload.count));
  });
  sg::call_at({0}, [&] {
    kernels.go_on();
    copies.go_on();
  });
  const std::clock_t begin = std::clock();
  sg::run();
  const std::clock_t end = std::clock();
  if (!kernels.ended() || !copies.ended()) throw std::logic_error("bare SimGrid: an activity never ended");
  return {static_cast<double>(end - begin) / CLOCKS_PER_SEC, sg::now()};
}

}  // namespace specmoe
