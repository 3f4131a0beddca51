#include "out_of_memory.hpp"

#include <cstdio>
#include <new>

namespace tilewright {
namespace {

class OutOfMemory : public std::bad_alloc {
  public:
    OutOfMemory(int64_t count, size_t size) {
        std::snprintf(text_, sizeof text_, "a kernel cannot get %.4g MB of working memory; use a smaller batch or a smaller tile",
                      (double)count * (double)size / 1e6);
    }
    const char* what() const noexcept override { return text_; }

  private:
    char text_[128];
};

}  // namespace

void out_of_memory(int64_t count, size_t size) { throw OutOfMemory(count, size); }

}  // namespace tilewright
