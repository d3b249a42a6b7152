// Serves the page of `specmoe explore` and asks the simulator what the page asks. Bound to 127.0.0.1; every request needs
// a token that is made at the start, and a Host header that names this machine, so that no other page and no other user
// can ask.
//
//   GET  /     the page
//   POST /ask  {"edits": [{"path", "value"}]}, values as in specmoe whatif --set -> answer_json() of the base and, where
//              there are edits, of the changed scenario; or {"error": one line} with a status:
//              400 no such edit, or the scenario's reader refuses it; 403 token or Host; 411, 413, 415 no length, too long,
//              no JSON; 429 too many ask already; 500 the simulator failed; 503 the server is ending; 504 the time is up
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "sim/explore/offer.hpp"

namespace specmoe {

inline constexpr std::size_t kMostBody = 64 * 1024;
/// Questions answered at a time, and more that may wait.
inline constexpr int kMostRunning = 2, kMostWaiting = 4;

/// What is served, and what answers.
struct ServerSettings {
  /// 0: any free one.
  int port = 0;
  std::string page;
  Offer offer;
  /// `specmoe whatif` of the scenario, as JSON; edits and the name of a writer are added.
  std::vector<std::string> command;
  /// Of one question; its processes are killed then.
  std::chrono::milliseconds limit{60'000};
};

/// The server, from its making to its end.
class ExploreServer {
 public:
  /// Serves from then on. Blocked signals stay blocked in its threads.
  /// @throws InputError if the port is taken
  explicit ExploreServer(ServerSettings settings);
  ExploreServer(const ExploreServer&) = delete;
  ExploreServer& operator=(const ExploreServer&) = delete;
  /// Kills what is simulating.
  ~ExploreServer();

  /// With the token in it.
  std::string url() const;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace specmoe
