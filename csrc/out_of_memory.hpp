// Raised when working memory of a kernel cannot be had; Python sees it as a MemoryError.
#pragma once
#include <cstddef>
#include <cstdint>

namespace tilewright {

[[noreturn]] void out_of_memory(int64_t count, size_t size);

}  // namespace tilewright
