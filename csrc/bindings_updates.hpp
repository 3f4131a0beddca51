// The part of the module that is about pulsed updates.
#pragma once
#include <pybind11/pybind11.h>

namespace tilewright {

void bind_updates(pybind11::module_& m);

}  // namespace tilewright
