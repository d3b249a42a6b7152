#include "models/moe/routing/routing_profile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/base/build_info.hpp"
#include "sim/base/h5.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/try_reading.hpp"

namespace specmoe {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFormat = "specmoe-routing-profile";
constexpr std::array<const char*, RoutingProfile::kParts> kNames{
    "/base", "/position", "/previous_layers", "/previous_token", "/together", "/latent"};

// Scale of int8 values for each of `groups` equal pieces.
std::vector<float> scales(const std::vector<float>& values, std::size_t groups) {
  std::vector<float> out(groups, 1.0f);
  const std::size_t size = groups == 0 ? 0 : values.size() / groups;
  for (std::size_t g = 0; g < groups; ++g) {
    float most = 0;
    for (std::size_t i = 0; i < size; ++i) most = std::max(most, std::abs(values[g * size + i]));
    if (most > 0) out[g] = most / 127;
  }
  return out;
}

std::int8_t to_int8(float value, float scale) {
  return static_cast<std::int8_t>(std::clamp(std::lround(value / scale), -127L, 127L));
}

// [segment, dimension] <-> [dimension, segment]: paths have a scale for each dimension.
std::vector<float> transposed(const std::vector<float>& values, std::size_t columns) {
  std::vector<float> out(values.size());
  const std::size_t rows = columns == 0 ? 0 : values.size() / columns;
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) out[c * rows + r] = values[r * columns + c];
  return out;
}

void round_to_int8(std::vector<float>& values, std::size_t groups) {
  const auto scale = scales(values, groups);
  const std::size_t size = groups == 0 ? 0 : values.size() / groups;
  for (std::size_t i = 0; i < size * groups; ++i)
    values[i] = scale[i / size] * static_cast<float>(to_int8(values[i], scale[i / size]));
}

void write_int8(H5File& file, const std::string& name, const std::vector<float>& values, std::size_t groups,
                std::vector<std::int64_t> shape) {
  const auto scale = scales(values, groups);
  std::vector<std::int8_t> out(values.size());
  const std::size_t size = values.size() / groups;
  for (std::size_t i = 0; i < values.size(); ++i) out[i] = to_int8(values[i], scale[i / size]);
  file.write<std::int8_t>(name, out, std::move(shape));
  file.write(name + "_scale", scale);
}

std::vector<float> read_int8(const H5File& file, const std::string& name, std::size_t groups) {
  const auto values = file.read<std::int8_t>(name);
  const auto scale = file.read<float>(name + "_scale");
  if (scale.size() != groups || values.size() % groups != 0)
    throw InputError(file.name(), 0,
                     fmt::format("{}: {} values with {} scales", name, values.size(), scale.size()),
                     fmt::format("{} scales", groups));
  std::vector<float> out(values.size());
  const std::size_t size = values.size() / groups;
  for (std::size_t i = 0; i < values.size(); ++i) out[i] = scale[i / size] * static_cast<float>(values[i]);
  return out;
}

int read_count(const H5File& file, const char* name, std::int64_t least, std::int64_t most) {
  const std::int64_t value = file.get_integer("/", name);
  if (value < least || value > most)
    throw InputError(file.name(), 0, fmt::format("{} = {}", name, value),
                     fmt::format("{} to {}", least, most));
  return static_cast<int>(value);
}

float weight_scale(const std::vector<float>& weights) {
  const float most = weights.empty() ? 1.0f : *std::max_element(weights.begin(), weights.end());
  return most > 0 ? most : 1.0f;
}

std::uint16_t to_uint16(float weight, float scale) {
  return static_cast<std::uint16_t>(std::clamp(std::lround(weight / scale * 65535), 0L, 65535L));
}

fs::path folder() { return home() / "models" / "moe" / "profiles"; }

}  // namespace

void RoutingProfile::resize(Part part, int rows) {
  tables[part].rows = rows;
  tables[part].values.assign(
      static_cast<std::size_t>(layers) * static_cast<std::size_t>(rows) * static_cast<std::size_t>(experts),
      0.0f);
}

void RoutingProfile::active(int layer, const std::int16_t* row, const std::int16_t* before,
                            std::int64_t decoded, std::vector<Active>& out) const {
  out.clear();
  out.push_back({base, 0});
  if (!position_first.empty() && decoded >= 0)
    out.push_back(
        {position, static_cast<int>(std::upper_bound(position_first.begin(), position_first.end(), decoded) -
                                    position_first.begin()) -
                       1});
  const auto add = [&](Part part, const std::int16_t* chosen, int first) {
    for (int rank = 0; rank < top_k; ++rank)
      if (chosen[rank] >= 0) out.push_back({part, first + chosen[rank]});
  };
  for (int d = 1, most = distances(); d <= most; ++d) {
    const std::int16_t* from = layer - d >= 0 ? row : before;
    const int at = layer - d >= 0 ? layer - d : layer - d + layers;
    if (from != nullptr && at >= 0) add(previous_layers, from + at * top_k, (d - 1) * experts);
  }
  if (before != nullptr && tables[previous_token].rows > 0) add(previous_token, before + layer * top_k, 0);
}

std::string RoutingProfile::fault() const {
  const auto cells = [&](Part part) {
    return static_cast<std::size_t>(layers) * static_cast<std::size_t>(tables[part].rows) *
           static_cast<std::size_t>(experts);
  };
  for (int part = 0; part < kParts; ++part) {
    const Table& t = tables[static_cast<std::size_t>(part)];
    if (t.values.size() != cells(static_cast<Part>(part)))
      return fmt::format("{}: another size", kNames[part]);
    if (!std::all_of(t.values.begin(), t.values.end(), [](float v) { return std::isfinite(v); }))
      return fmt::format("{}: not finite", kNames[part]);
  }
  if (tables[base].rows != 1) return "/base: not one row a layer";
  if (tables[position].rows != std::ssize(position_first)) return "/position: not a row for each bucket";
  if (!position_first.empty() &&
      (position_first.front() != 0 || !std::is_sorted(position_first.begin(), position_first.end())))
    return "/position_first: not ascending from 0";
  if (tables[previous_layers].rows % experts != 0) return "/previous_layers: not a row for each expert";
  if (distances() > layers) return "/previous_layers: reaches over more than a token";
  for (const Part part : {previous_token, together})
    if (tables[part].rows != 0 && tables[part].rows != experts)
      return fmt::format("{}: not a row for each expert", kNames[part]);
  if (!(sharpness > 0 && sharpness <= 100)) return "sharpness: not in 0 to 100";
  if (latents() == 0) return path.empty() && paths.empty() ? "" : "/paths without /latent";
  if (path.empty() || segment_tokens < 1) return "/latent without paths";
  std::size_t segments = 0;
  for (const Path& p : path) {
    if (p.prefill < 0 || p.decode < 1) return "a path without a decoded token";
    segments += static_cast<std::size_t>(p.prefill) + static_cast<std::size_t>(p.decode);
  }
  if (paths.size() != segments * static_cast<std::size_t>(latents())) return "/paths: another size";
  if (!std::all_of(paths.begin(), paths.end(), [](float v) { return std::isfinite(v); }))
    return "/paths: not finite";
  return "";
}

void RoutingProfile::round() {
  for (std::size_t part = 0; part < kParts; ++part)
    if (part != base) round_to_int8(tables[part].values, static_cast<std::size_t>(layers));
  const auto columns = static_cast<std::size_t>(latents());
  auto by_dimension = transposed(paths, columns);
  round_to_int8(by_dimension, columns);
  if (columns > 0) paths = transposed(by_dimension, paths.size() / columns);
  const float scale = weight_scale(weights);
  for (float& w : weights) w = scale * static_cast<float>(to_uint16(w, scale)) / 65535;
}

void RoutingProfile::save(const fs::path& name) const {
  H5File file = H5File::create(name);
  file.set("/", "format", kFormat);
  file.set("/", "version", std::int64_t{1});
  file.set("/", "layers", std::int64_t{layers});
  file.set("/", "experts", std::int64_t{experts});
  file.set("/", "top_k", std::int64_t{top_k});
  file.set("/", "model", model);
  file.set("/", "source", source);
  file.set("/", "licence", licence);
  file.set("/", "fitted_on", fitted_on);
  file.set("/", "notes", notes);
  file.set("/", "created_by", "specmoe " + version());
  file.set("/", "marginals_only", std::int64_t{marginals_only});
  file.set("/", "segment_tokens", std::int64_t{segment_tokens});
  file.set("/", "sharpness", sharpness);
  for (std::size_t part = 0; part < kParts; ++part)
    if (part == base)
      file.write<float>(kNames[part], tables[part].values, {layers, 1, experts});
    else if (tables[part].rows > 0)
      write_int8(file, kNames[part], tables[part].values, static_cast<std::size_t>(layers),
                 {layers, tables[part].rows, experts});
  if (!position_first.empty()) file.write("/position_first", position_first);
  if (latents() > 0) {
    const auto columns = static_cast<std::size_t>(latents());
    const std::size_t segments = paths.size() / columns;
    const auto by_dimension = transposed(paths, columns);
    const auto scale = scales(by_dimension, columns);
    std::vector<std::int8_t> out(paths.size());
    for (std::size_t i = 0; i < paths.size(); ++i) out[i] = to_int8(paths[i], scale[i % columns]);
    file.write<std::int8_t>("/paths", out, {static_cast<std::int64_t>(segments), latents()});
    file.write("/paths_scale", scale);
    std::vector<std::int32_t> prefill, decode;
    for (const Path& p : path) {
      prefill.push_back(p.prefill);
      decode.push_back(p.decode);
    }
    file.write("/path_prefill", prefill);
    file.write("/path_decode", decode);
  }
  if (!weights.empty()) {
    const float scale = weight_scale(weights);
    std::vector<std::uint16_t> out;
    for (const float w : weights) out.push_back(to_uint16(w, scale));
    file.write<std::uint16_t>("/weights", out, {layers, weight_samples(), top_k});
    file.write("/weights_scale", std::vector<float>{scale});
  }
  if (!fitted.empty()) {
    std::vector<std::int64_t> request, rows;
    for (const Fitted& f : fitted) {
      request.push_back(f.request);
      rows.push_back(f.decode_rows);
    }
    file.write("/fitted/request", request);
    file.write("/fitted/decode_rows", rows);
    file.set("/fitted", "trace_requests", trace_requests);
    file.set("/fitted", "trace_tokens", trace_tokens);
  }
}

RoutingProfile RoutingProfile::load(const std::string& name_or_file) {
  std::error_code ignored;
  fs::path name = folder() / (name_or_file + ".h5");
  if (name_or_file.find('/') != std::string::npos || !fs::is_regular_file(name, ignored)) name = name_or_file;
  if (!fs::is_regular_file(name, ignored)) {
    std::string names;
    for (const std::string& known : profile_names()) names += (names.empty() ? "" : ", ") + known;
    throw InputError("", 0, fmt::format("no routing profile \"{}\"", name_or_file),
                     "a file, or one of " + names);
  }
  try_reading(name, [&] { read_untried(name); });
  return read_untried(name);
}

RoutingProfile RoutingProfile::read_untried(const fs::path& name) {
  const H5File file = H5File::open(name);
  if (!file.has("/", "format") || file.get_string("/", "format") != kFormat)
    throw InputError(file.name(), 0, "is no routing profile", "a file that specmoe trace fit has written");
  if (file.get_integer("/", "version") != 1)
    throw InputError(file.name(), 0, fmt::format("version {}", file.get_integer("/", "version")),
                     "version 1");
  RoutingProfile p;
  p.read_from = file.name();
  p.layers = read_count(file, "layers", 1, 10'000);
  p.experts = read_count(file, "experts", 1, 32'767);
  p.top_k = read_count(file, "top_k", 1, p.experts);
  p.model = file.get_string("/", "model");
  p.source = file.get_string("/", "source");
  p.licence = file.get_string("/", "licence");
  p.fitted_on = file.get_string("/", "fitted_on");
  p.notes = file.get_string("/", "notes");
  p.marginals_only = read_count(file, "marginals_only", 0, 1) == 1;
  p.segment_tokens = read_count(file, "segment_tokens", 1, 1'000'000);
  p.sharpness = file.get_number("/", "sharpness");
  for (std::size_t part = 0; part < kParts; ++part) {
    if (!file.exists(kNames[part])) continue;
    const auto shape = file.shape(kNames[part]);
    if (shape.size() != 3 || shape[0] != p.layers || shape[2] != p.experts || shape[1] < 1 ||
        shape[1] > 1'000'000)
      throw InputError(file.name(), 0, fmt::format("{}: another shape", kNames[part]),
                       fmt::format("[{}, rows, {}]", p.layers, p.experts));
    p.tables[part] = {static_cast<int>(shape[1]),
                      part == base ? file.read<float>(kNames[part])
                                   : read_int8(file, kNames[part], static_cast<std::size_t>(p.layers))};
  }
  if (file.exists("/position_first")) p.position_first = file.read<std::int32_t>("/position_first");
  if (p.latents() > 0) {
    const auto columns = static_cast<std::size_t>(p.latents());
    const auto values = file.read<std::int8_t>("/paths");
    const auto scale = file.read<float>("/paths_scale");
    const auto prefill = file.read<std::int32_t>("/path_prefill"),
               decode = file.read<std::int32_t>("/path_decode");
    if (scale.size() != columns || prefill.size() != decode.size())
      throw InputError(file.name(), 0, "/paths: scales or lengths of another number",
                       "one a dimension, one a path");
    for (std::size_t i = 0; i < values.size(); ++i)
      p.paths.push_back(scale[i % columns] * static_cast<float>(values[i]));
    int first = 0;
    for (std::size_t i = 0; i < prefill.size(); ++i) {
      const auto segments = static_cast<std::int64_t>(values.size() / columns);
      if (prefill[i] < 0 || decode[i] < 1 || std::int64_t{first} + prefill[i] + decode[i] > segments)
        throw InputError(file.name(), 0, fmt::format("/path_prefill, /path_decode: path {}", i),
                         fmt::format("segments of /paths, which has {}", segments));
      p.path.push_back({first, prefill[i], decode[i]});
      first += prefill[i] + decode[i];
    }
  }
  if (file.exists("/weights")) {
    const auto shape = file.shape("/weights");
    const auto scale = file.read<float>("/weights_scale");
    if (shape.size() != 3 || shape[0] != p.layers || shape[1] < 1 || shape[2] != p.top_k || scale.size() != 1)
      throw InputError(file.name(), 0, "/weights: another shape",
                       fmt::format("[{}, samples, {}], one scale", p.layers, p.top_k));
    for (const std::uint16_t w : file.read<std::uint16_t>("/weights"))
      p.weights.push_back(scale[0] * static_cast<float>(w) / 65535);
  }
  if (file.exists("/fitted/request")) {
    const auto request = file.read<std::int64_t>("/fitted/request"),
               rows = file.read<std::int64_t>("/fitted/decode_rows");
    for (std::size_t i = 0; i < std::min(request.size(), rows.size()); ++i)
      p.fitted.push_back({request[i], rows[i]});
    p.trace_requests = file.get_integer("/fitted", "trace_requests");
    p.trace_tokens = file.get_integer("/fitted", "trace_tokens");
  }
  if (const std::string fault = p.fault(); !fault.empty())
    throw InputError(file.name(), 0, fault, "a profile that specmoe trace fit has written");
  return p;
}

std::vector<std::string> profile_names() {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder(), ignored))
    if (entry.path().extension() == ".h5") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace specmoe
