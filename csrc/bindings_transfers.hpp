// The part of the module that is about reads of single lines and what transfer cells do with them.
#pragma once
#include <pybind11/pybind11.h>

namespace tilewright {

void bind_transfers(pybind11::module_& m);

}  // namespace tilewright
