#include <doctest/doctest.h>

#include <algorithm>

#include "tests/cli/command.hpp"
#include "validation/calibration/measurement.hpp"

using namespace specmoe;

TEST_CASE("specmoe-calibrate: fit of a missing, a foreign and an incomplete file ends with 2 and one line") {
  const TemporaryFolder folder;
  folder.write("text.h5", "gpu: H100\n");
  Measurement().write(folder / "empty.h5");
  for (const char* arguments : {"fit missing.h5 --out a.yaml", "fit text.h5 --out a.yaml",
                                "fit empty.h5 --out a.yaml", "fit . --out a.yaml", "fit text.h5", "fit", "",
                                "frobnicate", "fit text.h5 --out a.yaml --frobnicate"}) {
    CAPTURE(arguments);
    const CommandResult result = calibrate_command(folder, arguments);
    CHECK(result.status == 2);
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    CHECK(result.out.empty());
    CHECK_FALSE(std::filesystem::exists(folder / "a.yaml"));
  }
  CHECK(calibrate_command(folder, "fit missing.h5 --out a.yaml").err.rfind("missing.h5: no such file", 0) ==
        0);
}

TEST_CASE("specmoe-calibrate: --help tells what is there, and without CUDA that measuring is left out") {
  const TemporaryFolder folder;
  const CommandResult result = calibrate_command(folder, "--help");
  CHECK(result.status == 0);
  CHECK(result.err.empty());
  CHECK(result.out.find("\n  fit ") != std::string::npos);
#ifdef SPECMOE_CUDA
  CHECK(result.out.find("\n  measure ") != std::string::npos);
#else
  CHECK(result.out.find("\n  measure ") == std::string::npos);
  CHECK(result.out.find("Built without a CUDA compiler: measure, run, check and devices are left out.") !=
        std::string::npos);
  CHECK(calibrate_command(folder, "measure --out a.h5").status == 2);
#endif
}
