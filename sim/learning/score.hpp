// How right predictions are, with intervals over requests, paired comparisons and calibration.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sim/base/bootstrap.hpp"
#include "sim/learning/guesser.hpp"
#include "sim/learning/predictions.hpp"

namespace specmoe {

/// What a score counts.
struct ScoreOptions {
  bool decode_only = false;               // leave out what prefill rows predict
  std::vector<int> budgets{1, 3, 5, 10};  // recall is also told at these, as far as that many are named
};

/// What is counted. Truth are the experts that the target layer chose; rows without any are left out.
struct Metric {
  enum class Kind {
    top1,      // share of rows whose first guess is right
    recall,    // share of true experts among the first `budget` guesses
    coverage,  // share of rows all of whose true experts are among the first `budget` guesses
  };
  Kind kind = Kind::recall;
  int budget = 0;  // guesses that count; 0 = top_k. Coverage is counted at top_k, 2 top_k and 3 top_k
};

/// Target layers that are scored together: of the same token (distance .. layers - 1), of the next token (0 ..
/// distance - 1, predicted from the last layers), or a single one (`layer`).
struct Where {
  int distance = 1;
  bool next_token = false;
  int layer = -1;
};

/// Counts of one guesser on some requests. Comparisons are paired: the same requests, in the same order, and the same
/// resamples.
class Score {
 public:
  Score(const LearningData& data, ScoreOptions options = {});
  /// Counts a request. @throws std::logic_error for predictions of another shape.
  void add(const LearningData& data, int request, const Predictions& predictions);
  /// Part of the score: these requests only. @throws std::logic_error if one was not added.
  Score only(std::span<const int> requests) const;

  /// Pooled over the target layers; where every layer routes every token that is the mean over layers. NaN of nothing.
  double value(const Metric& metric, const Where& where) const;
  /// With its 95 % interval over requests, as have the comparisons below.
  Estimate estimate(const Metric& metric, const Where& where, std::uint64_t seed = 1) const;

  int layers() const { return layers_; }
  int top_k() const { return top_k_; }
  const std::vector<int>& recall_budgets() const { return recall_at_; }  // ascending, top_k among them
  const std::vector<int>& coverage_budgets() const {
    return coverage_at_;
  }  // those of 1, 2, 3 top_k that are named
  const std::vector<int>& requests() const { return requests_; }
  /// Rows with truth in a place.
  std::int64_t rows(const Where& where) const;

  /// Guesses of about the same confidence.
  struct Bin {
    std::int64_t guesses = 0, right = 0;
    double confidence = 0;  // sum
  };
  /// Of all named experts at a distance, by confidence 0 to 0.1, ... 0.9 to 1. Confidences outside are clipped.
  std::array<Bin, 10> reliability(int distance) const;
  /// Mean distance of the bins' shares of right guesses from their mean confidence, weighted by guesses.
  double calibration_error(int distance) const;

 private:
  friend Estimate ratio(const Score&, const Score&, const Metric&, const Where&, std::uint64_t);
  friend Estimate difference(const Score&, const Score&, const Metric&, const Where&, std::uint64_t);
  struct Share {
    std::int64_t right = 0, of = 0;
  };
  Share share(std::size_t request, const Metric& metric, const Where& where) const;
  std::vector<Share> shares(const Metric& metric, const Where& where) const;
  static std::pair<std::vector<Share>, std::vector<Share>> paired(const Score&, const Score&, const Metric&,
                                                                  const Where&);

  int layers_ = 0, experts_ = 0, top_k_ = 0, ranks_ = 0;
  bool decode_only_ = false;
  std::vector<int> recall_at_, coverage_at_;  // ascending
  std::vector<int> requests_;
  std::vector<std::vector<std::int64_t>> counts_;  // [request] -> [distance - 1, target layer, counter]
  std::vector<std::array<std::array<Bin, 10>, kDistances>> bins_;  // [request][distance - 1]
};

/// How many times, and by how much, `score` is higher than `base`; paired. @throws std::logic_error if they scored
/// different requests.
Estimate ratio(const Score& score, const Score& base, const Metric& metric, const Where& where,
               std::uint64_t seed = 1);
Estimate difference(const Score& score, const Score& base, const Metric& metric, const Where& where,
                    std::uint64_t seed = 1);

/// Lets a fitted guesser predict these requests, and scores it.
Score score_guesser(Guesser& guesser, const LearningData& data, std::span<const int> requests,
                    const ScoreOptions& options = {});

/// A guesser's score, by its name.
struct ScoredGuesser {
  std::string name;
  Score score;
  bool gives_probabilities = false;
};

/// Rows: guessers, and each again at every distance, the next token's layers apart. Columns: top-1, recall at k with its
/// interval, its lift over the guessers named popularity and transition where they are there, coverage at k, 2k, 3k,
/// calibration error.
std::string score_table(std::span<const ScoredGuesser> guessers);
/// Everything by guesser, distance and target layer; commas, a header line.
std::string score_csv(std::span<const ScoredGuesser> guessers);
/// Confidence, and what came true of it; guessers that give probabilities.
std::string reliability_table(std::span<const ScoredGuesser> guessers, int distance = 1);

}  // namespace specmoe
