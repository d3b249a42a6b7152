// Runs a fuzz target without libFuzzer: on every seed, then on seeded mutations of each. For compilers that have no
// libFuzzer; blind, so it finds what is near the seeds.
//
//   <target>_fuzz CORPUS [--dictionary FILE] [--mutations N] [--seconds S] [--seed N]
//   <target>_fuzz FILE      runs that file alone
//
// Ends with 1 when nothing could be run. An input that ends the program, or takes more than 10 s, lies in
// <target>_fuzz.found afterwards.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "sim/base/random.hpp"
#include "tests/fuzz/fuzz.hpp"

extern "C" __attribute__((weak)) int LLVMFuzzerInitialize(int* argc, char*** argv);

namespace {

using Bytes = std::string;

std::string found_file;  // where the present input goes if it ends the program
Bytes present;

extern "C" void keep_input(int signal) {
  const int fd = ::open(found_file.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644);
  if (fd >= 0 && ::write(fd, present.data(), present.size()) >= 0) ::close(fd);
  const char text[] = "fuzz: an input ended the program, or took more than 10 s; it was written to ";
  if (::write(2, text, sizeof text - 1) > 0 && ::write(2, found_file.data(), found_file.size()) > 0) {
  }
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

void run(const Bytes& input) {
  present = input;
  ::alarm(10);
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(present.data()), present.size());
  ::alarm(0);
}

Bytes content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The words in quotes of a libFuzzer dictionary; \xAB is a byte.
std::vector<Bytes> dictionary(const std::filesystem::path& file) {
  std::vector<Bytes> words;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const auto first = line.find('"'), last = line.rfind('"');
    if (line.starts_with('#') || first == last) continue;
    Bytes word;
    for (std::size_t i = first + 1; i < last; ++i) {
      if (line[i] == '\\' && line[i + 1] == 'x') {
        word += static_cast<char>(std::stoi(line.substr(i + 2, 2), nullptr, 16));
        i += 3;
      } else {
        word += line[i] == '\\' ? line[++i] : line[i];
      }
    }
    words.push_back(word);
  }
  return words;
}

Bytes mutated(Bytes input, const std::vector<Bytes>& seeds, const std::vector<Bytes>& words,
              specmoe::Random& random) {
  const auto below = [&](std::size_t count) { return static_cast<std::size_t>(random.below(count)); };
  for (std::size_t edits = 1 + below(4); edits > 0; --edits) {
    const std::size_t at = below(input.size() + 1), length = std::min(below(32), input.size() - at);
    switch (below(8)) {
      case 0:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ 1 << below(8));
        break;
      case 1:
        if (at < input.size()) input[at] = static_cast<char>(below(256));
        break;
      case 2:
        input.erase(at, length);
        break;
      case 3:
        input.insert(below(input.size() + 1), input.substr(at, length));
        break;
      case 4:
        input.replace(at, std::min<std::size_t>(8, input.size() - at), 8, static_cast<char>(below(2) * 255));
        break;
      case 5:
        if (!words.empty()) input.replace(at, below(2) * length, words[below(words.size())]);
        break;
      case 6:
        if (below(4) == 0) input.resize(at);
        break;
      default: {
        const Bytes& other = seeds[below(seeds.size())];
        const std::size_t from = below(other.size() + 1);
        input.replace(at, length, other.substr(from, below(64)));
      }
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 1;
  found_file = std::string(argv[0]) + ".found";
  for (const int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGALRM}) ::signal(signal, keep_input);
  if (LLVMFuzzerInitialize) LLVMFuzzerInitialize(&argc, &argv);
  std::vector<Bytes> words;
  double seconds = 8;
  std::size_t mutations = 4000;
  std::uint64_t first = 1;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string option = argv[i], value = argv[i + 1];
    if (option == "--dictionary") words = dictionary(value);
    if (option == "--mutations") mutations = std::stoul(value);
    if (option == "--seconds") seconds = std::stod(value);
    if (option == "--seed") first = std::stoull(value);
  }
  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_directory(argv[1]))
    for (const auto& entry : std::filesystem::directory_iterator(argv[1])) files.push_back(entry.path());
  else
    files.push_back(argv[1]);
  std::sort(files.begin(), files.end());
  std::vector<Bytes> seeds;
  for (const auto& file : files) seeds.push_back(content(file));
  for (const Bytes& seed : seeds) run(seed);
  std::size_t executions = seeds.size();
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  specmoe::Random random(first);
  if (std::filesystem::is_directory(argv[1]))
    for (std::size_t i = 0; i < mutations && std::chrono::steady_clock::now() < end; ++i)
      for (const Bytes& seed : seeds) {
        run(mutated(seed, seeds, words, random));
        ++executions;
      }
  std::printf("%zu seeds, %zu executions\n", seeds.size(), executions);
  return seeds.empty() ? 1 : 0;
}
