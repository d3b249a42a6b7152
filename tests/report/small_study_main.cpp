// small_study <file> <design>: the study for tests of the page in a browser.
#include "tests/report/small_study.hpp"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  specmoe::write_small_study(argv[1], argv[2]);
}
