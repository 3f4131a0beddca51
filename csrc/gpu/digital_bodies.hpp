// Fields of random numbers, sums of outer products, and counters that move on.
#pragma once
#include "entries.hpp"
#include "launch.hpp"
#include "noise.hpp"

namespace tilewright::TW_ISA {
namespace {

struct FieldBody : OnePhase<FieldBody, 256> {
    DeviceField f;
    explicit FieldBody(const DeviceField& field) : f(field) {}

    // Four numbers of a block of 32, from one call of the generator.
    TW_INLINE void each(Place at) const {
        const NormalArgs& a = f.normals;
        const int64_t in_row = (a.n + 31) / 32 * 8, row = at.index() / in_row, item = at.index() % in_row;
        if (row >= a.rows) return;
        const int64_t block = item / 8, first = block * 32 + item % 8;
        const uint64_t counter = a.counter + (f.counter ? (uint64_t)*f.counter : 0) + (uint64_t)row;
        const WordsOf<uint32_t> words = philox(make_key(a.seed, kField), (uint32_t)block * 8 + (uint32_t)(item % 8),
                                               (uint32_t)((uint64_t)first >> 37), counter);
        float numbers[4];
        if (a.uniform) {
            for (int k = 0; k < 4; ++k) numbers[k] = unit_uniform(words.w[k]);
        } else {
            normal_pair(words.w[0], words.w[1], numbers[0], numbers[1]);
            normal_pair(words.w[2], words.w[3], numbers[2], numbers[3]);
        }
        for (int k = 0; k < 4 && first + k * 8 < a.n; ++k) a.out[row * a.n + first + k * 8] = numbers[k];
    }
    int64_t blocks() const { return (f.normals.rows * ((f.normals.n + 31) / 32 * 8) + kThreads - 1) / kThreads; }
};

// accumulator[i, j] += lr * sum_s d[s, i] x[s, j]: sums of so many samples, added one after the other as the processor does.
struct OuterBody : OnePhase<OuterBody, 128> {
    static constexpr int64_t kTogether = 256;
    static constexpr int kRows = 4;
    AccumulateArgs a;
    const float* rate;  // instead of a.lr; null where that counts
    OuterBody(const AccumulateArgs& args, const float* rate_at) : a(args), rate(rate_at) {}

    TW_INLINE void each(Place at) const {
        const int64_t across = (a.cols + 31) / 32;
        const int64_t j = at.block % across * 32 + at.thread % 32, i = at.block / across * 16 + at.thread / 32 * kRows;
        const int rows = a.rows - i < kRows ? (int)(a.rows - i) : kRows;
        if (j >= a.cols || rows <= 0) return;
        const float lr = rate ? *rate : a.lr;
        for (int64_t first = 0; first < a.samples; first += kTogether) {
            const int64_t last = a.samples - first < kTogether ? a.samples : first + kTogether;
            float sum[kRows] = {0, 0, 0, 0};
            for (int64_t s = first; s < last; ++s) {
                const float x = a.x[s * a.cols + j];
#pragma unroll
                for (int r = 0; r < kRows; ++r)
                    if (r < rows) sum[r] = fused(x, a.d[s * a.rows + i + r], sum[r]);
            }
#pragma unroll
            for (int r = 0; r < kRows; ++r) {
                if (r >= rows) continue;
                float& target = a.accumulator[(i + r) * a.cols + j];
                target = fused(sum[r], lr, target);
            }
        }
    }
    int64_t blocks() const { return blocks_for(a.rows, 16) * blocks_for(a.cols, 32); }
};

// What was done counts from here on. Updates and products do it in their last kernel.
struct AdvanceBody : OnePhase<AdvanceBody, 1> {
    Clock clock;
    int64_t samples, calls;
    const int64_t* live;  // samples that count, where it is smaller than `samples`; where it is 0 nothing was done
    AdvanceBody(Clock c, int64_t n_samples, int64_t n_calls, const int64_t* live_samples)
        : clock(c), samples(n_samples), calls(n_calls), live(live_samples) {}

    TW_INLINE void each(Place) const {
        if (live && *live == 0) return;
        clock.advance(live && *live < samples ? *live : samples, calls);
    }
};

}  // namespace
}  // namespace tilewright::TW_ISA
