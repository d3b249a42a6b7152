#include "sim/base/unfinished_file.hpp"

#include "sim/base/input_error.hpp"

namespace specmoe {

UnfinishedFile::~UnfinishedFile() {
  std::error_code ignored;
  if (!file_.empty()) std::filesystem::remove(path(), ignored);
}

void UnfinishedFile::publish() {
  std::error_code error;
  std::filesystem::rename(path(), file_, error);
  if (error) throw InputError(file_.string(), 0, "cannot be written: " + error.message(), "a writable place");
  file_.clear();
}

}  // namespace specmoe
