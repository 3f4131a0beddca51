// What reads of single lines deliver, and what the digital buffer makes of them.
#pragma once
#include "converter.hpp"

namespace tilewright::TW_ISA {
namespace {

TW_INLINE float magnitude_of(float v) { return v < 0 ? -v : v; }

// Reading one line costs one line: a one on that line and zeros elsewhere give the same distribution as a full product.
template <class V>
TW_INLINE V read_line(const BufferArgs& b, V weights, V noise, V weight_noise, Key rounding, int64_t index, uint64_t event) {
    const ReadArgs& io = b.io;
    V y = weights * b.read_input;
    if (io.mode == ProductMode::Perfect) return weights * io.out_scale;
    if (io.w_noise_kind == WeightNoise::AdditiveConstant) y = y + io.w_noise * magnitude_of(b.read_input) * weight_noise;
    if (io.w_noise_kind == WeightNoise::PCMRead)
        y = y + io.w_noise * magnitude_of(b.read_input) * square_root(magnitude(weights)) * weight_noise;
    y = digitised(io, y, io.out_noise * noise, rounding, index, Draw{0, event});
    if (io.out_bound > 0) y = within(y, io.out_bound);
    return y * io.out_scale;
}

// The buffer at some crosspoints after a read, and the pulses that leave it.
template <class V>
struct BufferStep {
    V held, pulses;
};
template <class V>
TW_INLINE BufferStep<V> fill(const BufferArgs& b, V held, V read) {
    const V most = V{} + (float)b.max_pulses;
    V omega = held + read;
    const V whole = to_float(to_int(minimum(maximum(omega, -most - 0.5f), most + 0.5f)));
    const V pulses = minimum(maximum(whole, -most), most);
    const V after = b.forget ? omega * b.momentum : omega - (1.0f - b.momentum) * pulses;
    omega = blend(pulses != 0.0f, after, omega);
    if (!b.forget && b.cap > 0) omega = minimum(maximum(omega, -b.cap * most), b.cap * most);
    return {omega, pulses};
}

}  // namespace
}  // namespace tilewright::TW_ISA
