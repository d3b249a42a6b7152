#include "sim/study/journal.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "sim/base/input_error.hpp"
#include "tests/temporary_folder.hpp"

using namespace specmoe;

TEST_CASE("journal: what was appended is there for the next, whatever else was begun") {
  const TemporaryFolder folder;
  const auto file = folder / "w.journal";
  {
    Journal journal(folder / "", "w");
    journal.append(1, "one");
    journal.append(2, "");
    journal.append(3, std::string(100'000, 'x'));
    CHECK(journal.read(3).size() == 100'000);
  }
  const auto whole = std::filesystem::file_size(file);
  // Cut at every length within the last record and a bit before: the records that are whole are there.
  for (const std::uintmax_t cut : {whole - 1, whole - 50'000, whole - 100'000, whole - 100'020}) {
    std::filesystem::resize_file(file, cut);
    Journal journal(folder / "", "w");
    CHECK(journal.size() == 2);
    CHECK(journal.read(1) == "one");
    CHECK(journal.read(2).empty());
    CHECK_FALSE(journal.has(3));
    journal.append(3, std::string(100'000, 'y'));
    CHECK(journal.read(3) == std::string(100'000, 'y'));
  }
}

TEST_CASE("journal: a record that was damaged counts as not there") {
  const TemporaryFolder folder;
  {
    Journal journal(folder / "", "w");
    journal.append(1, "one");
    journal.append(2, "two");
  }
  {
    std::fstream file(folder / "w.journal", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('!');
  }
  {
    Journal journal(folder / "", "w");
    CHECK(journal.has(1));
    CHECK_FALSE(journal.has(2));
    journal.append(3, "three");
    journal.append(2, "again");
  }
  // What stands behind it does count.
  const Journal journal(folder / "", "w");
  CHECK(journal.read(3) == "three");
  CHECK(journal.read(2) == "again");
}

TEST_CASE("journal: several write side by side, each under its name") {
  const TemporaryFolder folder;
  Journal a(folder / "", "a"), b(folder / "", "b");
  a.append(1, "one");
  b.append(2, "two");
  Journal all(folder / "", "c");
  CHECK(all.read(1) == "one");
  CHECK(all.read(2) == "two");
  CHECK_THROWS_WITH_AS(
      Journal(folder / "", "a"),
      doctest::Contains("a.journal: another study is writing here; expected its end, or another --out"),
      InputError);
}
