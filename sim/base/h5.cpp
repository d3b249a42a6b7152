#include "sim/base/h5.hpp"

#include <fmt/format.h>
#include <hdf5.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "sim/base/input_error.hpp"

namespace specmoe {
namespace {

// Owns one HDF5 identifier.
class Id {
 public:
  using Closer = herr_t (*)(hid_t);
  Id(hid_t id, Closer closer) : id_(id), closer_(closer) {}
  Id(Id&& other) noexcept : id_(std::exchange(other.id_, -1)), closer_(other.closer_) {}
  ~Id() {
    if (id_ >= 0) closer_(id_);
  }
  operator hid_t() const { return id_; }
  bool ok() const { return id_ >= 0; }
  hid_t release() { return std::exchange(id_, -1); }

 private:
  hid_t id_;
  Closer closer_;
};

// Before the first call: errors are ours to tell, and HDF5 must not close again at exit a file that could not be closed on
// a full disk, which ends in a crash.
void silence() {
  // And a filter that a file names is not to be looked for among libraries that can be loaded.
  [[maybe_unused]] static const herr_t once =
      (H5dont_atexit(), H5PLset_loading_state(0), H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr));
}

// The HDF5 type of a C++ type, by overload.
hid_t native(std::int8_t) { return H5T_NATIVE_INT8; }
hid_t native(std::uint8_t) { return H5T_NATIVE_UINT8; }
hid_t native(std::int16_t) { return H5T_NATIVE_INT16; }
hid_t native(std::uint16_t) { return H5T_NATIVE_UINT16; }
hid_t native(std::int32_t) { return H5T_NATIVE_INT32; }
hid_t native(std::uint32_t) { return H5T_NATIVE_UINT32; }
hid_t native(std::int64_t) { return H5T_NATIVE_INT64; }
hid_t native(float) { return H5T_NATIVE_FLOAT; }
hid_t native(double) { return H5T_NATIVE_DOUBLE; }

Id string_type() {
  Id type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type, H5T_VARIABLE);
  H5Tset_cset(type, H5T_CSET_UTF8);
  return type;
}

hid_t stored(H5Growing::Type type) {
  switch (type) {
    case H5Growing::Type::int16:
      return H5T_STD_I16LE;
    case H5Growing::Type::int32:
      return H5T_STD_I32LE;
    case H5Growing::Type::int64:
      return H5T_STD_I64LE;
    case H5Growing::Type::float32:
      return H5T_IEEE_F32LE;
    case H5Growing::Type::float64:
      return H5T_IEEE_F64LE;
  }
  return -1;
}

std::vector<hsize_t> extents(const std::vector<std::int64_t>& shape) { return {shape.begin(), shape.end()}; }

// A number as machines have them. HDF5 1.10.8 overruns its stack where it converts some of the others that a file can
// describe, a mantissa beside its bytes for one.
bool is_machine_number(hid_t type) {
  const std::size_t size = H5Tget_size(type);
  if (H5Tget_class(type) == H5T_INTEGER)
    return (size == 1 || size == 2 || size == 4 || size == 8) && H5Tget_precision(type) == 8 * size &&
           H5Tget_offset(type) == 0;
  if (H5Tget_class(type) != H5T_FLOAT) return false;
  for (const hid_t known : {H5T_IEEE_F64LE, H5T_IEEE_F32LE, H5T_IEEE_F64BE, H5T_IEEE_F32BE})
    if (H5Tequal(type, known) > 0) return true;
  std::size_t sign = 0, exponent = 0, exponent_bits = 0, mantissa = 0, mantissa_bits = 0;
  return size == 2 && H5Tget_precision(type) == 16 &&
         H5Tget_offset(type) == 0 &&  // float16, which HDF5 does not name
         H5Tget_fields(type, &sign, &exponent, &exponent_bits, &mantissa, &mantissa_bits) >= 0 &&
         sign == 15 && exponent == 10 && exponent_bits == 5 && mantissa == 0 && mantissa_bits == 10;
}

bool holds_machine_numbers(hid_t dataset) { return is_machine_number(Id(H5Dget_type(dataset), H5Tclose)); }

// Objects without dates, so that the same run writes the same bytes.
Id properties_of(hid_t kind) {
  Id properties(H5Pcreate(kind), H5Pclose);
  H5Pset_obj_track_times(properties, false);
  return properties;
}

constexpr unsigned kDeflate = 4;
constexpr hsize_t kChunkBytes = 1 << 18,
                  kChunkRows = 512;  // a chunk is compressed whole, however little is in it

}  // namespace

void H5File::fail(const std::string& what, const std::string& expected) const {
  throw InputError(name_, 0, what, expected);
}

H5File H5File::open(const std::filesystem::path& file) {
  silence();
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error))
    throw InputError(file.string(), 0, "no such file", "an HDF5 file");
  const hid_t id = H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  if (id < 0) throw InputError(file.string(), 0, "is no HDF5 file, or truncated", "a complete HDF5 file");
  return H5File(file.string(), id);
}

H5File H5File::modify(const std::filesystem::path& file) {
  silence();
  const hid_t id = H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  if (id < 0) throw InputError(file.string(), 0, "cannot be opened for writing", "a complete HDF5 file");
  return H5File(file.string(), id);
}

H5File H5File::create(const std::filesystem::path& file) {
  silence();
  const hid_t id = H5Fcreate(file.c_str(), H5F_ACC_TRUNC, properties_of(H5P_FILE_CREATE), H5P_DEFAULT);
  if (id < 0) throw InputError(file.string(), 0, "cannot be written", "a writable place");
  return H5File(file.string(), id);
}

H5File::H5File(H5File&& other) noexcept : name_(std::move(other.name_)), id_(std::exchange(other.id_, -1)) {}
H5File& H5File::operator=(H5File&& other) noexcept {
  std::swap(name_, other.name_);
  std::swap(id_, other.id_);
  return *this;
}
H5File::~H5File() {
  if (id_ >= 0) H5Fclose(id_);
}

bool H5File::exists(const std::string& path) const {
  if (path == "/") return true;
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    H5L_info_t link;
    if (H5Lget_info(id_, part.c_str(), &link, H5P_DEFAULT) < 0) return false;
    if (link.type != H5L_TYPE_HARD) fail(part + ": is a link to elsewhere", "data in the file");
    if (slash == std::string::npos) return true;
  }
}

std::vector<std::string> H5File::list(const std::string& group) const {
  const Id id(exists(group) ? H5Gopen2(id_, group.c_str(), H5P_DEFAULT) : -1, H5Gclose);
  if (!id.ok()) fail(group + ": no such group");
  H5G_info_t info;
  H5Gget_info(id, &info);
  std::vector<std::string> names;
  for (hsize_t i = 0; i < info.nlinks; ++i) {
    const auto length = H5Lget_name_by_idx(id, ".", H5_INDEX_NAME, H5_ITER_INC, i, nullptr, 0, H5P_DEFAULT);
    if (length < 0) fail(group + ": cannot be listed", "a complete HDF5 file");
    std::string name(static_cast<std::size_t>(length), '\0');
    H5Lget_name_by_idx(id, ".", H5_INDEX_NAME, H5_ITER_INC, i, name.data(), name.size() + 1, H5P_DEFAULT);
    names.push_back(std::move(name));
  }
  return names;
}

std::vector<std::int64_t> H5File::shape(const std::string& path) const {
  return shape_of(path, Id(open_dataset(path), H5Dclose));
}

std::vector<std::int64_t> H5File::shape_of(const std::string& path, std::int64_t dataset) const {
  const Id space(H5Dget_space(dataset), H5Sclose), type(H5Dget_type(dataset), H5Tclose);
  const int rank = H5Sget_simple_extent_ndims(space);
  if (rank < 0 || H5Sget_simple_extent_type(space) == H5S_NULL) fail(path + ": has no simple shape");
  std::vector<hsize_t> dims(static_cast<std::size_t>(rank));
  H5Sget_simple_extent_dims(space, dims.data(), nullptr);
  require_held(path, dataset, {dims.begin(), dims.end()}, H5Tget_size(type), 1 << 20);
  return {dims.begin(), dims.end()};
}

// A dataset as our writers and h5py make them: its bytes in the file, in a row or in chunks, shuffled, deflated and
// checked or not.
std::int64_t H5File::open_dataset(const std::string& path) const {
  Id dataset(exists(path) ? H5Dopen2(id_, path.c_str(), H5P_DEFAULT) : -1, H5Dclose);
  if (!dataset.ok()) fail(path + ": no such dataset", "it in the file");
  const Id properties(H5Dget_create_plist(dataset), H5Pclose), type(H5Dget_type(dataset), H5Tclose);
  const H5D_layout_t layout = H5Pget_layout(properties);
  if (H5Pget_external_count(properties) != 0 || layout == H5D_VIRTUAL)
    fail(path + ": its data lie in another file", "data in the file");
  for (int i = 0; i < H5Pget_nfilters(properties); ++i) {
    unsigned flags = 0, config = 0;
    std::size_t values = 0;
    const H5Z_filter_t filter =
        H5Pget_filter2(properties, static_cast<unsigned>(i), &flags, &values, nullptr, 0, nullptr, &config);
    if (filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_FLETCHER32)
      fail(fmt::format("{}: packed with HDF5's filter {}", path, static_cast<int>(filter)),
           "shuffle, deflate (gzip) and fletcher32 at most");
  }
  if (layout == H5D_CHUNKED) {  // HDF5 reads a chunk whole, be it nearly empty
    std::vector<hsize_t> chunk(H5S_MAX_RANK);
    chunk.resize(static_cast<std::size_t>(std::max(0, H5Pget_chunk(properties, H5S_MAX_RANK, chunk.data()))));
    require_held(path, dataset, {chunk.begin(), chunk.end()}, H5Tget_size(type), 16 << 20);
  }
  return dataset.release();
}

void H5File::make_groups(const std::string& path) const {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string group = path.substr(0, slash);
    if (exists(group)) continue;
    const Id id(H5Gcreate2(id_, group.c_str(), H5P_DEFAULT, properties_of(H5P_GROUP_CREATE), H5P_DEFAULT),
                H5Gclose);
    if (!id.ok()) fail(group + ": cannot be made");
  }
}

template <class T>
void H5File::write(const std::string& path, std::span<const T> data, std::vector<std::int64_t> shape) {
  make_groups(path);
  const auto dims = extents(shape);
  const hsize_t count = std::accumulate(dims.begin(), dims.end(), hsize_t{1}, std::multiplies<>());
  if (count != data.size()) throw std::logic_error("H5File::write: shape and data differ in size");
  const Id space(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose);
  const Id properties = properties_of(H5P_DATASET_CREATE);
  if (count * sizeof(T) > 4096) {
    auto chunk = dims;
    const hsize_t row = std::max<hsize_t>(1, count / dims[0] * sizeof(T));
    chunk[0] = std::clamp<hsize_t>(kChunkBytes / row, 1, dims[0]);
    H5Pset_chunk(properties, static_cast<int>(chunk.size()), chunk.data());
    H5Pset_shuffle(properties);
    H5Pset_deflate(properties, kDeflate);
  }
  const Id dataset(H5Dcreate2(id_, path.c_str(), native(T{}), space, H5P_DEFAULT, properties, H5P_DEFAULT),
                   H5Dclose);
  if (!dataset.ok() ||
      (count > 0 && H5Dwrite(dataset, native(T{}), H5S_ALL, H5S_ALL, H5P_DEFAULT, data.data()) < 0))
    fail(path + ": cannot be written", "free space and a new name");
}

void H5File::write_strings(const std::string& path, const std::vector<std::string>& data) {
  make_groups(path);
  const hsize_t count = data.size();
  const Id space(H5Screate_simple(1, &count, nullptr), H5Sclose);
  const Id type = string_type();
  const Id dataset(
      H5Dcreate2(id_, path.c_str(), type, space, H5P_DEFAULT, properties_of(H5P_DATASET_CREATE), H5P_DEFAULT),
      H5Dclose);
  std::vector<const char*> pointers;
  for (const auto& s : data) pointers.push_back(s.c_str());
  if (!dataset.ok() ||
      (count > 0 && H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()) < 0))
    fail(path + ": cannot be written", "free space and a new name");
}

// Fails if a shape claims more than the stored bytes of its dataset can hold: a damaged shape must not ask for all
// memory. Deflate packs at most 1032 : 1 (zlib's technical note).
void H5File::require_held(const std::string& path, std::int64_t dataset,
                          const std::vector<std::uint64_t>& dims, std::size_t size, double slack) const {
  const double most = 1032.0 * static_cast<double>(H5Dget_storage_size(dataset)) + slack;
  double bytes = static_cast<double>(size);
  for (const auto n : dims) bytes *= static_cast<double>(n);
  if (!(bytes <= most)) fail(path + ": its shape claims more than the file holds", "a complete HDF5 file");
}

static std::size_t count_of(const std::vector<std::int64_t>& dims) {
  return static_cast<std::size_t>(
      std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies<>()));
}

template <class T>
std::vector<T> H5File::read(const std::string& path) const {
  const Id dataset(open_dataset(path), H5Dclose);
  std::vector<T> data(count_of(shape_of(path, dataset)));
  if (!data.empty() && (!holds_machine_numbers(dataset) ||
                        H5Dread(dataset, native(T{}), H5S_ALL, H5S_ALL, H5P_DEFAULT, data.data()) < 0))
    fail(path + ": cannot be read (corrupt, truncated, or of another type)", "a complete HDF5 file");
  return data;
}

template <class T>
void H5File::read_rows(const std::string& path, std::int64_t first, std::int64_t count,
                       std::span<T> out) const {
  if (count == 0) return;
  const Id dataset(open_dataset(path), H5Dclose);
  const auto dims = shape_of(path, dataset);
  if (dims.empty() || first < 0 || count < 0 || count > dims[0] - first)
    fail(fmt::format("{}: rows {} to {} of {} asked for", path, first, first + count - 1,
                     dims.empty() ? 0 : dims[0]));
  const Id space(H5Dget_space(dataset), H5Sclose);
  std::vector<hsize_t> start(dims.size(), 0);
  auto size = extents(dims);
  start[0] = static_cast<hsize_t>(first);
  size[0] = static_cast<hsize_t>(count);
  if (std::accumulate(size.begin(), size.end(), hsize_t{1}, std::multiplies<>()) != out.size())
    throw std::logic_error("H5File::read_rows: buffer of another size");
  H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr);
  const Id memory(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), H5Sclose);
  if (!holds_machine_numbers(dataset) ||
      H5Dread(dataset, native(T{}), memory, space, H5P_DEFAULT, out.data()) < 0)
    fail(path + ": cannot be read (corrupt, truncated, or of another type)", "a complete HDF5 file");
}

std::vector<std::string> H5File::read_strings(const std::string& path) const {
  const Id dataset(open_dataset(path), H5Dclose);
  std::vector<char*> pointers(count_of(shape_of(path, dataset)));
  const Id space(H5Dget_space(dataset), H5Sclose);
  const Id type = string_type();
  if (pointers.empty()) return {};
  if (H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()) < 0)
    fail(path + ": cannot be read as text", "a complete HDF5 file");
  std::vector<std::string> out;
  for (const char* text : pointers) out.emplace_back(text ? text : "");  // null where never written
  H5Dvlen_reclaim(type, space, H5P_DEFAULT, pointers.data());
  return out;
}

static Id open_object(hid_t file, const std::string& path) {
  return Id(H5Oopen(file, path.c_str(), H5P_DEFAULT), H5Oclose);
}

void H5File::set_attribute(const std::string& path, const std::string& name, std::int64_t type,
                           const void* value) {
  if (!exists(path)) make_groups(path + "/");
  const Id object = open_object(id_, path);
  if (H5Aexists(object, name.c_str()) > 0) H5Adelete(object, name.c_str());
  const Id space(H5Screate(H5S_SCALAR), H5Sclose);
  const Id attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (!attribute.ok() || H5Awrite(attribute, type, value) < 0)
    fail(path + ": attribute \"" + name + "\" cannot be written", "free space");
}

void H5File::set(const std::string& path, const std::string& attribute, const std::string& value) {
  const char* pointer = value.c_str();
  const Id type = string_type();
  set_attribute(path, attribute, type, &pointer);
}
void H5File::set(const std::string& path, const std::string& attribute, double value) {
  set_attribute(path, attribute, H5T_NATIVE_DOUBLE, &value);
}
void H5File::set(const std::string& path, const std::string& attribute, std::int64_t value) {
  set_attribute(path, attribute, H5T_NATIVE_INT64, &value);
}

void H5File::remove(const std::string& path, const std::string& attribute) {
  if (has(path, attribute)) H5Adelete(open_object(id_, path), attribute.c_str());
}

bool H5File::has(const std::string& path, const std::string& attribute) const {
  if (!exists(path)) return false;
  return H5Aexists(open_object(id_, path), attribute.c_str()) > 0;
}

// An attribute that holds one value of one of these kinds; otherwise no Id that is ok.
static Id open_single(hid_t file, const std::string& path, const std::string& attribute,
                      std::initializer_list<H5T_class_t> kinds) {
  Id id(H5Aopen_by_name(file, path.c_str(), attribute.c_str(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  const Id space(H5Aget_space(id), H5Sclose), type(H5Aget_type(id), H5Tclose);
  const bool fits = H5Sget_simple_extent_npoints(space) == 1 &&
                    std::find(kinds.begin(), kinds.end(), H5Tget_class(type)) != kinds.end() &&
                    (H5Tget_class(type) == H5T_STRING || is_machine_number(type));
  return fits ? std::move(id) : Id(-1, H5Aclose);
}

std::string H5File::get_string(const std::string& path, const std::string& attribute) const {
  if (!has(path, attribute)) fail(path + ": attribute \"" + attribute + "\" is missing");
  const Id id = open_single(id_, path, attribute, {H5T_STRING});
  if (!id.ok()) fail(path + ": attribute \"" + attribute + "\" is no text");
  const Id file_type(H5Aget_type(id), H5Tclose);
  if (H5Tis_variable_str(file_type) > 0) {
    char* text = nullptr;
    const Id type = string_type();
    if (H5Aread(id, type, &text) < 0 || !text) fail(path + ": attribute \"" + attribute + "\" is unreadable");
    std::string value(text);
    H5free_memory(text);
    return value;
  }
  constexpr std::size_t kLongest = 1 << 20;  // claimed by a damaged file, it would be memory
  std::string value(std::min(H5Tget_size(file_type), kLongest + 1), '\0');
  if (value.size() > kLongest || H5Aread(id, file_type, value.data()) < 0)
    fail(path + ": attribute \"" + attribute + "\" is unreadable");
  return value.substr(0, value.find('\0'));
}

double H5File::get_number(const std::string& path, const std::string& attribute) const {
  if (!has(path, attribute)) fail(path + ": attribute \"" + attribute + "\" is missing");
  const Id id = open_single(id_, path, attribute, {H5T_FLOAT, H5T_INTEGER});
  double value = 0;
  if (!id.ok() || H5Aread(id, H5T_NATIVE_DOUBLE, &value) < 0)
    fail(path + ": attribute \"" + attribute + "\" is no number");
  return value;
}

std::int64_t H5File::get_integer(const std::string& path, const std::string& attribute) const {
  if (!has(path, attribute)) fail(path + ": attribute \"" + attribute + "\" is missing");
  const Id id = open_single(id_, path, attribute, {H5T_INTEGER});
  std::int64_t value = 0;
  if (!id.ok() || H5Aread(id, H5T_NATIVE_INT64, &value) < 0)
    fail(path + ": attribute \"" + attribute + "\" is no integer");
  return value;
}

void H5File::copy_from(const H5File& from, const std::string& from_path, const std::string& to_path) {
  make_groups(to_path);
  if (H5Ocopy(from.id_, from_path.c_str(), id_, to_path.c_str(), H5P_DEFAULT, H5P_DEFAULT) < 0)
    fail(fmt::format("{} cannot be copied from {}", from_path, from.name_));
}

void H5File::flush() {
  if (H5Fflush(id_, H5F_SCOPE_GLOBAL) < 0) fail("cannot be written", "free space");
}

#define SPECMOE_H5(T)                                                                                \
  template void H5File::write<T>(const std::string&, std::span<const T>, std::vector<std::int64_t>); \
  template std::vector<T> H5File::read<T>(const std::string&) const;                                 \
  template void H5File::read_rows<T>(const std::string&, std::int64_t, std::int64_t, std::span<T>) const;
SPECMOE_H5(std::int8_t)
SPECMOE_H5(std::uint8_t)
SPECMOE_H5(std::int16_t)
SPECMOE_H5(std::uint16_t)
SPECMOE_H5(std::int32_t)
SPECMOE_H5(std::uint32_t)
SPECMOE_H5(std::int64_t)
SPECMOE_H5(float)
SPECMOE_H5(double)
#undef SPECMOE_H5

H5Growing::H5Growing(H5File& file, const std::string& path, Type type, std::vector<std::int64_t> row)
    : file_name_(file.name()), path_(path), type_(type), row_(std::move(row)) {
  file.make_groups(path);
  for (const auto n : row_) row_size_ *= n;
  const hsize_t element = H5Tget_size(stored(type));
  const hsize_t row_bytes = static_cast<hsize_t>(std::max<std::int64_t>(row_size_, 1)) * element;
  chunk_rows_ = static_cast<std::int64_t>(std::clamp<hsize_t>(kChunkBytes / row_bytes, 1, kChunkRows));
  std::vector<hsize_t> dims{0}, most{H5S_UNLIMITED}, chunk{static_cast<hsize_t>(chunk_rows_)};
  for (const auto n : row_) {
    dims.push_back(static_cast<hsize_t>(n));
    most.push_back(static_cast<hsize_t>(n));
    chunk.push_back(static_cast<hsize_t>(std::max<std::int64_t>(n, 1)));
  }
  const Id space(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), most.data()), H5Sclose);
  const Id properties = properties_of(H5P_DATASET_CREATE);
  H5Pset_chunk(properties, static_cast<int>(chunk.size()), chunk.data());
  H5Pset_shuffle(properties);
  H5Pset_deflate(properties, kDeflate);
  dataset_ = H5Dcreate2(file.id_, path.c_str(), stored(type), space, H5P_DEFAULT, properties, H5P_DEFAULT);
  if (dataset_ < 0) throw InputError(file_name_, 0, path + ": cannot be made", "free space and a new name");
}

H5Growing::H5Growing(H5Growing&& other) noexcept
    : file_name_(std::move(other.file_name_)),
      path_(std::move(other.path_)),
      dataset_(std::exchange(other.dataset_, -1)),
      type_(other.type_),
      row_(std::move(other.row_)),
      row_size_(other.row_size_),
      chunk_rows_(other.chunk_rows_),
      rows_(other.rows_),
      buffer_(std::move(other.buffer_)),
      integers_(std::move(other.integers_)) {}

H5Growing::~H5Growing() {
  if (dataset_ < 0) return;
  try {
    flush();
  } catch (const InputError&) {
  }
  H5Dclose(dataset_);
}

template <class T>
void H5Growing::append_any(std::span<const T> values) {
  if (row_size_ > 0 && std::ssize(values) % row_size_ != 0)
    throw std::logic_error("H5Growing: appended values are no whole rows");
  const bool floating = type_ == Type::float32 || type_ == Type::float64;
  if (floating)
    buffer_.insert(buffer_.end(), values.begin(), values.end());
  else
    for (const T v : values) integers_.push_back(static_cast<std::int64_t>(v));
  const auto held = static_cast<std::int64_t>(floating ? buffer_.size() : integers_.size());
  if (held >= chunk_rows_ * row_size_) flush();
}
void H5Growing::append(std::span<const double> values) { append_any(values); }
void H5Growing::append(std::span<const std::int64_t> values) { append_any(values); }
void H5Growing::append(std::span<const std::int16_t> values) { append_any(values); }

void H5Growing::flush() {
  const bool floating = type_ == Type::float32 || type_ == Type::float64;
  const auto held = static_cast<std::int64_t>(floating ? buffer_.size() : integers_.size());
  if (held == 0) return;
  const std::int64_t added = held / row_size_;
  std::vector<hsize_t> dims{static_cast<hsize_t>(rows_ + added)}, start{static_cast<hsize_t>(rows_)},
      count{static_cast<hsize_t>(added)};
  for (const auto n : row_) {
    dims.push_back(static_cast<hsize_t>(n));
    start.push_back(0);
    count.push_back(static_cast<hsize_t>(n));
  }
  bool ok = H5Dset_extent(dataset_, dims.data()) >= 0;
  const Id space(H5Dget_space(dataset_), H5Sclose);
  H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr);
  const Id memory(H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr), H5Sclose);
  ok = ok && H5Dwrite(dataset_, floating ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64, memory, space, H5P_DEFAULT,
                      floating ? static_cast<const void*>(buffer_.data()) : integers_.data()) >= 0;
  if (!ok) throw InputError(file_name_, 0, path_ + ": cannot be written", "free space");
  rows_ += added;
  buffer_.clear();
  integers_.clear();
}

}  // namespace specmoe
