// How far published tokens a second lie from simulated ones: validation/published/errors.yaml.
//
// classes:
//   link: {rows: 6, low: 0.8, high: 1.2}
// `low` and `high` are the 10th and 90th percentile of published / simulated over so many published rows. Classes: gpu,
// link, cpu, hybrid, disk, by what computes and delivers the experts; `all` pools them.
#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace specmoe {

/// How far so many published numbers lie from simulated ones.
struct ErrorRange {
  std::int64_t rows;
  double low, high;
};

/// Those ranges, by what bounds a run.
class PublishedErrors {
 public:
  /// Where a class has fewer rows, `all` answers for it.
  static constexpr std::int64_t kFewestRows = 3;

  /// @return without any range where there is no such file @throws InputError if it is not one of errors
  static PublishedErrors load(const std::filesystem::path& file);
  /// The shipped file.
  static std::filesystem::path file();

  /// The range that answers for a class.
  struct Answer {
    ErrorRange range;
    std::string of;  // the class, or "all"
  };
  /// None where there is neither the class nor `all`.
  std::optional<Answer> of(const std::string& name) const;

 private:
  std::map<std::string, ErrorRange> classes_;
};

}  // namespace specmoe
