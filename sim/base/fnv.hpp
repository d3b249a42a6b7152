#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace specmoe {

/// FNV-1a, 64 bits; a `hash` so far goes on with more bytes. Tells things apart, and is no protection.
inline std::uint64_t fnv1a(std::span<const std::byte> bytes, std::uint64_t hash = 0xcbf29ce484222325u) {
  for (const std::byte byte : bytes) hash = (hash ^ static_cast<std::uint8_t>(byte)) * 0x100000001b3u;
  return hash;
}

}  // namespace specmoe
