// Bounds of a model's numbers, beyond any known model (Switch-C has 2048 experts), under which the bytes of a whole
// model fit 63 bits: 3 matrices x 2^16 x 2^20 x 2^12 experts x 2^10 layers x 2 B < 2^61.
#pragma once
#include <cstdint>

namespace specmoe {

constexpr std::int64_t kMostLayers = 1 << 10, kMostHidden = 1 << 16, kMostIntermediate = 1 << 20,
                       kMostExperts = 1 << 12, kMostHeads = 1 << 10, kMostVocabulary = 1 << 24,
                       kMostPositions = 1 << 24;
/// Columns of a recurrence's projections, elements of its state, its other parameters.
constexpr std::int64_t kMostColumns = 1 << 20, kMostState = 1 << 28;
/// Of a stored expert, and of all else that is stored.
constexpr std::int64_t kMostExpertBytes = 400'000'000'000, kMostResidentBytes = 1'000'000'000'000'000;

}  // namespace specmoe
