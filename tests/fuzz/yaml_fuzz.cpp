// Yaml: any text, and every question that can be asked of what came out of it.
#include "sim/base/yaml.hpp"

#include <cstdlib>

#include "tests/fuzz/fuzz.hpp"

using namespace specmoe;

namespace {

int visits = 0;

void ask(const Yaml& node) {
  if (++visits > 2000) return;
  const auto each = [&](auto question) { fuzz::read([&] { (void)question(); }); };
  each([&] { return node.text(); });
  each([&] { return node.name(); });
  each([&] { return node.boolean(); });
  each([&] { return node.integer(INT64_MIN, INT64_MAX); });
  each([&] { return node.number(-1e308, 1e308); });
  each([&] { return node.number_and_unit(); });
  each([&] { return node.magnitude(); });
  each([&] { return node.dollars(); });
  each([&] { return node.share(); });
  each([&] { return node.bytes(); });
  each([&] { return node.seconds(); });
  each([&] { return node.bandwidth(); });
  each([&] { return node.flop_rate(); });
  each([&] { return node.power(); });
  each([&] { return node.energy_per_byte(); });
  each([&] { return (node.allow_only({"cache", "name", "capacity"}), 0); });
  if (node.is_list())
    for (const Yaml& item : node.items()) ask(item);
  if (node.is_map())
    for (const auto& [key, value] : node.entries()) ask(value);
}

}  // namespace

// The document, and after a NUL a path in it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view all = fuzz::text(data, size);
  const std::size_t end = all.find('\0');
  const std::string_view path = end == all.npos ? "" : all.substr(end + 1);
  fuzz::read([&] {
    const Yaml document = Yaml::parse(all.substr(0, end), "fuzz.yaml");
    visits = 0;
    ask(document);
    (void)document.written();
    (void)document.at(path);
    const Yaml changed = document.with(path, document.replaced("new"));
    const auto found = changed.at(path);
    if (path.find('[') != path.npos) return;  // where the name of an element was, there may be none now
    if (!found || found->written() != "new") std::abort();  // what with() puts there, at() finds there
  });
  return 0;
}
