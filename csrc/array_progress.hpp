// Where an array stands in its random numbers, and what its updates have sent so far.
#pragma once
#include "kernel_table.hpp"

namespace tilewright {

struct ArrayProgress {
    int64_t calls = 0, samples = 0;
    int64_t pulses = 0, truncated = 0, empty = 0, slots = 0;

    bool operator==(const ArrayProgress&) const = default;

    // Notes one more call.
    void took(const UpdateStats& stats, int64_t vectors) {
        ++calls;
        samples += vectors;
        pulses += stats.pulses;
        truncated += stats.truncated;
        empty += stats.empty;
        slots += stats.slots;
    }
};

}  // namespace tilewright
