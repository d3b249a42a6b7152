// A model's specification, and what is computed of the model before anything runs.
#include "models/moe/model.hpp"

#include "tests/fuzz/fuzz.hpp"

using namespace specmoe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::read([&] {
    const MoeModel model = MoeModel::read(Yaml::parse(fuzz::text(data, size), "fuzz.yaml"));
    (void)model.parameters();
    (void)model.expert_bytes();
    (void)model.resident_bytes();
    StepShape shape;
    shape.add_sequence(100, 1, model.attention.window);
    (void)model.kv_bytes(shape);
    (void)model.activation_bytes(shape.tokens, shape.sequences);
    const int last = static_cast<int>(model.blocks.size()) - 1;
    (void)model.attend(last, shape);
    (void)model.feed_forward(last, shape.tokens);
    (void)model.with_expert_format(WeightFormat::int4).with_first_blocks(last + 1);
  });
  return 0;
}
