// The parts of an import from config.json.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "models/moe/import/config_keys.hpp"
#include "models/moe/model.hpp"

namespace specmoe {

/// A model on its way.
struct ConfigImport {
  /// The language model's object, and the whole document, which may have what that lacks.
  Config config, top;
  std::string type{};
  std::int64_t layers = 0;
  MoeModel model{};
  std::vector<std::string> notes{}, unverified{};
};

/// Which layers have experts: [layer].
using LayerRule = std::vector<bool> (*)(const ConfigImport&);
std::vector<bool> all_layers(const ConfigImport&);
/// As Qwen: every `decoder_sparse_step`-th but `mlp_only_layers`.
std::vector<bool> sparse_steps(const ConfigImport&);
/// As DeepSeek: every `moe_layer_freq`-th from `first_k_dense_replace` on; or a list of each layer's kind.
std::vector<bool> after_first_dense(const ConfigImport&);
std::vector<bool> llama4_layers(const ConfigImport&);
std::vector<bool> arctic_layers(const ConfigImport&);
std::vector<bool> jamba_layers(const ConfigImport&);
std::vector<bool> ernie_layers(const ConfigImport&);
std::vector<bool> enumerated_layers(const ConfigImport&);

/// Marks the layers that see a window of positions, and reads their own heads.
void import_windows(ConfigImport&);
/// Heads of ordinary or latent attention, biases and norms.
void import_attention(ConfigImport&);

// What stands in attention's place in some layers, and which layers.
void import_delta_net(ConfigImport&);
void import_kimi_delta(ConfigImport&);
void import_lightning(ConfigImport&);
/// Without its layers, which the models name in ways of their own.
void import_mamba2(ConfigImport&);
void import_granite_mamba(ConfigImport&);
void import_jamba_mamba(ConfigImport&);
void import_short_convolutions(ConfigImport&);

/// How weights are stored: dtype, quantization_config.
void import_formats(ConfigImport&);

// Models whose blocks are laid out otherwise: all of their blocks and feed-forward networks.
void import_switch(ConfigImport&);
void import_nllb(ConfigImport&);
void import_nemotron(ConfigImport&);
void import_longcat(ConfigImport&);

}  // namespace specmoe
