// Fronts of small GGUF files, for tests of what reads them.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

namespace specmoe::testing {

/// Writes the front of a GGUF file.
class Gguf {
 public:
  Gguf& text(const std::string& key, const std::string& value) {
    begin(key, 8);
    put_text(values_, value);
    return *this;
  }
  Gguf& number(const std::string& key, std::uint32_t value) {
    begin(key, 4);
    put(values_, value);
    return *this;
  }
  /// An array of int32.
  Gguf& numbers(const std::string& key, const std::vector<std::int32_t>& list) {
    begin(key, 9);
    put(values_, std::uint32_t{5});
    put(values_, std::uint64_t{list.size()});
    for (const std::int32_t each : list) put(values_, each);
    return *this;
  }
  Gguf& words(const std::string& key, int count) {
    begin(key, 9);
    put(values_, std::uint32_t{8});
    put(values_, static_cast<std::uint64_t>(count));
    for (int i = 0; i < count; ++i) put_text(values_, fmt::format("w{}", i));
    return *this;
  }
  Gguf& tensor(const std::string& name, const std::vector<std::uint64_t>& extent, std::uint32_t type) {
    ++tensor_count_;
    put_text(tensors_, name);
    put(tensors_, static_cast<std::uint32_t>(extent.size()));
    for (const std::uint64_t each : extent) put(tensors_, each);
    put(tensors_, type);
    put(tensors_, std::uint64_t{0});
    return *this;
  }
  std::string bytes() const {
    std::string all = "GGUF";
    put(all, std::uint32_t{3});
    put(all, tensor_count_);
    put(all, value_count_);
    return all + values_ + tensors_;
  }

 private:
  template <class T>
  static void put(std::string& to, T value) {
    to.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  static void put_text(std::string& to, const std::string& text) {
    put(to, std::uint64_t{text.size()});
    to += text;
  }
  void begin(const std::string& key, std::uint32_t type) {
    ++value_count_;
    put_text(values_, key);
    put(values_, type);
  }

  std::string values_, tensors_;
  std::uint64_t value_count_ = 0, tensor_count_ = 0;
};

inline constexpr std::uint32_t kF32 = 0, kQ8 = 8, kQ4K = 12, kQ6K = 14, kMxfp4 = 39;

/// Of `blocks` blocks with 4 experts of width 512 and a hidden state of 256; tensors are added by the test.
inline Gguf front(const std::string& architecture, std::uint32_t blocks) {
  return Gguf()
      .text("general.architecture", architecture)
      .number(architecture + ".embedding_length", 256)
      .number(architecture + ".block_count", blocks)
      .number(architecture + ".expert_count", 4)
      .number(architecture + ".expert_used_count", 2)
      .number(architecture + ".attention.head_count", 4)
      .words("tokenizer.ggml.tokens", 10);
}

inline void add_experts(Gguf& file, int block, std::uint32_t down) {
  const std::string b = fmt::format("blk.{}.", block);
  file.tensor(b + "ffn_gate_inp.weight", {256, 4}, kF32)
      .tensor(b + "ffn_gate_exps.weight", {256, 512, 4}, kQ4K)
      .tensor(b + "ffn_up_exps.weight", {256, 512, 4}, kQ4K)
      .tensor(b + "ffn_down_exps.weight", {512, 256, 4}, down);
}

inline void add_attention(Gguf& file, int block) {
  const std::string b = fmt::format("blk.{}.", block);
  file.tensor(b + "attn_norm.weight", {256}, kF32)
      .tensor(b + "attn_q.weight", {256, 256}, kQ8)
      .tensor(b + "attn_k.weight", {256, 128}, kQ8)
      .tensor(b + "attn_v.weight", {256, 128}, kQ8)
      .tensor(b + "attn_output.weight", {256, 256}, kQ8)
      .tensor(b + "ffn_norm.weight", {256}, kF32);
}

/// Two blocks whose down matrices are q4_K and q6_K, as in Q4_K_M files.
inline Gguf qwen3() {
  Gguf file = front("qwen3moe", 2).number("qwen3moe.attention.head_count_kv", 2);
  file.tensor("token_embd.weight", {256, 10}, kQ6K)
      .tensor("output.weight", {256, 10}, kQ6K)
      .tensor("output_norm.weight", {256}, kF32);
  add_attention(file, 0);
  add_experts(file, 0, kQ4K);
  add_attention(file, 1);
  add_experts(file, 1, kQ6K);
  file.tensor("blk.0.attn_q_norm.weight", {64}, kF32).tensor("blk.0.attn_k_norm.weight", {64}, kF32);
  file.tensor("blk.1.attn_q_norm.weight", {64}, kF32).tensor("blk.1.attn_k_norm.weight", {64}, kF32);
  return file;
}

}  // namespace specmoe::testing
