#include "models/moe/import/gguf_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "sim/base/input_error.hpp"

namespace specmoe {

namespace {

// ggml's types: so many weights make a block of so many bytes (ggml-common.h).
struct Type {
  std::uint32_t number;
  std::string_view name;
  std::int64_t weights, bytes;
};
constexpr std::array kTypes{
    Type{0, "f32", 1, 4},         Type{1, "f16", 1, 2},         Type{2, "q4_0", 32, 18},
    Type{3, "q4_1", 32, 20},      Type{6, "q5_0", 32, 22},      Type{7, "q5_1", 32, 24},
    Type{8, "q8_0", 32, 34},      Type{9, "q8_1", 32, 36},      Type{10, "q2_K", 256, 84},
    Type{11, "q3_K", 256, 110},   Type{12, "q4_K", 256, 144},   Type{13, "q5_K", 256, 176},
    Type{14, "q6_K", 256, 210},   Type{15, "q8_K", 256, 292},   Type{16, "iq2_xxs", 256, 66},
    Type{17, "iq2_xs", 256, 74},  Type{18, "iq3_xxs", 256, 98}, Type{19, "iq1_s", 256, 50},
    Type{20, "iq4_nl", 32, 18},   Type{21, "iq3_s", 256, 110},  Type{22, "iq2_s", 256, 82},
    Type{23, "iq4_xs", 256, 136}, Type{24, "i8", 1, 1},         Type{25, "i16", 1, 2},
    Type{26, "i32", 1, 4},        Type{27, "i64", 1, 8},        Type{28, "f64", 1, 8},
    Type{29, "iq1_m", 256, 56},   Type{30, "bf16", 1, 2},       Type{34, "tq1_0", 256, 54},
    Type{35, "tq2_0", 256, 66},   Type{39, "mxfp4", 32, 17}};

const Type* type_of(std::uint32_t number) {
  const auto at =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const Type& t) { return t.number == number; });
  return at == kTypes.end() ? nullptr : &*at;
}

// Metadata types.
constexpr std::uint32_t kFloat32 = 6, kBool = 7, kString = 8, kArray = 9, kFloat64 = 12;
constexpr std::array<std::size_t, 13> kSizes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

constexpr std::int64_t kMostElements = std::int64_t{1} << 50;
constexpr std::uint64_t kMostEntries = 1 << 16, kMostTensors = 1 << 20;

}  // namespace

/// Reads on from where it stands, and never beyond the end.
class GgufFile::Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const GgufFile& file) : left_(bytes), file_(file) {}

  std::span<const std::byte> take(std::uint64_t count) {
    if (count > left_.size())
      file_.fail("ends within its metadata or list of tensors",
                 "a whole GGUF file (of a split one the first part)");
    const auto taken = left_.first(static_cast<std::size_t>(count));
    left_ = left_.subspan(static_cast<std::size_t>(count));
    return taken;
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view text() {
    const auto bytes = take(number<std::uint64_t>());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::size_t left() const { return left_.size(); }
  const std::byte* at() const { return left_.data(); }

 private:
  std::span<const std::byte> left_;
  const GgufFile& file_;
};

GgufFile::GgufFile(std::span<const std::byte> bytes, std::string file) : file_(std::move(file)) {
  Cursor in(bytes, *this);
  if (bytes.size() < 4 || std::memcmp(in.take(4).data(), "GGUF", 4) != 0)
    fail("is no GGUF file", "a file that begins with \"GGUF\"");
  const auto version = in.number<std::uint32_t>();
  if (version != 2 && version != 3)
    fail(fmt::format("GGUF version {}", version), "version 2 or 3, little-endian");
  const auto tensors = in.number<std::uint64_t>(), entries = in.number<std::uint64_t>();
  if (entries > kMostEntries || tensors > kMostTensors)
    fail(fmt::format("{} entries and {} tensors", entries, tensors),
         fmt::format("at most {} and {}", kMostEntries, kMostTensors));
  for (std::uint64_t i = 0; i < entries; ++i) {
    const std::string key(in.text());
    Value value{in.number<std::uint32_t>()};
    if (value.type == kArray) {
      value.array = true;
      value.type = in.number<std::uint32_t>();
      value.count = in.number<std::uint64_t>();
    }
    if (value.type >= kSizes.size() || value.type == kArray)
      fail(fmt::format("{}: metadata of type {}", key, value.type), "a type of GGUF, and no array of arrays");
    if (value.type == kString) {
      const std::byte* begin = in.at();
      for (std::uint64_t k = 0; k < value.count; ++k) in.text();
      value.bytes = {begin, in.at()};
    } else {
      const std::size_t size = kSizes[value.type];
      if (value.count > in.left() / size) in.take(in.left() + 1);
      value.bytes = in.take(value.count * size);
    }
    values_.emplace(key, value);
  }
  for (std::uint64_t i = 0; i < tensors; ++i) {
    Tensor t;
    t.name = in.text();
    const auto dimensions = in.number<std::uint32_t>();
    if (dimensions > t.extent.size()) fail(fmt::format("{}: {} dimensions", t.name, dimensions), "at most 4");
    t.elements = 1;
    for (std::uint32_t d = 0; d < dimensions; ++d) {
      const auto extent = in.number<std::uint64_t>();
      if (extent < 1 || extent > static_cast<std::uint64_t>(kMostElements / t.elements))
        fail(fmt::format("{}: extent {}", t.name, extent), "a tensor of 1 to 2^50 elements");
      t.extent[d] = static_cast<std::int64_t>(extent);
      t.elements *= t.extent[d];
    }
    t.type = in.number<std::uint32_t>();
    in.number<std::uint64_t>();  // offset
    const Type* type = type_of(t.type);
    if (!type) fail(fmt::format("{}: type {}", t.name, t.type), "a type of ggml that is in use");
    t.bytes = (t.elements + type->weights - 1) / type->weights * type->bytes;
    by_name_.emplace(t.name, tensors_.size());
    tensors_.push_back(t);
  }
}

void GgufFile::fail(const std::string& what, const std::string& expected) const {
  throw InputError(file_, 0, what, expected);
}

const GgufFile::Tensor* GgufFile::tensor(std::string_view name) const {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : &tensors_[at->second];
}

const GgufFile::Value* GgufFile::find(const std::string& key) const {
  const auto at = values_.find(key);
  return at == values_.end() ? nullptr : &at->second;
}

std::int64_t GgufFile::number(const std::string& key, const Value& value, std::uint64_t at) const {
  if (value.type == kString || value.type == kFloat32 || value.type == kFloat64)
    fail(key + ": no whole number", "a whole number");
  const std::size_t size = kSizes[value.type];
  std::uint64_t bits = 0;
  std::memcpy(&bits, value.bytes.data() + at * size, size);
  const bool is_signed = value.type == 1 || value.type == 3 || value.type == 5 || value.type == 11;
  if (is_signed && size < 8 && (bits >> (8 * size - 1) & 1)) bits |= ~std::uint64_t{0} << (8 * size);
  if (!is_signed && bits > static_cast<std::uint64_t>(INT64_MAX)) return INT64_MAX;
  return static_cast<std::int64_t>(bits);
}

std::optional<std::int64_t> GgufFile::find_integer(const std::string& key, std::int64_t least,
                                                   std::int64_t most) const {
  const Value* value = find(key);
  if (!value) return std::nullopt;
  if (value->array) fail(key + ": an array", "one number");
  const std::int64_t found = number(key, *value, 0);
  if (found < least || found > most)
    fail(fmt::format("{}: {}", key, found), fmt::format("a whole number from {} to {}", least, most));
  return found;
}

std::int64_t GgufFile::integer(const std::string& key, std::int64_t least, std::int64_t most) const {
  const auto found = find_integer(key, least, most);
  if (!found) fail(key + ": missing", "this key");
  return *found;
}

std::optional<std::string> GgufFile::text(const std::string& key) const {
  const Value* value = find(key);
  if (!value) return std::nullopt;
  if (value->array || value->type != kString) fail(key + ": no text", "a text");
  return std::string(reinterpret_cast<const char*>(value->bytes.data()) + 8,
                     value->bytes.size() - 8);  // behind its length
}

std::optional<std::vector<std::int64_t>> GgufFile::by_layer(const std::string& key,
                                                            std::int64_t layers) const {
  const Value* value = find(key);
  if (!value) return std::nullopt;
  if (value->array && value->count < static_cast<std::uint64_t>(layers))
    fail(fmt::format("{}: {} entries", key, value->count),
         fmt::format("one for each of the {} layers", layers));
  std::vector<std::int64_t> list;
  for (std::int64_t i = 0; i < layers; ++i)
    list.push_back(number(key, *value, value->array ? static_cast<std::uint64_t>(i) : 0));
  return list;
}

std::int64_t GgufFile::length(const std::string& key) const {
  const Value* value = find(key);
  return value && value->array ? static_cast<std::int64_t>(std::min<std::uint64_t>(value->count, INT64_MAX))
                               : 0;
}

void GgufSum::add(const GgufFile::Tensor& tensor) {
  elements += tensor.elements;
  bytes += tensor.bytes;
  types.insert(tensor.type);
}

double GgufSum::bits() const {
  return 8 * static_cast<double>(bytes) / static_cast<double>(std::max<std::int64_t>(1, elements));
}

std::string GgufSum::names() const {
  std::vector<std::string_view> list;
  for (const std::uint32_t type : types) list.push_back(type_of(type)->name);
  return fmt::format("{}", fmt::join(list, ", "));
}

WeightFormat GgufSum::nearest() const {
  constexpr std::uint32_t kMxfp4 = 39;
  if (types == std::set<std::uint32_t>{kMxfp4}) return WeightFormat::mxfp4;
  using enum WeightFormat;
  WeightFormat best = bf16;
  for (const WeightFormat format : {fp32, int8, int4, int3, int2})
    if (std::abs(bits_per_weight(format) - bits()) < std::abs(bits_per_weight(best) - bits())) best = format;
  return best;
}

}  // namespace specmoe
