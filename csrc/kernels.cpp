// One build of the kernels. CMake compiles this file once for each instruction set, with TW_ISA naming the build.
#include "buffer.hpp"
#include "product.hpp"
#include "rates.hpp"
#include "trace.hpp"
#include "update.hpp"

#define TW_TEXT(name) #name
#define TW_NAME(name) TW_TEXT(name)

namespace tilewright {

extern const KernelTable TW_TABLE;
const KernelTable TW_TABLE = {
    TW_NAME(TW_ISA),
    TW_ISA::update,
    TW_ISA::trace,
    TW_ISA::product,
    TW_ISA::buffer,
    TW_ISA::read_lines,
    TW_ISA::follow,
    TW_ISA::carry,
    TW_ISA::accumulate,
    TW_ISA::normals,
    TW_ISA::rate,
};

}  // namespace tilewright
