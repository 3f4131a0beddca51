// The kernels of one build, by name.
#include "entries.hpp"

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
    TW_ISA::plan_transfers,
    TW_ISA::buffered_transfers,
    TW_ISA::refresh,
    TW_ISA::carry,
    TW_ISA::accumulate,
    TW_ISA::normals,
    TW_ISA::rate,
};

}  // namespace tilewright
