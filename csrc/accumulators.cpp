// Digital sums of outer products, and the whole steps in them.
#include "entries.hpp"
#include "parallel.hpp"
#include "wide.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kParallelSums = 1 << 20;  // multiplications below which threads do not pay

#if defined(__AVX512F__)  // 32 registers of sixteen lanes
constexpr int kOuterVectors = 2, kOuterRows = 8;
#elif defined(__AVX2__)  // 16 registers of eight
constexpr int kOuterVectors = 2, kOuterRows = 2;
#else
constexpr int kOuterVectors = 1, kOuterRows = 2;
#endif

constexpr int64_t kOuterSamples = 256;  // samples added at a time

template <int V, int R>
TW_INLINE void outer_block(const float* panel, int64_t samples, const float* d, int64_t rows, float scale, float* target,
                           int64_t stride, int64_t used) {
    f16 sum[R][V] = {};
    for (int64_t s = 0; s < samples; ++s) {
        f16 xs[V];
        for (int c = 0; c < V; ++c) xs[c] = load_wide(panel + (s * V + c) * kWide);
        for (int r = 0; r < R; ++r) {
            const f16 ds = splat_wide(d[s * rows + r]);
            for (int c = 0; c < V; ++c) sum[r][c] = fused(xs[c], ds, sum[r][c]);
        }
    }
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < V; ++c) {
            float* at = target + r * stride + c * kWide;
            const int64_t lanes = used - c * kWide;
            store_first_wide(at, fused(sum[r][c], splat_wide(scale), load_first_wide(at, lanes)), lanes);
        }
}

template <int V>
TW_INLINE void outer_columns(const AccumulateArgs& o, int64_t j, int64_t used) {
    alignas(64) float panel[kOuterSamples * V * kWide];
    for (int64_t k = 0; k < o.samples; k += kOuterSamples) {
        const int64_t n = o.samples - k < kOuterSamples ? o.samples - k : kOuterSamples;
        for (int64_t s = 0; s < n; ++s)
            for (int64_t c = 0; c < V; ++c)
                store_wide(panel + (s * V + c) * kWide, load_first_wide(o.x + (k + s) * o.cols + j + c * kWide, used - c * kWide));
        int64_t i = 0;
        const float* d = o.d + k * o.rows;
        float* target = o.accumulator + j;
        for (; i + kOuterRows <= o.rows; i += kOuterRows)
            outer_block<V, kOuterRows>(panel, n, d + i, o.rows, o.lr, target + i * o.cols, o.cols, used);
        for (; i < o.rows; ++i) outer_block<V, 1>(panel, n, d + i, o.rows, o.lr, target + i * o.cols, o.cols, used);
    }
}

}  // namespace

// accumulator[i, j] += lr * sum_s d[s, i] x[s, j]
void accumulate(const AccumulateArgs& o) {
    const int64_t width = kOuterVectors * kWide;
    for_blocks((o.cols + width - 1) / width, threads_for(o.rows * o.cols * o.samples, kParallelSums, o.threads), [&](int64_t b) {
        int64_t j = b * width;
        if (j + width <= o.cols) outer_columns<kOuterVectors>(o, j, width);
        else for (; j < o.cols; j += kWide) outer_columns<1>(o, j, o.cols - j);
    });
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

}  // namespace tilewright::TW_ISA
