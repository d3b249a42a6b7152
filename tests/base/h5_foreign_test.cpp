// Files that HDF5 can write and no writer of ours does.
#include <doctest/doctest.h>
#include <hdf5.h>

#include "sim/base/h5.hpp"
#include "tests/moe/trace_helpers.hpp"
#include "validation/calibration/measurement.hpp"

using namespace specmoe;

namespace {

// A file with /numbers = 1, 2, 3 and what `change` adds; the error of reading `path`.
template <class Change>
std::string refusal(const char* path, Change change) {
  const TemporaryFolder folder;
  const std::string name = (folder / "f.h5").string();
  { H5File::create(name).write("/numbers", std::vector<std::int64_t>{1, 2, 3}); }
  const hid_t file = H5Fopen(name.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  change(file);
  H5Fclose(file);
  const std::string message = message_of([&] { H5File::open(name).read<std::int64_t>(path); });
  return message.substr(std::min(message.size(), name.size()));
}

void add(hid_t file, const char* path, hid_t type, hid_t properties, std::vector<hsize_t> dims = {3}) {
  const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
  H5Dclose(H5Dcreate2(file, path, type, space, H5P_DEFAULT, properties, H5P_DEFAULT));
  H5Sclose(space);
}

}  // namespace

TEST_CASE("hdf5: a soft or external link is not followed, which could read any file of the user's") {
  CHECK(refusal("/numbers", [](hid_t) {}) == "");
  CHECK(refusal("/soft", [](hid_t file) {
          H5Lcreate_soft("/numbers", file, "/soft", H5P_DEFAULT, H5P_DEFAULT);
        }) == ": /soft: is a link to elsewhere; expected data in the file");
  CHECK(refusal("/a/b", [](hid_t file) {
          H5Lcreate_external("/other.h5", "/a", file, "/a", H5P_DEFAULT, H5P_DEFAULT);
        }) == ": /a: is a link to elsewhere; expected data in the file");
}

TEST_CASE("hdf5: data of other files are not read, which could be any file of the user's") {
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(properties, "/etc/hostname", 0, H5F_UNLIMITED);
  CHECK(refusal("/host", [&](hid_t file) { add(file, "/host", H5T_NATIVE_INT64, properties); }) ==
        ": /host: its data lie in another file; expected data in the file");
  H5Pclose(properties);
}

TEST_CASE("hdf5: filters that no writer uses are refused by their number") {
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = 3;
  H5Pset_chunk(properties, 1, &chunk);
  H5Pset_nbit(properties);
  CHECK(refusal("/packed", [&](hid_t file) { add(file, "/packed", H5T_NATIVE_INT64, properties); }) ==
        ": /packed: packed with HDF5's filter 5; expected shuffle, deflate (gzip) and fletcher32 at most");
  H5Pclose(properties);
}

TEST_CASE("hdf5: a shape or a chunk that claims more than the file holds asks for no memory") {
  CHECK(refusal("/huge", [](hid_t file) {
          add(file, "/huge", H5T_NATIVE_INT64, H5P_DEFAULT, {1 << 20, 1 << 20});
        }) == ": /huge: its shape claims more than the file holds; expected a complete HDF5 file");
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = 1 << 27, extent = 3, most = H5S_UNLIMITED;  // 1 GiB for three numbers
  H5Pset_chunk(properties, 1, &chunk);
  CHECK(refusal("/chunk", [&](hid_t file) {
          const hid_t space = H5Screate_simple(1, &extent, &most);
          H5Dclose(H5Dcreate2(file, "/chunk", H5T_NATIVE_INT64, space, H5P_DEFAULT, properties, H5P_DEFAULT));
          H5Sclose(space);
        }) == ": /chunk: its shape claims more than the file holds; expected a complete HDF5 file");
  H5Pclose(properties);
}

TEST_CASE("hdf5: numbers that no machine has, on which HDF5 1.10 overran its stack, are refused") {
  const hid_t type = H5Tcopy(H5T_IEEE_F64LE);
  H5Tset_fields(type, 15, 10, 5, 0, 9);  // a mantissa of 9 bits where float16 has 10
  H5Tset_precision(type, 16);
  H5Tset_size(type, 2);
  CHECK(refusal("/odd", [&](hid_t file) { add(file, "/odd", type, H5P_DEFAULT); }) ==
        ": /odd: cannot be read (corrupt, truncated, or of another type); expected a complete HDF5 file");
  H5Tclose(type);
}

TEST_CASE("measurement: a group that stands in itself is an error, and ended with a full stack") {
  const TemporaryFolder folder;
  const std::string name = (folder / "m.h5").string();
  Measurement measurement;
  measurement.about = {{"gpu", "g"}};
  measurement.experiments["copy/one"] = {"d", {"n"}, {{{1}, {0.5}, 0}}};
  measurement.write(name);
  const hid_t file = H5Fopen(name.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  H5Lcreate_hard(file, "/copy", file, "/copy/again", H5P_DEFAULT, H5P_DEFAULT);
  H5Fclose(file);
  CHECK(message_of([&] { Measurement::read(name); }).find("more than 10 levels") != std::string::npos);
}
