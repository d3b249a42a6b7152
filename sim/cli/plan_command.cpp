#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <thread>

#include "sim/base/input_error.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/terminal.hpp"
#include "sim/planner/advice.hpp"
#include "sim/study/whatif.hpp"

namespace specmoe {

namespace {

struct Options {
  Question question;
  std::string host_memory, format = "text";
  std::int64_t batch = 0;
  double target = 0;
  std::vector<std::string> changes;
  int jobs = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
};

void run(const Options& options) {
  Question question = options.question;
  if (options.batch > 0) question.batch = options.batch;
  if (options.target > 0) question.target = options.target;
  if (!options.host_memory.empty())
    question.host_memory = Yaml::parse("\"" + options.host_memory + "\"", "--host-memory").bytes({1});
  for (const std::string& change : options.changes) question.changes.push_back(parse_edit(change));
  const Progress progress;
  AdviceOptions how;
  how.jobs = options.jobs;
  how.say = [&](const std::string& what) { progress.note(what); };
  const Advice advice = advise(question, how);
  progress.clear();
  fmt::print("{}", options.format == "json" ? advice_json(advice) : advice_text(advice));
}

}  // namespace

void add_plan_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  Question& question = options->question;
  CLI::App* command =
      app.add_subcommand("plan", "Will this model run on that machine, how fast, and how to set it up");
  command->add_option("--model", question.model, "A model's name or file")->required();
  command->add_option("--platform", question.platform, "A platform's name or file")->required();
  command->add_option("--context", question.context, "Positions of a sequence, prompt and answer together")
      ->check(CLI::Range(std::int64_t{2}, std::int64_t{10'000'000}))
      ->capture_default_str();
  command->add_option("--output", question.output, "Of these, decoded tokens")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{10'000'000}))
      ->capture_default_str();
  command->add_option("--batch", options->batch, "Sequences at a time; default 1, and the best is looked for")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{4096}));
  command->add_option("--target", options->target, "Decoded tokens a second that are wanted, in all")
      ->check(CLI::Range(1e-6, 1e9));
  command->add_option("--host-memory", options->host_memory, "In place of the platform's, e.g. \"64 GB\"");
  command
      ->add_option("--set", options->changes,
                   "PATH=VALUE, below platform. or model.; \"x2\" doubles what is there")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--format", options->format, "What to print")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->add_option("--jobs", options->jobs, "Simulations at a time")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command->callback([options] { run(*options); });
}

}  // namespace specmoe
