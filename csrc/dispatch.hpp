// Chooses the build of the kernels that fits the processor this process runs on.
#pragma once
#include <string>
#include <vector>

#include "kernel_table.hpp"

namespace tilewright {

// Builds this processor can run, plainest first.
std::vector<const KernelTable*> runnable_tables();

// The build in use: the best one, or the one named by the environment variable TILEWRIGHT_ISA.
const KernelTable& active_table();

}  // namespace tilewright
