// A platform with one of everything, in few bytes: what a fuzzer reads thousands of times a second.
#pragma once
#include <string>

namespace specmoe::fuzz {

inline const std::string kSmallMachine = R"(name: small
description: made up
price: {value: 899 USD, source: a}
memories:
  ram: {kind: host, capacity: {value: 64 GB, source: a}, reserved: &zero {value: 0 B, source: a}, read: &fast {value: 80 GB/s, source: a}, write: *fast}
  vram: {kind: device, capacity: {value: 8 GB, source: a}, reserved: *zero, read: *fast, write: *fast, energy: {value: 10 pJ/bit, source: a}}
  ssd: {kind: disk, capacity: {value: 1 TB, source: a}, reserved: *zero, read: &slow {value: 5 GB/s, source: a}, write: *slow}
links:
  pcie: {between: [ram, vram], duplex: {value: 40 GB/s, source: a}, forward: &way {bandwidth: {value: 25 GB/s, source: a}, latency: &short {value: 10 us, source: a}, half_size: *zero}, backward: *way, pageable_forward: *way, pageable_backward: *way}
  m2: {between: [ssd, ram], duplex: {value: 16 GB/s, source: a}, forward: &disk {bandwidth: {value: 8 GB/s, source: a}, latency: *short, half_size: *zero}, backward: *disk, pageable_forward: *disk, pageable_backward: *disk}
devices:
  gpu:
    kind: gpu
    memory: vram
    peak: &peak {bf16: {value: 100 TFLOP/s, source: a}}
    l2: *zero
    host_calls: {launch: *short, copy: *short, record: *short, wait: *short, synchronize: *short}
    kernels:
      gemm: {floor: *short, memory_efficiency: &share {value: 0.8, source: a, unverified: true}, half_bytes: *zero, compute_efficiency: *share, tile_rows: &rows {value: 16, source: a}, measured: {source: a, along: [1, 8], shapes: [{shape: [64, 64], ratio: [1, 1.5]}]}}
      grouped_gemm: &plain {floor: *short, memory_efficiency: *share, half_bytes: *zero, compute_efficiency: *share, tile_rows: *rows}
      attention: {floor: *short, memory_efficiency: *share, half_bytes: *zero, compute_efficiency: *share, tile_rows: *rows, block: *short, resident: *rows}
      elementwise: *plain
      top_k: *plain
  cpu:
    kind: cpu
    memory: ram
    peak: *peak
    host_calls: {launch: *short, record: *short, wait: *short, synchronize: *short}
    kernels: {gemm: *plain, elementwise: *plain}
)";

}  // namespace specmoe::fuzz
