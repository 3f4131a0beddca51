// What bindings share, those of the processor and of graphics processors: addresses of an array's tensors and of a
// periphery's, and the model of its devices.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernel_table.hpp"

namespace tilewright {

template <class T>
T* at(uintptr_t address) {
    return reinterpret_cast<T*>(address);
}

// Addresses of (visible, persistent, up, down, max_bound, min_bound, slope_up, slope_down, reference); a parameter that
// is the same at every crosspoint is given as the negative of its address.
using Addresses = std::array<intptr_t, 9>;

inline Plane plane(intptr_t address) { return {at<const float>((uintptr_t)(address < 0 ? -address : address)), address < 0}; }

inline DeviceArgs with_arrays(const DeviceArgs& model, const Addresses& p, int64_t rows, int64_t cols) {
    DeviceArgs a = model;
    a.rows = rows;
    a.cols = cols;
    a.visible = at<float>((uintptr_t)p[0]);
    a.persistent = at<float>((uintptr_t)p[1]);
    a.up = plane(p[2]);
    a.down = plane(p[3]);
    a.max_bound = plane(p[4]);
    a.min_bound = plane(p[5]);
    a.slope_up = plane(p[6]);
    a.slope_down = plane(p[7]);
    a.reference = plane(p[8]);
    return a;
}

// The tensors of a periphery: output noise, nonlinearity, offsets, read asymmetry and the running mean of inputs; 0 when
// absent.
inline void freeze(ProductArgs& p, const std::array<uintptr_t, 5>& values) {
    p.io.out_noise_values = at<const float>(values[0]);
    p.io.nonlinearity_values = at<const float>(values[1]);
    p.io.offset_values = at<const float>(values[2]);
    p.io.asymmetry_values = at<const float>(values[3]);
    p.average = at<float>(values[4]);
}

// The numbers of a step model: doubles for the nominal response, floats for the kernels.
struct Shape {
    StepShape<double> exact;
    std::vector<double> nodes;
    std::vector<float> node_values, jumps;

    StepShape<float> single() const {
        StepShape<float> s;
        s.slope = (float)exact.slope;
        s.offset = (float)exact.offset;
        s.amplitude_up = (float)exact.amplitude_up;
        s.amplitude_down = (float)exact.amplitude_down;
        s.rate_up = (float)exact.rate_up;
        s.rate_down = (float)exact.rate_down;
        s.noise_add = (float)exact.noise_add;
        s.noise_slope = (float)exact.noise_slope;
        s.nodes = node_values.data();
        s.n_nodes = exact.n_nodes;
        s.jumps = jumps.data();
        s.n_scores = exact.n_scores;
        s.score_span = (float)exact.score_span;
        return s;
    }
};

// A device model keeps the tables its shape points to.
struct DeviceModel : DeviceArgs {
    std::shared_ptr<Shape> tables;
};

}  // namespace tilewright
