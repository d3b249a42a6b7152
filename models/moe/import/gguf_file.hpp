// The front of a GGUF file: metadata and the list of tensors, as https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
// lays them out. Everything is a view into the bytes; no length in the file makes anything grow beyond them.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/kernel.hpp"

namespace specmoe {

/// What the front of a GGUF file says. Views into its bytes: these must outlive it.
class GgufFile {
 public:
  /// An entry of the list of tensors.
  struct Tensor {
    std::string_view name;
    /// [i] -> extent, the fastest first: a matrix product's k is `extent[0]`. Missing ones are 1.
    std::array<std::int64_t, 4> extent{1, 1, 1, 1};
    std::uint32_t type = 0;
    std::int64_t elements = 0, bytes = 0;
  };

  /// @throws InputError if the bytes are no GGUF file of version 2 or 3, end before the list of tensors does, or have an
  /// unknown type in it
  GgufFile(std::span<const std::byte> bytes, std::string file);

  const std::string& file() const { return file_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }
  const Tensor* tensor(std::string_view name) const;

  /// A number or truth value. @throws InputError if it is of another type or out of bounds
  std::optional<std::int64_t> find_integer(const std::string& key, std::int64_t least,
                                           std::int64_t most) const;
  std::int64_t integer(const std::string& key, std::int64_t least, std::int64_t most) const;
  std::optional<std::string> text(const std::string& key) const;
  /// A number for each of `layers` layers, or one for all of them.
  std::optional<std::vector<std::int64_t>> by_layer(const std::string& key, std::int64_t layers) const;
  /// Elements of an array; 0 if there is none.
  std::int64_t length(const std::string& key) const;

 private:
  struct Value {
    std::uint32_t type = 0;  // of the elements
    std::uint64_t count = 1;
    bool array = false;
    std::span<const std::byte> bytes{};
  };
  class Cursor;
  const Value* find(const std::string& key) const;
  std::int64_t number(const std::string& key, const Value& value, std::uint64_t at) const;
  [[noreturn]] void fail(const std::string& what, const std::string& expected) const;

  std::string file_;
  std::map<std::string, Value, std::less<>> values_;
  std::vector<Tensor> tensors_;
  std::map<std::string_view, std::size_t> by_name_;
};

/// What tensors store, together.
struct GgufSum {
  std::int64_t elements = 0, bytes = 0;
  std::set<std::uint32_t> types{};

  void add(const GgufFile::Tensor& tensor);
  /// A weight.
  double bits() const;
  /// "q4_K, q6_K"
  std::string names() const;
  /// The format whose bits a weight are nearest.
  WeightFormat nearest() const;
};

}  // namespace specmoe
