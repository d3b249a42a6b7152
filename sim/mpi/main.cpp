// specmoe-mpi: a study on the ranks of an MPI job. Rank 0 hands out runs, one at a time, to whoever is free, and is the
// only one that writes; every other rank simulates in children of its own, so that a broken simulation costs a run and no
// rank. MPI ends the job when a rank dies: the journal keeps what had ended, and the same command goes on.
//
//   mpirun -n 9 specmoe-mpi scenarios/studies/seed-strategies.yaml
#include <mpi.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstring>
#include <thread>

#include "sim/base/input_error.hpp"
#include "sim/base/isolated.hpp"
#include "sim/cli/run_study.hpp"
#include "sim/cli/terminal.hpp"
#include "sim/study/conduct.hpp"

namespace specmoe {
namespace {

enum Tag { kFree, kEnded, kFailed, kRun };

// Of the message from any rank that comes first. MPI's own waiting keeps a core busy, which a simulation could use.
MPI_Status wait_for_message(const std::function<void()>& tick) {
  using clock = std::chrono::steady_clock;
  auto ticked = clock::now();
  MPI_Status status;
  for (int here = 0;;) {
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &here, &status);
    if (here) return status;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    if (clock::now() - ticked < std::chrono::milliseconds(500)) continue;
    tick();
    ticked = clock::now();
  }
}

// A message of a rank that simulates: the number of a run, and its result or why it failed.
void distribute(const Study&, const Plan&, const Work& work) {
  int ranks = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  for (int busy = ranks - 1; busy > 0;) {
    const MPI_Status status = wait_for_message(work.tick);
    int size = 0;
    MPI_Get_count(&status, MPI_BYTE, &size);
    std::string message(static_cast<std::size_t>(size), '\0');
    MPI_Recv(message.data(), size, MPI_BYTE, status.MPI_SOURCE, status.MPI_TAG, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
    if (status.MPI_TAG != kFree) {
      std::int64_t run = 0;
      std::memcpy(&run, message.data(), sizeof run);
      (status.MPI_TAG == kEnded ? work.ended : work.failed)(run, message.substr(sizeof run));
    }
    const std::int64_t next = work.next();
    if (next < 0) --busy;
    MPI_Send(&next, 1, MPI_INT64_T, status.MPI_SOURCE, kRun, MPI_COMM_WORLD);
  }
}

void simulate_for_rank_0(const Study& study, const Plan& plan) {
  std::string message;
  Tag tag = kFree;
  for (;;) {
    MPI_Send(message.data(), static_cast<int>(message.size()), MPI_BYTE, 0, tag, MPI_COMM_WORLD);
    std::int64_t run = -1;
    MPI_Recv(&run, 1, MPI_INT64_T, 0, kRun, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (run < 0) return;
    message.assign(reinterpret_cast<const char*>(&run), sizeof run);
    try {
      message += run_isolated(
          [&] { return simulate_run(study, plan, plan.runs[static_cast<std::size_t>(run)]).bytes(); });
      tag = kEnded;
    } catch (const std::exception& error) {
      message += error.what();
      tag = kFailed;
    }
  }
}

int run(int argc, char** argv, int rank) {
  CLI::App app("SpecMoE: a study on the ranks of an MPI job", "specmoe-mpi");
  StudyCommand command;
  add_study_options(app, command);
  try {
    app.parse(argc, argv);
    int ranks = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (ranks < 2)
      throw InputError("specmoe-mpi", 0, "one rank",
                       "at least two: rank 0 only hands out runs (mpirun -n N)");
    if (command.plan_only || !command.shard.empty())
      throw InputError("specmoe-mpi", 0, "--plan or --shard", "specmoe study for those");
    if (rank == 0) {
      run_study(command, distribute);
    } else {
      const Study study = Study::load(command.study);
      simulate_for_rank_0(study, Plan::make(study));
    }
    return 0;
  } catch (const CLI::ParseError& e) {
    if (rank == 0)
      return e.get_exit_code() == 0 ? app.exit(e) : (say(std::string("specmoe-mpi: ") + e.what() + "\n"), 2);
    return e.get_exit_code() == 0 ? 0 : 2;
  } catch (const InputError& e) {
    if (rank == 0) say(std::string(e.what()) + "\n");
    return 2;
  } catch (const std::exception& e) {
    say(std::string("specmoe-mpi: ") + e.what() + "\n");
    return 1;
  }
}

}  // namespace
}  // namespace specmoe

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  const int status = specmoe::run(argc, argv, rank);
  // Ranks that wait for this one would wait for ever.
  if (status != 0) MPI_Abort(MPI_COMM_WORLD, status);
  MPI_Finalize();
  return status;
}
