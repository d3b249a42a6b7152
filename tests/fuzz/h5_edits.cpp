#include "tests/fuzz/h5_edits.hpp"

#include <hdf5.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "tests/temporary_folder.hpp"

namespace specmoe::fuzz {
namespace {

constexpr std::array<hsize_t, 12> kExtents{
    0, 1, 2, 3, 4, 8, 100, 65'536, hsize_t{1} << 31, hsize_t{1} << 40, 5, 1'000'000};

hid_t odd_type(Choices& choices) {
  const auto copy = [](hid_t type) { return H5Tcopy(type); };
  switch (choices.below(24)) {
    case 0:
      return copy(H5T_NATIVE_INT8);
    case 1:
      return copy(H5T_NATIVE_UINT8);
    case 2:
      return copy(H5T_NATIVE_INT16);
    case 3:
      return copy(H5T_NATIVE_UINT16);
    case 4:
      return copy(H5T_NATIVE_INT32);
    case 5:
      return copy(H5T_NATIVE_INT64);
    case 6:
      return copy(H5T_NATIVE_UINT64);
    case 7:
      return copy(H5T_NATIVE_FLOAT);
    case 8:
      return copy(H5T_NATIVE_DOUBLE);
    case 9:
      return copy(H5T_NATIVE_LDOUBLE);
    case 10:
      return copy(H5T_STD_I64BE);
    case 11:
      return copy(H5T_IEEE_F32BE);
    case 12:
      return copy(H5T_STD_REF_OBJ);
    case 13:
      return copy(H5T_STD_B16LE);
    case 14:
      return copy(H5T_UNIX_D32LE);
    case 15: {
      const hid_t type = copy(H5T_C_S1);
      H5Tset_size(type, H5T_VARIABLE);
      return type;
    }
    case 16: {
      const hid_t type = copy(H5T_C_S1);
      H5Tset_size(type, choices.below(2) ? 1 + choices.byte() : std::size_t{1} << 20);
      return type;
    }
    case 17: {
      const hid_t type = H5Tcreate(H5T_COMPOUND, 16);
      H5Tinsert(type, "a", 0, H5T_NATIVE_INT64);
      H5Tinsert(type, "b", 8, H5T_NATIVE_DOUBLE);
      return type;
    }
    case 18: {
      const hid_t type = H5Tcreate(H5T_ENUM, 1);
      const signed char value = 1;
      H5Tenum_insert(type, "TRUE", &value);
      return type;
    }
    case 19:
      return H5Tcreate(H5T_OPAQUE, 1 + choices.byte());
    case 20:
      return H5Tvlen_create(H5T_NATIVE_INT32);
    case 21: {
      const hsize_t extent = 1 + choices.below(4);
      return H5Tarray_create2(H5T_NATIVE_INT16, 1, &extent);
    }
    case 22: {
      const hid_t type = copy(H5T_NATIVE_INT64);
      H5Tset_size(type, 1 + choices.below(40));
      H5Tset_precision(type, 1 + choices.byte());
      H5Tset_offset(type, choices.byte());
      return type;
    }
    default: {
      const hid_t type = copy(H5T_IEEE_F64LE);
      H5Tset_fields(type, 15, 10, choices.below(11), 0, choices.below(11));
      H5Tset_precision(type, 16);
      H5Tset_size(type, 2);
      return type;
    }
  }
}

double odd_number(Choices& choices) {
  constexpr std::array<double, 10> kNumbers{0,
                                            -1,
                                            1,
                                            0.5,
                                            1e308,
                                            -1e308,
                                            1e-320,
                                            std::numeric_limits<double>::infinity(),
                                            std::numeric_limits<double>::quiet_NaN(),
                                            1e15};
  return kNumbers[choices.below(kNumbers.size())];
}

std::int64_t odd_integer(Choices& choices) {
  switch (choices.below(6)) {
    case 0:
      return static_cast<std::int8_t>(choices.byte());
    case 1:
      return std::int64_t{1} << choices.below(64);
    case 2:
      return INT64_MAX - choices.byte();
    case 3:
      return INT64_MIN + choices.byte();
    case 4:
      return (std::int64_t{1} << 31) - choices.below(3);
    default:
      return static_cast<std::int64_t>(choices.number());
  }
}

std::vector<hsize_t> shape_of(hid_t file, const std::string& path) {
  std::vector<hsize_t> dims(32);
  const hid_t dataset = H5Dopen2(file, path.c_str(), H5P_DEFAULT), space = H5Dget_space(dataset);
  dims.resize(static_cast<std::size_t>(std::max(0, H5Sget_simple_extent_dims(space, dims.data(), nullptr))));
  H5Sclose(space);
  H5Dclose(dataset);
  return dims;
}

void replace(hid_t file, const std::string& path, bool dataset, Choices& choices) {
  std::vector<hsize_t> dims;
  if (dataset) dims = shape_of(file, path);
  switch (choices.below(4)) {
    case 0:
      break;
    case 1:
      if (!dims.empty()) dims[choices.below(dims.size())] = kExtents[choices.below(kExtents.size())];
      break;
    case 2:
      dims.assign(choices.below(6), 1 + choices.below(3));
      break;
    default:
      for (hsize_t& n : dims) n = kExtents[choices.below(kExtents.size())];
  }
  H5Ldelete(file, path.c_str(), H5P_DEFAULT);
  const hid_t type = odd_type(choices), properties = H5Pcreate(H5P_DATASET_CREATE);
  const int rank = static_cast<int>(dims.size());
  const std::size_t layout = choices.below(5);
  bool writes =
      true;  // HDF5's own writing is not on trial: it may crash with odd filters, and takes huge chunks whole
  if (layout == 1) H5Pset_layout(properties, H5D_COMPACT);
  if (layout >= 2 && rank > 0) {
    std::vector<hsize_t> chunk = dims;
    for (hsize_t& n : chunk)
      n = std::max<hsize_t>(1, layout == 2 ? n : std::min<hsize_t>(n, 1 + choices.byte()));
    if (layout == 4) chunk[0] = hsize_t{1} << choices.below(28);
    H5Pset_chunk(properties, rank, chunk.data());
    double size = static_cast<double>(H5Tget_size(type));
    for (const hsize_t n : chunk) size *= static_cast<double>(n);
    const std::size_t filters = choices.below(16);
    if (filters & 1) H5Pset_shuffle(properties);
    if (filters & 2) H5Pset_deflate(properties, 1);
    if (filters & 4) H5Pset_fletcher32(properties);
    if (filters & 8) H5Pset_nbit(properties);
    writes = !(filters & 8) && size <= 1 << 16;
  }
  if (layout == 0 && choices.below(16) == 0) H5Pset_external(properties, "/dev/zero", 0, H5F_UNLIMITED);
  std::vector<hsize_t> most = dims;
  if (layout >= 2 && rank > 0) most[0] = H5S_UNLIMITED;
  const hid_t space =
      choices.below(20) == 19 ? H5Screate(H5S_NULL) : H5Screate_simple(rank, dims.data(), most.data());
  const hid_t made = H5Dcreate2(file, path.c_str(), type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
  double bytes = static_cast<double>(H5Tget_size(type));
  for (const hsize_t n : dims) bytes *= static_cast<double>(n);
  const H5T_class_t kind = H5Tget_class(type);
  if (writes && made >= 0 && bytes > 0 && bytes <= 4096 && kind != H5T_VLEN &&
      H5Tis_variable_str(type) <= 0) {
    std::vector<std::uint8_t> data(static_cast<std::size_t>(bytes));
    const std::uint8_t fill = choices.byte();
    for (auto& value : data) value = fill;
    H5Dwrite(made, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data.data());
  }
  H5Dclose(made);
  H5Sclose(space);
  H5Pclose(properties);
  H5Tclose(type);
}

void set_attribute(hid_t file, const std::string& path, const std::string& name, Choices& choices) {
  const hid_t object = H5Oopen(file, path.c_str(), H5P_DEFAULT);
  H5Adelete(object, name.c_str());
  const hsize_t extent = 1 + choices.below(3);
  const std::size_t shape = choices.below(8);
  const hid_t space = shape == 0   ? H5Screate_simple(1, &extent, nullptr)
                      : shape == 1 ? H5Screate(H5S_NULL)
                                   : H5Screate(H5S_SCALAR);
  hid_t type = H5T_NATIVE_INT64;
  std::array<std::int64_t, 4> integers;
  std::array<double, 4> numbers;
  const void* value = integers.data();
  const char* text = "text";
  const std::array<const char*, 4> texts{text, text, text, text};
  bool own = false;
  switch (choices.below(4)) {
    case 0:
      numbers.fill(odd_number(choices));
      type = H5T_NATIVE_DOUBLE;
      value = numbers.data();
      break;
    case 1:
      type = H5Tcopy(H5T_C_S1);
      H5Tset_size(type, H5T_VARIABLE);
      own = true;
      value = texts.data();
      break;
    case 2:
      type = odd_type(choices);
      own = true;
      value = nullptr;
      break;
    default:
      integers.fill(odd_integer(choices));
  }
  const hid_t attribute = H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT);
  if (value) H5Awrite(attribute, type, value);
  H5Aclose(attribute);
  if (own) H5Tclose(type);
  H5Sclose(space);
  H5Oclose(object);
}

// What HDF5 writes without harm: an earlier change may have left an odd type or filter.
bool can_be_written(hid_t dataset, hid_t type) {
  const hid_t properties = H5Dget_create_plist(dataset);
  H5Z_filter_t filter = H5Z_FILTER_NONE;
  std::vector<hsize_t> chunk(H5S_MAX_RANK);
  const int rank =
      H5Pget_layout(properties) == H5D_CHUNKED ? H5Pget_chunk(properties, H5S_MAX_RANK, chunk.data()) : 0;
  const double elements = std::accumulate(chunk.begin(), chunk.begin() + rank, 1.0, std::multiplies<>());
  for (int i = 0; i < H5Pget_nfilters(properties) && filter != H5Z_FILTER_NBIT; ++i) {
    unsigned flags = 0, config = 0;
    std::size_t values = 0;
    filter =
        H5Pget_filter2(properties, static_cast<unsigned>(i), &flags, &values, nullptr, 0, nullptr, &config);
  }
  H5Pclose(properties);
  return elements * static_cast<double>(H5Tget_size(type)) <= 1 << 16 && filter != H5Z_FILTER_NBIT &&
         (H5Tget_class(type) == H5T_INTEGER || H5Tequal(type, H5T_NATIVE_FLOAT) > 0 ||
          H5Tequal(type, H5T_NATIVE_DOUBLE) > 0);
}

void change_element(hid_t file, const std::string& path, Choices& choices) {
  const auto dims = shape_of(file, path);
  const hid_t dataset = H5Dopen2(file, path.c_str(), H5P_DEFAULT), type = H5Dget_type(dataset);
  const hsize_t count = std::accumulate(dims.begin(), dims.end(), hsize_t{1}, std::multiplies<>());
  const H5T_class_t kind = H5Tget_class(type);
  if (count > 0 && count <= 512 && can_be_written(dataset, type)) {
    std::vector<double> numbers(count);
    std::vector<std::int64_t> integers(count);
    const bool whole = kind == H5T_INTEGER;
    const hid_t memory = whole ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE;
    void* const data = whole ? static_cast<void*>(integers.data()) : numbers.data();
    H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    const std::size_t at = (choices.byte() * std::size_t{256} + choices.byte()) % count;
    integers[at] = odd_integer(choices);
    numbers[at] = odd_number(choices);
    H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
  } else if (!dims.empty() && count <= 1'000'000) {  // HDF5 shrinks huge ones chunk by chunk
    auto other = dims;
    other[0] = kExtents[choices.below(kExtents.size())];
    H5Dset_extent(dataset, other.data());
  }
  H5Tclose(type);
  H5Dclose(dataset);
}

}  // namespace

H5Subject::H5Subject(std::string image) : image_(std::move(image)) {
  MemoryFile file;
  file.write(image_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  const hid_t id = H5Fopen(file.path().c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  if (id < 0) throw std::logic_error("a subject that is no HDF5 file");
  H5Ovisit2(
      id, H5_INDEX_NAME, H5_ITER_INC,
      [](hid_t, const char* name, const H5O_info_t* info, void* all) {
        static_cast<std::vector<Object>*>(all)->push_back(
            {"/" + (std::string(name) == "." ? "" : std::string(name)), info->type == H5O_TYPE_DATASET, {}});
        return 0;
      },
      &objects_, H5O_INFO_BASIC);
  for (Object& object : objects_) {
    const hid_t at = H5Oopen(id, object.path.c_str(), H5P_DEFAULT);
    H5Aiterate2(
        at, H5_INDEX_NAME, H5_ITER_INC, nullptr,
        [](hid_t, const char* name, const H5A_info_t*, void* all) {
          static_cast<std::vector<std::string>*>(all)->push_back(name);
          return 0;
        },
        &object.attributes);
    H5Oclose(at);
  }
  H5Fclose(id);
}

void H5Subject::write_changed(Choices choices, const std::filesystem::path& file) const {
  const hid_t id = H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  if (id < 0) throw std::logic_error("the subject cannot be opened");
  for (int change = 0; change < 8 && !choices.empty(); ++change) {
    const Object& object = objects_[choices.below(objects_.size())];
    const std::string& path = object.path;
    const std::string& other = objects_[choices.below(objects_.size())].path;
    const bool is_root = path == "/";
    if (!is_root && H5Lexists(id, path.c_str(), H5P_DEFAULT) <= 0) continue;  // an earlier change took it
    switch (choices.below(8)) {
      case 0:
        if (!is_root) H5Ldelete(id, path.c_str(), H5P_DEFAULT);
        break;
      case 1:
        if (is_root) break;
        H5Ldelete(id, path.c_str(), H5P_DEFAULT);
        switch (choices.below(4)) {
          case 0:
            H5Lcreate_soft(other.c_str(), id, path.c_str(), H5P_DEFAULT, H5P_DEFAULT);
            break;
          case 1:
            H5Lcreate_external(file.c_str(), other.c_str(), id, path.c_str(), H5P_DEFAULT, H5P_DEFAULT);
            break;
          case 2:
            H5Gclose(H5Gcreate2(id, path.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
            break;
          default:
            H5Lcreate_hard(id, other.c_str(), id, path.c_str(), H5P_DEFAULT, H5P_DEFAULT);
        }
        break;
      case 2:
      case 3:
        if (!is_root)
          replace(id, path, object.dataset && H5Oexists_by_name(id, path.c_str(), H5P_DEFAULT) > 0, choices);
        break;
      case 4:
        if (!object.attributes.empty())
          H5Adelete_by_name(id, path.c_str(),
                            object.attributes[choices.below(object.attributes.size())].c_str(), H5P_DEFAULT);
        break;
      case 5:
        if (!object.attributes.empty())
          set_attribute(id, path, object.attributes[choices.below(object.attributes.size())], choices);
        break;
      default:
        if (object.dataset) change_element(id, path, choices);
    }
  }
  H5Fclose(id);
}

std::string written(const std::function<void(const std::filesystem::path&)>& write) {
  const TemporaryFolder folder;
  write(folder / "file.h5");
  return read_text(folder / "file.h5");
}

int change_and_read(std::vector<std::string> (*sound)(), void (*read_file)(const std::filesystem::path&),
                    const std::uint8_t* data, std::size_t size) {
  static const std::vector<H5Subject> subjects = [&] {
    std::vector<H5Subject> all;
    for (std::string& image : sound()) all.emplace_back(std::move(image));
    return all;
  }();
  static MemoryFile file;
  Choices choices(data, size);
  const H5Subject& subject = subjects[choices.below(subjects.size())];
  file.write(subject.image());
  if (choices.empty()) {
    read_file(file.path());
  } else {
    subject.write_changed(choices, file.path());
    read([&] { read_file(file.path()); });
  }
  return 0;
}

}  // namespace specmoe::fuzz
