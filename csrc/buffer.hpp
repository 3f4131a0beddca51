// Digital memory beside the arrays: a buffer that noisy reads of single lines fill until they make whole pulses, and an
// accumulator that gives up its whole steps.
#pragma once
#include "kernel_table.hpp"
#include "random.hpp"

namespace tilewright::TW_ISA {
namespace {

// Reading one line costs one line: a one on that line and zeros elsewhere give the same distribution as a full product.
TW_INLINE f8 read_line(const BufferArgs& b, f8 weights, f8 noise, f8 weight_noise, Key rounding, int64_t index, uint64_t event) {
    const ReadArgs& io = b.io;
    f8 y = weights * b.read_input;
    if (io.mode == ProductMode::Perfect) return weights * io.out_scale;
    if (io.w_noise_kind == WeightNoise::AdditiveConstant) y = y + io.w_noise * __builtin_fabsf(b.read_input) * weight_noise;
    if (io.w_noise_kind == WeightNoise::PCMRead)
        y = y + io.w_noise * __builtin_fabsf(b.read_input) * square_root(magnitude(weights)) * weight_noise;
    if (io.out_asymmetry > 0) y = blend(y < 0.0f, y * (1.0f - io.out_asymmetry), y);
    if (io.out_noise > 0) y = y + io.out_noise * noise;
    if (io.adc_step > 0) {
        f8 steps = y / io.adc_step;
        if (io.out_sto_round) {
            const u8 bits = philox(rounding, lane_index() + splat_u((uint32_t)index), 0, event).w[0];
            steps = steps + (unit_uniform(bits) - 0.5f);
        }
        y = round_even(steps) * io.adc_step;
    }
    if (io.out_bound > 0) y = minimum(maximum(y, splat(-io.out_bound)), splat(io.out_bound));
    return y * io.out_scale;
}

int64_t buffer(const BufferArgs& b) {
    int64_t sent = 0;
    const Key noise_key = make_key(b.seed, kOutputNoise), weight_key = make_key(b.seed, kWeightNoise);
    const Key rounding = make_key(b.seed, kOutputRounding);
    const f8 most = splat((float)b.max_pulses);
    for (int64_t e = 0; e < b.events; ++e) {
        const uint64_t event = b.first_event + (uint64_t)e;
        float* buffer_line = b.buffer + b.line[e] * b.line_stride;
        NormalBlock noise = {}, weight_noise = {};
        bool sends = false;
        for (int64_t j = 0; j < b.length; j += kLanes) {
            const int64_t lanes = b.length - j, used = lanes < kLanes ? lanes : kLanes;
            if ((j & 31) == 0) {
                if (b.io.out_noise > 0) noise = normal_block(noise_key, (uint32_t)(j / 32), 0, event);
                if (b.io.w_noise > 0) weight_noise = normal_block(weight_key, (uint32_t)(j / 32), 0, event);
            }
            const int64_t part = (j & 31) / 8;
            const f8 weights = load_first(b.lines + e * b.length + j, lanes);
            f8 value = read_line(b, weights, noise.normals[part], weight_noise.normals[part], rounding, j, event);
            f8 sign = splat(b.line_sign ? (float)b.line_sign[e] : 1.0f);
            f8 held = {};
            for (int64_t l = 0; l < used; ++l) {
                held[l] = buffer_line[(j + l) * b.element_stride];
                if (b.out_sign) sign[l] *= (float)b.out_sign[e * b.length + j + l];
            }
            if (b.restart) held = splat(0.0f);
            f8 omega = held + sign * b.gain[e] * value;
            const f8 whole = to_float(to_int(minimum(maximum(omega, -most - 0.5f), most + 0.5f)));
            const f8 pulses = minimum(maximum(whole, -most), most);
            const f8 after = b.forget ? omega * b.momentum : omega - (1.0f - b.momentum) * pulses;
            omega = blend(pulses != 0.0f, after, omega);
            for (int64_t l = 0; l < used; ++l) buffer_line[(j + l) * b.element_stride] = omega[l];
            sends |= any((u8)(pulses != 0.0f));
            store_first(b.pulses + sent * b.length + j, -pulses, lanes);
        }
        if (sends) b.sent_line[sent++] = b.line[e];
    }
    return sent;
}

// What a train cannot hold stays in the accumulator.
int64_t carry(const CarryArgs& c) {
    int64_t sent = 0;
    for (int64_t r = 0; r < c.n_rows; ++r) {
        float* row = c.accumulator + c.rows[r] * c.cols;
        float* steps = c.steps + sent * c.cols;
        f8 most = splat(0.0f);
        for (int64_t j = 0; j < c.cols; j += kLanes) {
            const int64_t lanes = c.cols - j;
            const f8 whole = to_float(to_int(load_first(row + j, lanes) / c.step));
            most = maximum(magnitude(whole), most);
            store_first(steps + j, whole, lanes);
        }
        const float largest = max_lanes(most);
        if (largest == 0) continue;
        const float taken = c.step * (largest > c.most_steps ? c.most_steps / largest : 1.0f);
        for (int64_t j = 0; j < c.cols; j += kLanes) {
            const int64_t lanes = c.cols - j;
            store_first(row + j, load_first(row + j, lanes) - load_first(steps + j, lanes) * taken, lanes);
        }
        c.sent_row[sent++] = c.rows[r];
    }
    return sent;
}

void normals(const NormalArgs& a) {
    const Key key = make_key(a.seed, kField);
    for (int64_t i = 0; i < a.n; i += 32) {
        const uint32_t block = (uint32_t)(i / 32), high = (uint32_t)((uint64_t)i >> 37);
        if (a.uniform) {
            const Words w = philox(key, lane_index() + splat_u(block * 8), high, a.counter);
            for (int k = 0; k < 4 && i + k * 8 < a.n; ++k) store_first(a.out + i + k * 8, unit_uniform(w.w[k]), a.n - i - k * 8);
        } else {
            const NormalBlock block_of = normal_block(key, block, high, a.counter);
            for (int k = 0; k < 4 && i + k * 8 < a.n; ++k) store_first(a.out + i + k * 8, block_of.normals[k], a.n - i - k * 8);
        }
    }
}

}  // namespace
}  // namespace tilewright::TW_ISA
