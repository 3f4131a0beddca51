// Matrix products. Every sum runs in one order, whatever the batch, the threads and the build: products of rows in eight
// strands that meet in a fixed tree, products of columns one row after the other.
// Multiplication and addition stay apart: fusing them gains a fifth here, but costs a library call for each number on
// processors without the instruction.
#pragma once
#include "kernel_table.hpp"
#include "parallel.hpp"
#include "vector.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kParallelProducts = 1 << 20;  // multiplications below which threads do not pay

inline int64_t padded(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

// --- rows: y = W v -----------------------------------------------------------------------------------------------------

// R rows of the weight times S samples, inner sums in eight strands over the inputs.
template <int R, int S>
TW_INLINE void dot_block(const float* w, int64_t stride, const float* v, int64_t v_stride, int64_t n, float* y, int64_t y_stride) {
    f8 sum[R][S] = {};
    int64_t j = 0;
    for (; j + kLanes <= n; j += kLanes) {
        f8 vs[S];
        for (int s = 0; s < S; ++s) vs[s] = load(v + s * v_stride + j);
        for (int r = 0; r < R; ++r) {
            const f8 wr = load(w + r * stride + j);
            for (int s = 0; s < S; ++s) sum[r][s] += wr * vs[s];
        }
    }
    if (j < n) {
        f8 vs[S];
        for (int s = 0; s < S; ++s) vs[s] = load(v + s * v_stride + j);  // padded with zeros
        for (int r = 0; r < R; ++r) {
            const f8 wr = load_first(w + r * stride + j, n - j);
            for (int s = 0; s < S; ++s) sum[r][s] += wr * vs[s];
        }
    }
    for (int s = 0; s < S; ++s) {
        if constexpr (R == 4) store_sums(y + s * y_stride, sum[0][s], sum[1][s], sum[2][s], sum[3][s]);
        else for (int r = 0; r < R; ++r) y[s * y_stride + r] = sum_lanes(sum[r][s]);
    }
}

template <int R>
TW_INLINE void dot_rows(const float* w, int64_t stride, const float* v, int64_t v_stride, int64_t n, float* y, int64_t y_stride,
                        int64_t samples) {
    int64_t s = 0;
    for (; s + 3 <= samples; s += 3) dot_block<R, 3>(w, stride, v + s * v_stride, v_stride, n, y + s * y_stride, y_stride);
    if (samples - s == 2) dot_block<R, 2>(w, stride, v + s * v_stride, v_stride, n, y + s * y_stride, y_stride);
    else if (samples - s == 1) dot_block<R, 1>(w, stride, v + s * v_stride, v_stride, n, y + s * y_stride, y_stride);
}

// y[s, i] = sum_j w[i, j] v[s, j]; the rows of v are padded with zeros to whole vectors.
void multiply(const float* w, int64_t rows, int64_t cols, const float* v, int64_t v_stride, float* y, int64_t y_stride,
              int64_t samples, int threads) {
    for_blocks((rows + 3) / 4, threads_for(rows * cols * samples, kParallelProducts, threads), [&](int64_t b) {
        const int64_t i = b * 4;
        if (i + 4 <= rows) dot_rows<4>(w + i * cols, cols, v, v_stride, cols, y + i, y_stride, samples);
        else for (int64_t r = i; r < rows; ++r) dot_rows<1>(w + r * cols, cols, v, v_stride, cols, y + r, y_stride, samples);
    });
}

// --- columns: y = W^T d ------------------------------------------------------------------------------------------------

constexpr int64_t kPanelRows = 128;  // rows of a packed panel: it stays in the first cache while all samples use it
constexpr int64_t kPanelVectors = 4;

// S samples on V vectors of columns whose rows lie packed; sums go on from y unless this is the first panel.
template <int V, int S>
TW_INLINE void panel_block(const float* panel, int64_t rows, const float* d, int64_t d_stride, float* y, int64_t y_stride, bool first) {
    f8 sum[S][V] = {};
    if (!first)
        for (int s = 0; s < S; ++s)
            for (int c = 0; c < V; ++c) sum[s][c] = load(y + s * y_stride + c * kLanes);
    for (int64_t i = 0; i < rows; ++i) {
        f8 row[V];
        for (int c = 0; c < V; ++c) row[c] = load(panel + (i * V + c) * kLanes);
        for (int s = 0; s < S; ++s) {
            const f8 ds = splat(d[s * d_stride + i]);
            for (int c = 0; c < V; ++c) sum[s][c] += row[c] * ds;
        }
    }
    for (int s = 0; s < S; ++s)
        for (int c = 0; c < V; ++c) store(y + s * y_stride + c * kLanes, sum[s][c]);
}

// All samples on V vectors of columns, `used` columns of them real.
template <int V>
TW_INLINE void panel_columns(const float* w, int64_t stride, int64_t rows, int64_t used, const float* d, int64_t d_stride, float* y,
                             int64_t y_stride, int64_t samples) {
    alignas(64) float panel[kPanelRows * V * kLanes];
    for (int64_t k = 0; k < rows; k += kPanelRows) {
        const int64_t n = rows - k < kPanelRows ? rows - k : kPanelRows;
        for (int64_t i = 0; i < n; ++i)
            for (int64_t c = 0; c < V; ++c)
                store(panel + (i * V + c) * kLanes, load_first(w + (k + i) * stride + c * kLanes, used - c * kLanes));
        int64_t s = 0;
        for (; s + 2 <= samples; s += 2) panel_block<V, 2>(panel, n, d + s * d_stride + k, d_stride, y + s * y_stride, y_stride, k == 0);
        if (s < samples) panel_block<V, 1>(panel, n, d + s * d_stride + k, d_stride, y + s * y_stride, y_stride, k == 0);
    }
}

// One or two samples: rows stream past once, R at a time, and the sums stay in the first cache.
template <int R, int S>
TW_INLINE void stream_rows(const float* w, int64_t stride, int64_t cols, const float* d, int64_t d_stride, float* y, int64_t y_stride) {
    f8 ds[R][S];
    for (int r = 0; r < R; ++r)
        for (int s = 0; s < S; ++s) ds[r][s] = splat(d[s * d_stride + r]);
    int64_t j = 0;
    for (; j + kLanes <= cols; j += kLanes) {
        f8 sum[S];
        for (int s = 0; s < S; ++s) sum[s] = load(y + s * y_stride + j);
        for (int r = 0; r < R; ++r) {
            const f8 row = load(w + r * stride + j);
            for (int s = 0; s < S; ++s) sum[s] += row * ds[r][s];
        }
        for (int s = 0; s < S; ++s) store(y + s * y_stride + j, sum[s]);
    }
    if (j == cols) return;
    for (int s = 0; s < S; ++s) {
        f8 sum = load(y + s * y_stride + j);
        for (int r = 0; r < R; ++r) sum += load_first(w + r * stride + j, cols - j) * ds[r][s];
        store(y + s * y_stride + j, sum);
    }
}

template <int S>
TW_INLINE void stream_columns(const float* w, int64_t stride, int64_t rows, int64_t cols, const float* d, int64_t d_stride, float* y,
                              int64_t y_stride) {
    for (int s = 0; s < S; ++s) std::memset(y + s * y_stride, 0, (size_t)padded(cols) * sizeof(float));
    int64_t i = 0;
    for (; i + 4 <= rows; i += 4) stream_rows<4, S>(w + i * stride, stride, cols, d + i, d_stride, y, y_stride);
    for (; i < rows; ++i) stream_rows<1, S>(w + i * stride, stride, cols, d + i, d_stride, y, y_stride);
}

// y[s, j] = sum_i d[s, i] w[i, j]; the rows of y hold whole vectors.
void multiply_transposed(const float* w, int64_t rows, int64_t cols, const float* d, int64_t d_stride, float* y,
                         int64_t y_stride, int64_t samples, int threads) {
    const int workers = threads_for(rows * cols * samples, kParallelProducts, threads);
    if (samples <= 2) {
        const int64_t widest = 2048, share = workers > 1 ? ((cols + workers - 1) / workers + 63) / 64 * 64 : widest;
        const int64_t width = share < widest ? share : widest;
        for_blocks((cols + width - 1) / width, workers, [&](int64_t b) {
            const int64_t j = b * width, used = cols - j < width ? cols - j : width;
            if (samples == 2) stream_columns<2>(w + j, cols, rows, used, d, d_stride, y + j, y_stride);
            else if (samples == 1) stream_columns<1>(w + j, cols, rows, used, d, d_stride, y + j, y_stride);
        });
        return;
    }
    const int64_t width = kPanelVectors * kLanes;
    for_blocks((cols + width - 1) / width, workers, [&](int64_t b) {
        int64_t j = b * width;
        if (j + width <= cols) panel_columns<kPanelVectors>(w + j, cols, rows, width, d, d_stride, y + j, y_stride, samples);
        else for (; j < cols; j += kLanes) panel_columns<1>(w + j, cols, rows, cols - j, d, d_stride, y + j, y_stride, samples);
    });
}

// --- sums of outer products --------------------------------------------------------------------------------------------

constexpr int64_t kOuterSamples = 256;  // samples added at a time

template <int V, int R>
TW_INLINE void outer_block(const float* panel, int64_t samples, const float* d, int64_t rows, float scale, float* target,
                           int64_t stride, int64_t used) {
    f8 sum[R][V] = {};
    for (int64_t s = 0; s < samples; ++s) {
        f8 xs[V];
        for (int c = 0; c < V; ++c) xs[c] = load(panel + (s * V + c) * kLanes);
        for (int r = 0; r < R; ++r) {
            const f8 ds = splat(d[s * rows + r]);
            for (int c = 0; c < V; ++c) sum[r][c] += xs[c] * ds;
        }
    }
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < V; ++c) {
            float* at = target + r * stride + c * kLanes;
            const int64_t lanes = used - c * kLanes;
            store_first(at, load_first(at, lanes) + sum[r][c] * scale, lanes);
        }
}

template <int V>
TW_INLINE void outer_columns(const AccumulateArgs& o, int64_t j, int64_t used) {
    alignas(64) float panel[kOuterSamples * V * kLanes];
    for (int64_t k = 0; k < o.samples; k += kOuterSamples) {
        const int64_t n = o.samples - k < kOuterSamples ? o.samples - k : kOuterSamples;
        for (int64_t s = 0; s < n; ++s)
            for (int64_t c = 0; c < V; ++c)
                store(panel + (s * V + c) * kLanes, load_first(o.x + (k + s) * o.cols + j + c * kLanes, used - c * kLanes));
        int64_t i = 0;
        const float* d = o.d + k * o.rows;
        for (; i + 2 <= o.rows; i += 2) outer_block<V, 2>(panel, n, d + i, o.rows, o.lr, o.accumulator + i * o.cols + j, o.cols, used);
        if (i < o.rows) outer_block<V, 1>(panel, n, d + i, o.rows, o.lr, o.accumulator + i * o.cols + j, o.cols, used);
    }
}

// accumulator[i, j] += lr * sum_s d[s, i] x[s, j]
void accumulate(const AccumulateArgs& o) {
    const int64_t width = kPanelVectors * kLanes;
    for_blocks((o.cols + width - 1) / width, threads_for(o.rows * o.cols * o.samples, kParallelProducts, o.threads), [&](int64_t b) {
        int64_t j = b * width;
        if (j + width <= o.cols) outer_columns<kPanelVectors>(o, j, width);
        else for (; j < o.cols; j += kLanes) outer_columns<1>(o, j, o.cols - j);
    });
}

}  // namespace
}  // namespace tilewright::TW_ISA
