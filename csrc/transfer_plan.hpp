// What happens when in a mini-batch of a transfer cell: the learning rate of each vector, the reads of the fast array,
// and the choppers. None of it depends on the weights, so it is settled before the arrays are touched.
#pragma once
#include <cstdint>

namespace tilewright {

struct TransferPlanArgs {
    const float* x = nullptr;  // (samples, inputs)
    const float* d = nullptr;  // (samples, outputs)
    int64_t samples = 0, inputs = 0, outputs = 0;
    int64_t batch = 0;    // vectors of the whole mini-batch, of which these are some; 0 where they are all
    bool columns = true;  // lines read are inputs; otherwise outputs
    int64_t period = 1;   // vectors between reads
    double lr = 0;        // fast learning rate before automatic scaling
    bool auto_scale = false;
    double auto_momentum = 0.99;
    double largest_step = 0;  // pulses times granularity the largest gradient is scaled to
    double in_chop_prob = 0, out_chop_prob = 0;
    bool in_chop_random = true;
    bool dynamic = false;  // regular choppers always, and reads relative to a reference that follows their flips
    uint64_t seed = 0;
    // State, updated in place.
    int64_t* counters = nullptr;  // vectors seen, next line, sweeps done, reads done
    double* maxima = nullptr;     // running maxima of |x| and |d|
    int8_t* in_chop = nullptr;    // (lines)
    int8_t* out_chop = nullptr;   // (length of a line)
    int8_t* switched = nullptr;   // (lines) chopper flipped since the last read; dynamic only
    // Results; room for `samples` events.
    float* fast_lr = nullptr;
    float* x_chopped = nullptr;  // null when there are no choppers
    float* d_chopped = nullptr;
    int32_t* event_after = nullptr;
    int32_t* event_line = nullptr;
    float* event_lr = nullptr;
    int8_t* event_sign = nullptr;
    int8_t* event_out_sign = nullptr;  // (events, length)
    int8_t* event_fresh = nullptr;     // dynamic only: first read after a flip
    int8_t* event_writes = nullptr;    // dynamic only: the reference is settled
};

}  // namespace tilewright
