#include "sim/report/page.hpp"

#include <fstream>

#include "sim/base/input_error.hpp"
#include "sim/base/unfinished_file.hpp"
#include "sim/report/page_bundle.hpp"
#include "sim/report/page_data.hpp"

namespace specmoe {

std::string page_text(const std::vector<std::filesystem::path>& files, const std::string& live) {
  return std::string(page_before_data) + page_data(files, live) + std::string(page_after_data);
}

void write_page(const std::vector<std::filesystem::path>& files, const std::filesystem::path& page) {
  const std::string text = page_text(files);
  UnfinishedFile file(page);
  {
    std::ofstream out(file.path(), std::ios::binary);
    if (!(out << text).flush()) throw InputError(page.string(), 0, "cannot be written", "a writable place");
  }
  file.publish();
}

}  // namespace specmoe
