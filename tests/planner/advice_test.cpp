#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sim/base/input_error.hpp"
#include "sim/planner/advice.hpp"
#include "tests/planner/small_question.hpp"

using namespace specmoe;
using Json = nlohmann::json;

namespace {

const Formats kBf16{WeightFormat::bf16, WeightFormat::bf16}, kFp8{WeightFormat::fp8, WeightFormat::fp8},
    kInt4{WeightFormat::int4, WeightFormat::fp8}, kInt2{WeightFormat::int2, WeightFormat::fp8};

Advice asked(const Question& question) {
  AdviceOptions options;
  options.jobs = 2;
  options.errors = "none.yaml";
  return advise(question, options);
}

}  // namespace

TEST_CASE("plan: the search finds what trying everything finds") {
  const TemporaryFolder folder;
  const Question question = small_question(folder, 9.5, 32);
  const Advice advice = asked(question);
  REQUIRE(advice.rows.size() == 5);
  for (const Row& row : advice.rows) {
    CAPTURE(name_of(row.precision));
    const Setting setting = read_setting(question, row.precision);
    Trials trials(2);
    for (std::size_t c = 0; c < setting.candidates.size(); ++c)
      trials.add_decode(question, setting, c, kTrialTokens);
    double best = 0;
    for (const Trial& trial : trials.run()) best = std::max(best, trial.tokens_per_second);
    CHECK(row.trial.tokens_per_second == best);
  }
}

TEST_CASE("plan: without a target the fastest of 4 bits or more, or native within 15 %") {
  CHECK(recommend({{kBf16, 10}, {kFp8, 20}, {kInt4, 40}, {kInt2, 80}}, kBf16, {}).first == 2);
  // 40 / 35 = 1.143
  CHECK(recommend({{kBf16, 35}, {kFp8, 20}, {kInt4, 40}}, kBf16, {}).first == 0);
  CHECK(recommend({{kBf16, 34}, {kFp8, 20}, {kInt4, 40}}, kBf16, {}).first == 2);
  // Native has no room: fp8 is not native.
  CHECK(recommend({{kFp8, 39}, {kInt4, 40}}, kBf16, {}).first == 1);
  CHECK(recommend({{kInt2, 5}}, kBf16, {}).first == 0);
}

TEST_CASE("plan: with a target the highest precision that reaches it, else the fastest") {
  const std::vector<Offer> offers{{kBf16, 10}, {kFp8, 20}, {kInt4, 40}, {kInt2, 80}};
  CHECK(recommend(offers, kBf16, 9).first == 0);
  CHECK(recommend(offers, kBf16, 20).first == 1);
  CHECK(recommend(offers, kBf16, 21).first == 2);
  CHECK(recommend(offers, kBf16, 79).first == 3);
  const auto [none, why] = recommend(offers, kBf16, 81);
  CHECK(none == 2);
  CHECK(why.starts_with("none reaches 81 tok/s"));
}

TEST_CASE("plan: twice as much of anything makes the best way no slower") {
  const TemporaryFolder folder;
  for (const double gpu : {3.5, 9.5, 20.5})
    for (const std::int64_t host : {12, 32}) {
      CAPTURE(gpu);
      CAPTURE(host);
      const Advice advice = asked(small_question(folder, gpu, host));
      REQUIRE(advice.upgrades.size() >= 6);
      // What is held in a larger cache is another set of experts: equal up to the luck of 64 tokens.
      for (const Upgrade& upgrade : advice.upgrades)
        if (upgrade.what.starts_with("twice")) CHECK_MESSAGE(upgrade.gain > 0.97, upgrade.what);
      CHECK(std::is_sorted(advice.upgrades.begin(), advice.upgrades.end(),
                           [](const Upgrade& a, const Upgrade& b) { return a.gain > b.gain; }));
    }
}

TEST_CASE("plan: the best batch is looked for where none is given, and is no slower than one sequence") {
  const TemporaryFolder folder;
  Question question = small_question(folder, 300, 32);
  CHECK_FALSE(asked(question).best_batch);
  question.batch.reset();
  const Advice advice = asked(question);
  REQUIRE(advice.best_batch);
  CHECK(advice.best_batch->tokens_per_second >= advice.rows[*advice.best].trial.tokens_per_second);
  // Room for 300 experts of 196,608 B beside those of one sequence; another needs 1,024 B x 1000 and its activations.
  CHECK(advice.best_batch->batch > 1);
}

TEST_CASE("plan: what fits nowhere is an answer, which says what is missing") {
  const TemporaryFolder folder;
  // Not even int2, 2.6 bits: an expert of 31,949 B, all of 1.02 MB; the disk has 1 MB.
  const Advice advice = asked(small_question(folder, 0.5, 0, {1'000'000}));
  CHECK_FALSE(advice.feasible());
  CHECK(advice.rows.empty());
  CHECK(advice.without_room.size() == 5);
  CHECK(answer_of(advice).starts_with("No: small does not run on rtx4090"));
  const Json json = Json::parse(advice_json(advice));
  CHECK(json["feasible"] == false);
  CHECK(json["recommended"].is_null());
  CHECK(json["missing"].get<std::string>().find("host memory or disk") != std::string::npos);
}

TEST_CASE("plan: json tells the rows, the bill and what would help") {
  const TemporaryFolder folder;
  const Advice advice = asked(small_question(folder, 9.5, 32));
  const Json json = Json::parse(advice_json(advice));
  CHECK(json["feasible"] == true);
  CHECK(json["missing"].is_null());
  CHECK(json["interval"].is_null());  // no file of errors
  CHECK(json["bill"]["kv_cache"] == kSmallCache);
  CHECK(json["bill"]["reserved"] == 600'000'000);
  CHECK(json["batch"] == 1);
  CHECK(json["context"] == 1000);
  REQUIRE(json["rows"].size() == 5);
  CHECK(json["rows"][0]["experts"] == "bf16");
  CHECK(json["rows"][0]["gpu_experts"] == 9 * kSmallExpert);
  for (const Json& row : json["rows"])
    for (const char* key : {"tokens_per_second", "tpot", "ttft", "hit_rate", "energy_per_token"})
      CHECK(row[key].get<double>() > 0);
  CHECK(json["recommended"] == *advice.best);
  CHECK(json["upgrades"][0]["gain"].get<double>() >= 1);
  CHECK(json["flags"][0]["engine"] == "llama.cpp");
}

TEST_CASE("plan: the interval is that of published runs of the class, or of all where it has few") {
  const TemporaryFolder folder;
  const auto file =
      folder.write("errors.yaml",
                   "classes:\n  gpu: {rows: 5, low: 0.8, high: 1.1}\n  link: {rows: 2, low: 0.5, high: 2}\n"
                   "  all: {rows: 9, low: 0.7, high: 1.3}\n");
  const PublishedErrors errors = PublishedErrors::load(file);
  CHECK(errors.of("gpu")->range.low == 0.8);
  CHECK(errors.of("gpu")->of == "gpu");
  CHECK(errors.of("link")->range.rows == 9);
  CHECK(errors.of("disk")->of == "all");
  CHECK_FALSE(PublishedErrors::load(folder / "none.yaml").of("gpu"));
  const auto wrong = folder.write("wrong.yaml", "classes:\n  gpu: {rows: 5, low: 2, high: 1}\n");
  CHECK_THROWS_AS(PublishedErrors::load(wrong), InputError);

  AdviceOptions options;
  options.jobs = 2;
  options.errors = file;
  const Advice advice = advise(small_question(folder, 32.5, 0, {1'000'000}), options);
  const double speed = advice.rows[*advice.best].trial.tokens_per_second;
  const Json interval = Json::parse(advice_json(advice))["interval"];
  CHECK(interval["class"] == "gpu");
  CHECK(interval["low"] == doctest::Approx(0.8 * speed));
  CHECK(interval["high"] == doctest::Approx(1.1 * speed));
  CHECK(interval["published_rows"] == 5);
  CHECK(advice_text(advice).find("class gpu, 5 rows") != std::string::npos);
}

TEST_CASE("plan: a row's class is who computes and delivers its experts") {
  Row row{};
  const auto of = [&](Way way, double on_cpu) {
    row.candidate.way = way;
    row.trial.cpu_rate = on_cpu;
    return error_class(row);
  };
  CHECK(of(Way::resident, 0) == "gpu");
  CHECK(of(Way::fetched, 0) == "link");
  CHECK(of(Way::shared, 0.5) == "hybrid");
  CHECK(of(Way::on_cpu, 0.74) == "hybrid");
  CHECK(of(Way::on_cpu, 0.75) == "cpu");
  CHECK(of(Way::from_disk, 0) == "disk");
}
