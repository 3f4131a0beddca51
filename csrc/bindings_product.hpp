// The part of the module that is about analog products.
#pragma once
#include <pybind11/pybind11.h>

namespace tilewright {

void bind_product(pybind11::module_& m);

}  // namespace tilewright
