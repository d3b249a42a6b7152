#include "sim/base/h5.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <fstream>
#include <limits>
#include <sstream>

#include "sim/base/random.hpp"
#include "tests/moe/trace_helpers.hpp"

using namespace specmoe;

namespace {

std::string bytes_of(const std::filesystem::path& file) {
  std::ostringstream bytes;
  bytes << std::ifstream(file, std::ios::binary).rdbuf();
  return bytes.str();
}

// 40,000 numbers that do not compress well: 160 kB in which flipped bytes hit data, not structure.
std::vector<std::int32_t> noise() {
  Random random(1);
  std::vector<std::int32_t> values(40'000);
  for (auto& value : values) value = static_cast<std::int32_t>(random.below(1'000'000'000));
  return values;
}

}  // namespace

TEST_CASE_TEMPLATE("h5: values of each type come back as they were, at the ends of their range too", T,
                   std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t, std::uint32_t,
                   std::int64_t, float, double) {
  const TemporaryFolder folder;
  const std::vector<T> values{std::numeric_limits<T>::lowest(), T{0}, T{1}, std::numeric_limits<T>::max()};
  {
    auto file = H5File::create(folder / "a.h5");
    file.write("/values", values);
    file.write<T>("/deep/er/square", values, {2, 2});
    file.write("/none", std::vector<T>{});
  }
  const auto file = H5File::open(folder / "a.h5");
  CHECK(file.read<T>("/values") == values);
  CHECK(file.read<T>("/deep/er/square") == values);
  CHECK((file.shape("/deep/er/square") == std::vector<std::int64_t>{2, 2}));
  CHECK(file.read<T>("/none").empty());
}

TEST_CASE("h5: reading converts between types, and clips what does not fit") {
  const TemporaryFolder folder;
  auto file = H5File::create(folder / "a.h5");
  file.write("/values", std::vector<std::int32_t>{-1, 7, 70'000});
  CHECK((file.read<double>("/values") == std::vector<double>{-1, 7, 70'000}));
  CHECK((file.read<std::int16_t>("/values") == std::vector<std::int16_t>{-1, 7, 32'767}));
}

TEST_CASE("h5: a large dataset is compressed and comes back whole") {
  const TemporaryFolder folder;
  std::vector<std::int32_t> values(300'000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int32_t>(i % 100);
  {
    auto file = H5File::create(folder / "a.h5");
    file.write("/values", values);
    file.write<std::int32_t>("/table", values, {1000, 300});
  }
  CHECK(std::filesystem::file_size(folder / "a.h5") < 200'000);  // 2.4 MB of values
  const auto file = H5File::open(folder / "a.h5");
  CHECK(file.read<std::int32_t>("/values") == values);
  CHECK(file.read<std::int32_t>("/table") == values);
}

TEST_CASE("h5: strings come back, empty, long and foreign ones too") {
  const TemporaryFolder folder;
  const std::vector<std::string> texts{"", "a", "größer", std::string(100'000, 'x'), "two\nlines"};
  {
    auto file = H5File::create(folder / "a.h5");
    file.write_strings("/texts", texts);
    file.write_strings("/none", {});
    file.write("/numbers", std::vector<std::int32_t>{1});
  }
  const auto file = H5File::open(folder / "a.h5");
  CHECK(file.read_strings("/texts") == texts);
  CHECK(file.read_strings("/none").empty());
  CHECK(message_of([&] { file.read_strings("/numbers"); }) ==
        file.name() + ": /numbers: cannot be read as text; expected a complete HDF5 file");
  CHECK(message_of([&] { file.read<double>("/texts"); }) != "");
}

TEST_CASE("h5: rows are read alone") {
  const TemporaryFolder folder;
  auto file = H5File::create(folder / "a.h5");
  std::vector<std::int16_t> values(3000 * 2);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int16_t>(i);
  file.write<std::int16_t>("/rows", values, {3000, 2});
  std::vector<std::int16_t> out(4);
  file.read_rows<std::int16_t>("/rows", 1999, 2, out);
  CHECK((out == std::vector<std::int16_t>{3998, 3999, 4000, 4001}));
  file.read_rows<std::int16_t>("/rows", 2998, 2, out);
  CHECK(out.back() == 5999);
  CHECK_NOTHROW(file.read_rows<std::int16_t>("/rows", 3000, 0, {}));
  CHECK(message_of([&] { file.read_rows<std::int16_t>("/rows", 2999, 2, out); }) ==
        file.name() + ": /rows: rows 2999 to 3000 of 3000 asked for");
  CHECK(message_of([&] { file.read_rows<std::int16_t>("/rows", -1, 2, out); }) != "");
  CHECK_THROWS_AS(file.read_rows<std::int16_t>("/rows", 0, 1, out), std::logic_error);
}

TEST_CASE("h5: a dataset grows across many chunks, whatever the pieces") {
  const TemporaryFolder folder;
  constexpr int rows = 20'000;  // a chunk holds at most 4096
  {
    auto file = H5File::create(folder / "a.h5");
    H5Growing one_by_one(file, "/g/times", H5Growing::Type::float64);
    H5Growing table(file, "/g/table", H5Growing::Type::int16, {2, 3});
    H5Growing moved_from(file, "/g/int64", H5Growing::Type::int64);
    H5Growing moved(std::move(moved_from));
    for (int i = 0; i < rows; ++i) {
      one_by_one.append(i * 0.5);
      moved.append(std::int64_t{i} << 40);
    }
    std::vector<std::int16_t> piece;
    for (std::int16_t i = 0, size = 1; i < rows; size = static_cast<std::int16_t>(size * 2)) {
      piece.clear();
      for (std::int16_t j = 0; j < size && i < rows; ++j, ++i) piece.insert(piece.end(), 6, i);
      table.append(std::span<const std::int16_t>(piece));
    }
    H5Growing(file, "/g/none", H5Growing::Type::int32);
  }
  const auto file = H5File::open(folder / "a.h5");
  CHECK((file.shape("/g/table") == std::vector<std::int64_t>{rows, 2, 3}));
  CHECK((file.shape("/g/none") == std::vector<std::int64_t>{0}));
  const auto times = file.read<double>("/g/times");
  const auto table = file.read<std::int16_t>("/g/table");
  const auto wide = file.read<std::int64_t>("/g/int64");
  REQUIRE(times.size() == rows);
  REQUIRE(wide.size() == rows);
  for (std::size_t i = 0; i < rows; ++i) {
    REQUIRE(times[i] == static_cast<double>(i) * 0.5);
    REQUIRE(wide[i] == static_cast<std::int64_t>(i) << 40);
    REQUIRE(table[6 * i] == static_cast<std::int16_t>(i));
    REQUIRE(table[6 * i + 5] == static_cast<std::int16_t>(i));
  }
}

TEST_CASE("h5: what was appended is in the file once it is flushed") {
  const TemporaryFolder folder;
  auto file = H5File::create(folder / "a.h5");
  H5Growing growing(file, "/x", H5Growing::Type::float32);
  growing.append(1.5);
  CHECK((file.shape("/x") == std::vector<std::int64_t>{0}));
  growing.flush();
  CHECK(file.read<float>("/x") == std::vector<float>{1.5F});
  growing.append(std::int64_t{2});  // an integer in a dataset of floats
  growing.flush();
  CHECK((file.read<float>("/x") == std::vector<float>{1.5F, 2}));
}

TEST_CASE("h5: half a row is not appended") {
  const TemporaryFolder folder;
  auto file = H5File::create(folder / "a.h5");
  H5Growing growing(file, "/x", H5Growing::Type::int16, {2});
  CHECK_THROWS_AS(growing.append(1.0), std::logic_error);
  growing.append(std::span<const double>(std::vector<double>{1, 2}));
  growing.flush();
  CHECK((file.read<std::int16_t>("/x") == std::vector<std::int16_t>{1, 2}));
}

TEST_CASE("h5: attributes of file, group and dataset, replaced and removed") {
  const TemporaryFolder folder;
  const std::string long_text(200'000, 'y');
  {
    auto file = H5File::create(folder / "a.h5");
    file.write("/data", std::vector<double>{1});
    file.set("/", "model", "qwen");
    file.set("/made/on the way", "seed", std::int64_t{1} << 60);
    file.set("/data", "unit", std::string("s"));
    file.set("/data", "unit", "ms");
    file.set("/data", "share", 0.25);
    file.set("/data", "gone", 1.0);
    file.remove("/data", "gone");
    file.remove("/data", "never there");
    file.set("/", "scenario", long_text);
    file.set("/", "empty", "");
  }
  const auto file = H5File::open(folder / "a.h5");
  CHECK(file.get_string("/", "model") == "qwen");
  CHECK(file.get_integer("/made/on the way", "seed") == std::int64_t{1} << 60);
  CHECK(file.get_string("/data", "unit") == "ms");
  CHECK(file.get_number("/data", "share") == 0.25);
  CHECK(file.get_string("/", "scenario") == long_text);
  CHECK(file.get_string("/", "empty").empty());
  CHECK(file.has("/data", "share"));
  CHECK_FALSE(file.has("/data", "gone"));
  CHECK_FALSE(file.has("/nobody", "x"));
}

TEST_CASE("h5: an attribute that is missing or of another type is an error that names it") {
  const TemporaryFolder folder;
  const auto write = [&] {
    auto file = H5File::create(folder / "a.h5");
    file.set("/", "text", "x");
    file.set("/", "half", 0.5);
    file.set("/", "seven", std::int64_t{7});
  };
  write();
  auto file = H5File::open(folder / "a.h5");
  CHECK(file.get_number("/", "seven") == 7);  // an integer is a number, but not the other way
  CHECK(message_of([&] { file.get_integer("/", "half"); }) ==
        file.name() + ": /: attribute \"half\" is no integer");
  CHECK(message_of([&] { file.get_string("/", "half"); }) ==
        file.name() + ": /: attribute \"half\" is no text");
  CHECK(message_of([&] { file.get_number("/", "text"); }) ==
        file.name() + ": /: attribute \"text\" is no number");
  CHECK(message_of([&] { file.get_integer("/x", "y"); }) == file.name() + ": /x: attribute \"y\" is missing");
  CHECK(message_of([&] { file.set("/", "text", "y"); }) ==  // opened for reading
        file.name() + ": /: attribute \"text\" cannot be written; expected free space");
}

TEST_CASE("h5: groups list their names in order - what is there exists") {
  const TemporaryFolder folder;
  auto file = H5File::create(folder / "a.h5");
  for (const char* name : {"/runs/lru", "/runs/belady", "/runs/zero/deep"})
    file.write(name, std::vector<double>{1});
  CHECK((file.list("/runs") == std::vector<std::string>{"belady", "lru", "zero"}));
  CHECK(file.list("/") == std::vector<std::string>{"runs"});
  for (const char* path : {"/", "/runs", "/runs/zero/deep"}) CHECK(file.exists(path));
  for (const char* path : {"/run", "/runs/zero/deeper", "/runs/lru/below", "/x/y"})
    CHECK_FALSE(file.exists(path));
  CHECK(message_of([&] { file.list("/nobody"); }) == file.name() + ": /nobody: no such group");
  CHECK(message_of([&] { file.read<double>("/nobody"); }) ==
        file.name() + ": /nobody: no such dataset; expected it in the file");
  CHECK(message_of([&] { file.write("/runs/lru", std::vector<double>{2}); }) ==
        file.name() + ": /runs/lru: cannot be written; expected free space and a new name");
  CHECK_THROWS_AS((file.write<double>("/two", std::vector<double>{1, 2}, {3})), std::logic_error);
}

TEST_CASE("h5: a group is copied with all below it into another file") {
  const TemporaryFolder folder;
  auto from = H5File::create(folder / "a.h5");
  from.write("/run/times", noise());
  from.write_strings("/run/deep/notes", {"n"});
  from.set("/run", "seed", std::int64_t{5});
  auto to = H5File::create(folder / "b.h5");
  to.copy_from(from, "/run", "/runs/first");
  CHECK(to.read<std::int32_t>("/runs/first/times") == noise());
  CHECK(to.read_strings("/runs/first/deep/notes").front() == "n");
  CHECK(to.get_integer("/runs/first", "seed") == 5);
  CHECK(message_of([&] { to.copy_from(from, "/nobody", "/x"); }) ==
        to.name() + ": /nobody cannot be copied from " + from.name());
}

TEST_CASE("h5: the same writes give the same bytes") {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name) {
    auto file = H5File::create(folder / name);
    file.write("/deep/noise", noise());
    file.write("/small", std::vector<double>{1, 2});
    file.write_strings("/texts", {"a", "bc"});
    H5Growing growing(file, "/deep/growing", H5Growing::Type::float32, {2});
    for (int i = 0; i < 10'000; ++i) growing.append(std::span<const double>(std::vector<double>{1.0 * i, 2}));
    file.set("/deep", "seed", std::int64_t{1});
    file.set("/", "text", "x");
  };
  write("a.h5");
  write("b.h5");
  CHECK(std::filesystem::file_size(folder / "a.h5") > 100'000);
  CHECK((bytes_of(folder / "a.h5") == bytes_of(folder / "b.h5")));
}

TEST_CASE("h5: a file carries no date") {
  const TemporaryFolder folder;
  const auto before = static_cast<std::uint32_t>(std::time(nullptr));
  {
    auto file = H5File::create(folder / "a.h5");
    file.write("/group/data", std::vector<double>(1000));
    H5Growing(file, "/growing", H5Growing::Type::float32);
    file.write_strings("/texts", {"a"});
  }
  const auto after = static_cast<std::uint32_t>(std::time(nullptr));
  // HDF5 would keep the seconds since 1970 in four bytes beside each object.
  const std::string bytes = bytes_of(folder / "a.h5");
  for (std::size_t at = 0; at + 4 <= bytes.size(); ++at) {
    std::uint32_t value;
    std::memcpy(&value, bytes.data() + at, 4);
    REQUIRE_FALSE((value >= before && value <= after));
  }
}

TEST_CASE("h5: a file that is missing, a folder, no HDF5 or unwritable is named") {
  const TemporaryFolder folder;
  const auto opening = [&](const std::string& name) {
    return message_of([&] { H5File::open(folder / name); });
  };
  CHECK(opening("x.h5") == (folder / "x.h5").string() + ": no such file; expected an HDF5 file");
  CHECK(opening("") == (folder / "").string() + ": no such file; expected an HDF5 file");
  folder.write("x.h5", "");
  CHECK(opening("x.h5").find(": is no HDF5 file, or truncated; expected a complete HDF5 file") !=
        std::string::npos);
  folder.write("x.h5", std::string(5000, 'x'));
  CHECK(opening("x.h5").find(": is no HDF5 file") != std::string::npos);
  CHECK(message_of([&] { H5File::create(folder / "no/such/folder.h5"); }).find(": cannot be written") !=
        std::string::npos);
  CHECK(message_of([&] { H5File::modify(folder / "y.h5"); }).find(": cannot be opened for writing") !=
        std::string::npos);
}

TEST_CASE("h5: a file that was cut anywhere is refused") {
  const TemporaryFolder folder;
  H5File::create(folder / "a.h5").write("/noise", noise());
  const std::string whole = bytes_of(folder / "a.h5");
  for (const std::size_t size : {whole.size() - 1, whole.size() / 2, std::size_t{100}, std::size_t{8}}) {
    const auto cut = folder.write("cut.h5", whole.substr(0, size));
    CHECK(message_of([&] { H5File::open(cut); }) ==
          cut.string() + ": is no HDF5 file, or truncated; expected a complete HDF5 file");
  }
}

TEST_CASE("h5: flipped bytes in compressed data are noticed, by whole reads and by rows") {
  const TemporaryFolder folder;
  H5File::create(folder / "a.h5").write("/noise", noise());
  std::string bytes = bytes_of(folder / "a.h5");
  for (std::size_t i = 0; i < 4; ++i) bytes[bytes.size() / 2 + i] ^= '\x55';
  const auto bad = folder.write("bad.h5", bytes);
  const auto file = H5File::open(bad);
  const std::string refused =
      bad.string() +
      ": /noise: cannot be read (corrupt, truncated, or of another type); expected a complete HDF5 file";
  CHECK(message_of([&] { file.read<std::int32_t>("/noise"); }) == refused);
  std::vector<std::int32_t> row(1);
  CHECK(message_of([&] { file.read_rows<std::int32_t>("/noise", 20'000, 1, row); }) == refused);
}

TEST_CASE("h5: a damaged shape that claims a petabyte is refused before memory is asked for") {
  const TemporaryFolder folder;
  H5File::create(folder / "a.h5").write("/noise", noise());
  std::string bytes = bytes_of(folder / "a.h5");
  const auto little_endian = [](std::uint64_t n) {
    std::string out(8, '\0');
    std::memcpy(out.data(), &n, 8);
    return out;
  };
  int found = 0;  // the extent, 40,000, as the file keeps it
  for (auto at = bytes.find(little_endian(40'000)); at != std::string::npos;
       at = bytes.find(little_endian(40'000), at + 8), ++found)
    bytes.replace(at, 8, little_endian(std::uint64_t{1} << 48));
  REQUIRE(found > 0);
  const auto file = H5File::open(folder.write("bad.h5", bytes));
  CHECK(message_of([&] { file.read<std::int32_t>("/noise"); }) ==
        file.name() + ": /noise: its shape claims more than the file holds; expected a complete HDF5 file");
}
