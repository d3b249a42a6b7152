// A platform file, and its routes and prices.
#include "models/hardware/platform.hpp"

#include "models/hardware/kernel_price.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace specmoe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::read([&] {
    const Platform platform = Platform::read(Yaml::parse(fuzz::text(data, size), "fuzz.yaml"));
    const DeviceId gpu = platform.first(Device::Kind::gpu);
    KernelPrices prices(platform, gpu);
    for (const Kernel& kernel :
         {Kernel{Gemm{4, 64, 64, WeightFormat::bf16}}, Kernel{Attention{1, 1, 9, 9, 2, 1, 8}},
          Kernel{Elementwise{4, 64, 2, 1}}, Kernel{TopK{4, 8, 2}}})
      (void)prices.time(kernel);
    for (int from = 0; from < static_cast<int>(platform.memories.size()); ++from)
      fuzz::read([&] { (void)platform.route({from}, platform[gpu].memory); });
  });
  return 0;
}
