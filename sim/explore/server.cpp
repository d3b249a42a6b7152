#include "sim/explore/server.hpp"

#include <fmt/format.h>
#include <httplib.h>
#include <sys/random.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "sim/base/input_error.hpp"
#include "sim/explore/child.hpp"
#include "sim/explore/gate.hpp"

namespace specmoe {

namespace {

using Json = nlohmann::json;
constexpr std::size_t kMostEdits = 100;
constexpr const char* kHost = "127.0.0.1";

// 128 bits that nobody can guess.
std::string random_token() {
  unsigned char bytes[16];
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
    throw std::runtime_error("getrandom gives nothing");
  std::string token;
  for (const unsigned char byte : bytes) token += fmt::format("{:02x}", byte);
  return token;
}

// Takes as long wherever they differ.
bool same_secret(const std::string& a, const std::string& b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

void answer_error(httplib::Response& response, int status, const std::string& line) {
  response.status = status;
  response.set_content(Json{{"error", line}}.dump(-1, ' ', false, Json::error_handler_t::replace),
                       "application/json");
}

// What a body asks, as arguments of --set. @throws InputError
std::vector<std::string> changes_of(const std::string& body, const Offer& offer) {
  const Json json = Json::parse(body, nullptr, false);
  const auto fail = [](const std::string& found, const std::string& expected) {
    throw InputError("the request", 0, found, expected);
  };
  if (!json.is_object() || json.size() != 1 || !json.contains("edits") || !json["edits"].is_array() ||
      json["edits"].size() > kMostEdits)
    fail("no question", fmt::format("{{\"edits\": [...]}} with at most {} of them", kMostEdits));
  std::vector<std::string> changes;
  for (const Json& edit : json["edits"]) {
    if (!edit.is_object() || edit.size() != 2 || !edit.contains("path") || !edit["path"].is_string() ||
        !edit.contains("value") || !edit["value"].is_string())
      fail("no edit", "{\"path\": text, \"value\": text}");
    const std::string path = edit["path"], value = edit["value"];
    if (!offer.has_path(path)) fail(path + ": is not offered", "a path that the page changes");
    if (!offer.takes(path, value))
      fail(path + ": no such value", "a short quantity, or a platform of the list");
    changes.push_back(path + "=" + value);
  }
  return changes;
}

}  // namespace

class ExploreServer::Implementation {
 public:
  explicit Implementation(ServerSettings settings) : settings_(std::move(settings)) {
    // Without the library's SO_REUSEPORT, by which another process could share the port.
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    // One more than can ask, to tell the next that it is one too many, and some for the page.
    server_.new_task_queue = [] { return new httplib::ThreadPool(kMostRunning + kMostWaiting + 4); };
    server_.set_payload_max_length(kMostBody);
    server_.set_keep_alive_max_count(1);  // what follows a refused request's head may be the rest of its body
    server_.set_default_headers(
        {{"Cache-Control", "no-store"},
         {"X-Content-Type-Options", "nosniff"},
         {"Referrer-Policy", "no-referrer"},
         {"Cross-Origin-Opener-Policy", "same-origin"},
         {"Cross-Origin-Resource-Policy", "same-origin"},
         {"Content-Security-Policy",
          "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
          "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
          "frame-ancestors 'none'"}});
    server_.set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      return let_in(request, response) ? httplib::Server::HandlerResponse::Unhandled
                                       : httplib::Server::HandlerResponse::Handled;
    });
    server_.set_exception_handler(
        [](const httplib::Request&, httplib::Response& response, std::exception_ptr error) {
          try {
            std::rethrow_exception(error);
          } catch (const std::exception& e) {
            answer_error(response, 500, e.what());
          } catch (...) {
            answer_error(response, 500, "an exception that is no std::exception");
          }
        });
    server_.Get("/", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(settings_.page, "text/html; charset=utf-8");
    });
    server_.Post("/ask", [this](const httplib::Request& request, httplib::Response& response) {
      ask(request, response);
    });
    port_ = settings_.port == 0                           ? server_.bind_to_any_port(kHost)
            : server_.bind_to_port(kHost, settings_.port) ? settings_.port
                                                          : -1;
    if (port_ < 0)
      throw InputError(fmt::format("--port {}", settings_.port), 0, "cannot be listened to",
                       "a free port, or 0 for any");
    thread_ = std::thread([this] { listen(); });
  }

  ~Implementation() {
    stop_ = true;
    gate_.close();
    // In vain while it does not listen yet.
    while (!ended_) {
      server_.stop();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    thread_.join();
  }

  std::string url() const { return fmt::format("http://127.0.0.1:{}/?token={}", port_, token_); }

 private:
  // The library gives up its socket when a connection is gone before it was accepted.
  void listen() {
    server_.listen_after_bind();
    while (!stop_) {
      if (server_.bind_to_port(kHost, port_)) server_.listen_after_bind();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    ended_ = true;
  }

  // Before a body is read.
  bool let_in(const httplib::Request& request, httplib::Response& response) const {
    const std::string host = request.get_header_value("Host");
    const auto refuse = [&](int status, const std::string& line) {
      answer_error(response, status, line);
      return false;
    };
    if (request.get_header_value_count("Host") != 1 ||
        (host != fmt::format("127.0.0.1:{}", port_) && host != fmt::format("localhost:{}", port_)))
      return refuse(403, "Host: not this machine");
    const std::string token = request.has_header("X-SpecMoE-Token")
                                  ? request.get_header_value("X-SpecMoE-Token")
                                  : request.get_param_value("token");
    if (!same_secret(token, token_))
      return refuse(403, "token: missing or wrong; the address that specmoe explore printed has it");
    if (request.method != "POST") return true;
    // The library bounds only a body whose length is told, and would unpack one that is packed.
    if (!request.has_header("Content-Length") || request.has_header("Transfer-Encoding"))
      return refuse(411, "Content-Length: missing");
    if (request.get_header_value("Content-Type") != "application/json" ||
        request.has_header("Content-Encoding"))
      return refuse(415, "Content-Type: not application/json");
    return true;
  }

  void ask(const httplib::Request& request, httplib::Response& response) {
    std::vector<std::string> command = settings_.command;
    try {
      for (std::string& change : changes_of(request.body, settings_.offer))
        command.insert(command.end(), {"--set", std::move(change)});
    } catch (const InputError& e) {
      return answer_error(response, 400, e.what());
    }
    const auto place = gate_.enter();
    if (!place) {
      if (stop_) return answer_error(response, 503, "specmoe explore is ending");
      return answer_error(response, 429, "too many questions at a time; ask again when one is answered");
    }
    struct Leave {
      Gate& gate;
      int place;
      ~Leave() { gate.leave(place); }
    } leave{gate_, *place};
    command.insert(command.end(), {"--writer", fmt::format("explore-{}", *place + 1)});
    ChildResult result = run_limited(command, settings_.limit, stop_);
    if (result.end == ChildResult::End::stopped)
      return answer_error(response, 503, "specmoe explore is ending");
    if (result.end == ChildResult::End::timed_out)
      return answer_error(response, 504,
                          fmt::format("took longer than {:g} s and was ended (--limit)",
                                      std::chrono::duration<double>(settings_.limit).count()));
    if (result.status == 0) return response.set_content(result.out, "application/json");
    while (result.err.ends_with('\n')) result.err.pop_back();
    if (result.status == 2) return answer_error(response, 400, result.err);
    answer_error(response, 500,
                 fmt::format("the simulator ended with status {}: {}", result.status, result.err));
  }

  const ServerSettings settings_;
  const std::string token_ = random_token();
  Gate gate_{kMostRunning, kMostWaiting};
  std::atomic<bool> stop_ = false, ended_ = false;
  int port_ = -1;
  httplib::Server server_;
  std::thread thread_;
};

ExploreServer::ExploreServer(ServerSettings settings)
    : implementation_(std::make_unique<Implementation>(std::move(settings))) {}
ExploreServer::~ExploreServer() = default;

std::string ExploreServer::url() const { return implementation_->url(); }

}  // namespace specmoe
