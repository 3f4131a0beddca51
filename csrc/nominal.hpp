// The noise-free response of one nominal device in double precision, so that fits can differentiate it.
#pragma once
#include <cstdint>

#include "kernel_table.hpp"

namespace tilewright {

struct NominalDevice {
    DeviceKind kind;
    double up, down, max_bound, min_bound, slope_up, slope_down;
    StepShape<double> shape;
};

// Writes n + 1 states: the start, and the state after each pulse. A pulse of +-k is k steps.
void nominal_response(const NominalDevice& device, const int8_t* pulses, int64_t n, double start, double* out);

}  // namespace tilewright
