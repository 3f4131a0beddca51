// Matrix products. Every sum runs in one order, whatever the batch, the threads and the build: products of rows in sixteen
// strands that meet in a fixed tree, products of columns one row after the other in stretches of 128 rows, whose sums are
// then added up in order. How many sums are under way at once is
// a matter of the registers there are, and shows in nothing but the speed.
// Products are fused with the sums they enter; processors without the instruction (from before 2013, and plain ones since)
// compute the same bits the long way.
#pragma once
#include "kernel_table.hpp"
#include "parallel.hpp"
#include "wide.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kParallelProducts = 1 << 20;  // multiplications below which threads do not pay

#if defined(__AVX512F__)  // 32 registers of sixteen lanes
constexpr int kDotRows = 4, kDotSamples = 6, kPanelVectors = 4, kPanelSamples = 6;
#elif defined(__AVX2__)  // 16 registers of eight
constexpr int kDotRows = 2, kDotSamples = 2, kPanelVectors = 2, kPanelSamples = 2;
#else
constexpr int kDotRows = 1, kDotSamples = 3, kPanelVectors = 1, kPanelSamples = 2;
#endif

// Vectors in products are padded to whole wide registers.
inline int64_t padded(int64_t n) { return (n + kWide - 1) / kWide * kWide; }

// Calls body<K>() with K = n, which lies within 1 and Most.
template <int Most, class Body>
TW_INLINE void with_count(int64_t n, const Body& body) {
    if constexpr (Most > 1) {
        if (n < Most) return with_count<Most - 1>(n, body);
    }
    body.template operator()<Most>();
}

// --- rows: y = W v -----------------------------------------------------------------------------------------------------

// R rows of the weight times S samples, inner sums in sixteen strands over the inputs.
template <int R, int S>
TW_INLINE void dot_block(const float* w, int64_t stride, const float* v, int64_t v_stride, int64_t n, float* y, int64_t y_stride) {
    f16 sum[R][S] = {};
    int64_t j = 0;
    for (; j + kWide <= n; j += kWide) {
        f16 vs[S];
        for (int s = 0; s < S; ++s) vs[s] = load_wide(v + s * v_stride + j);
        for (int r = 0; r < R; ++r) {
            const f16 wr = load_wide(w + r * stride + j);
            for (int s = 0; s < S; ++s) sum[r][s] = fused(wr, vs[s], sum[r][s]);
        }
    }
    if (j < n) {
        f16 vs[S];
        for (int s = 0; s < S; ++s) vs[s] = load_wide(v + s * v_stride + j);  // padded with zeros
        for (int r = 0; r < R; ++r) {
            const f16 wr = load_first_wide(w + r * stride + j, n - j);
            for (int s = 0; s < S; ++s) sum[r][s] = fused(wr, vs[s], sum[r][s]);
        }
    }
    for (int s = 0; s < S; ++s) {
        int r = 0;
        for (; r + 4 <= R; r += 4)
            store_sums(y + s * y_stride + r, fold(sum[r][s]), fold(sum[r + 1][s]), fold(sum[r + 2][s]), fold(sum[r + 3][s]));
        for (; r < R; ++r) y[s * y_stride + r] = sum_lanes(fold(sum[r][s]));
    }
}

template <int R>
TW_INLINE void dot_rows(const float* w, int64_t stride, const float* v, int64_t v_stride, int64_t n, float* y, int64_t y_stride,
                        int64_t samples) {
    int64_t s = 0;
    for (; s + kDotSamples <= samples; s += kDotSamples)
        dot_block<R, kDotSamples>(w, stride, v + s * v_stride, v_stride, n, y + s * y_stride, y_stride);
    if (s == samples) return;
    with_count<kDotSamples>(samples - s, [&]<int S>() {
        dot_block<R, S>(w, stride, v + s * v_stride, v_stride, n, y + s * y_stride, y_stride);
    });
}

// y[s, i] = sum_j w[i, j] v[s, j]; the rows of v are padded with zeros to whole wide vectors.
void multiply(const float* w, int64_t rows, int64_t cols, const float* v, int64_t v_stride, float* y, int64_t y_stride,
              int64_t samples, int threads) {
    constexpr int kAlone = 2 * kDotRows;  // rows under way when there is one sample only
    const int64_t block = samples == 1 ? kAlone : kDotRows;
    for_blocks((rows + block - 1) / block, threads_for(rows * cols * samples, kParallelProducts, threads), [&](int64_t b) {
        int64_t i = b * block;
        const int64_t end = i + block < rows ? i + block : rows;
        if (end - i == block) {
            if (samples == 1) dot_block<kAlone, 1>(w + i * cols, cols, v, v_stride, cols, y + i, y_stride);
            else dot_rows<kDotRows>(w + i * cols, cols, v, v_stride, cols, y + i, y_stride, samples);
            return;
        }
        for (; i < end; ++i) dot_rows<1>(w + i * cols, cols, v, v_stride, cols, y + i, y_stride, samples);
    });
}

// --- columns: y = W^T d ------------------------------------------------------------------------------------------------

// Rows that are summed at a stretch. Packed, they stay in the first cache while all samples use them.
constexpr int64_t kPanelRows = kStretch;

// S samples on V vectors of columns whose rows lie packed; their sums are added to y unless this is the first panel.
template <int V, int S>
TW_INLINE void panel_block(const float* panel, int64_t rows, const float* d, int64_t d_stride, float* y, int64_t y_stride, bool first) {
    f16 sum[S][V] = {};
    for (int64_t i = 0; i < rows; ++i) {
        f16 row[V];
        for (int c = 0; c < V; ++c) row[c] = load_wide(panel + (i * V + c) * kWide);
        for (int s = 0; s < S; ++s) {
            const f16 ds = splat_wide(d[s * d_stride + i]);
            for (int c = 0; c < V; ++c) sum[s][c] = fused(row[c], ds, sum[s][c]);
        }
    }
    for (int s = 0; s < S; ++s)
        for (int c = 0; c < V; ++c) {
            float* out = y + s * y_stride + c * kWide;
            store_wide(out, first ? sum[s][c] : load_wide(out) + sum[s][c]);
        }
}

// All samples on V vectors of columns, `used` columns of them real.
template <int V>
TW_INLINE void panel_columns(const float* w, int64_t stride, int64_t rows, int64_t used, const float* d, int64_t d_stride, float* y,
                             int64_t y_stride, int64_t samples) {
    alignas(64) float panel[kPanelRows * V * kWide];
    for (int64_t k = 0; k < rows; k += kPanelRows) {
        const int64_t n = rows - k < kPanelRows ? rows - k : kPanelRows;
        for (int64_t i = 0; i < n; ++i)
            for (int64_t c = 0; c < V; ++c)
                store_wide(panel + (i * V + c) * kWide, load_first_wide(w + (k + i) * stride + c * kWide, used - c * kWide));
        int64_t s = 0;
        for (; s + kPanelSamples <= samples; s += kPanelSamples)
            panel_block<V, kPanelSamples>(panel, n, d + s * d_stride + k, d_stride, y + s * y_stride, y_stride, k == 0);
        if (s == samples) continue;
        with_count<kPanelSamples>(samples - s, [&]<int S>() {
            panel_block<V, S>(panel, n, d + s * d_stride + k, d_stride, y + s * y_stride, y_stride, k == 0);
        });
    }
}

// Up to two samples: rows stream past once, R at a time, and the sums stay in the first cache. The first rows of a stretch
// find no sums yet.
template <int R, int S, bool First>
TW_INLINE void stream_rows(const float* w, int64_t stride, int64_t cols, const float* d, int64_t d_stride, float* y, int64_t y_stride) {
    f16 ds[R][S];
    for (int r = 0; r < R; ++r)
        for (int s = 0; s < S; ++s) ds[r][s] = splat_wide(d[s * d_stride + r]);
    const auto add = [&](int64_t j, auto row_at) {
        f16 sum[S];
        for (int s = 0; s < S; ++s) sum[s] = First ? splat_wide(0.0f) : load_wide(y + s * y_stride + j);
        for (int r = 0; r < R; ++r) {
            const f16 row = row_at(w + r * stride + j);
            for (int s = 0; s < S; ++s) sum[s] = fused(row, ds[r][s], sum[s]);
        }
        for (int s = 0; s < S; ++s) store_wide(y + s * y_stride + j, sum[s]);
    };
    int64_t j = 0;
    for (; j + kWide <= cols; j += kWide) add(j, [](const float* at) { return load_wide(at); });
    if (j < cols) add(j, [&](const float* at) { return load_first_wide(at, cols - j); });
}

// A stretch of rows.
template <int S>
TW_INLINE void stream_stretch(const float* w, int64_t stride, int64_t rows, int64_t cols, const float* d, int64_t d_stride, float* y,
                              int64_t y_stride) {
    constexpr int kTogether = kDotRows == 4 ? 8 : 4;
    int64_t i = 0;
    if (rows >= kTogether) {
        stream_rows<kTogether, S, true>(w, stride, cols, d, d_stride, y, y_stride);
        i = kTogether;
    } else {
        stream_rows<1, S, true>(w, stride, cols, d, d_stride, y, y_stride);
        i = 1;
    }
    for (; i + kTogether <= rows; i += kTogether)
        stream_rows<kTogether, S, false>(w + i * stride, stride, cols, d + i, d_stride, y, y_stride);
    for (; i < rows; ++i) stream_rows<1, S, false>(w + i * stride, stride, cols, d + i, d_stride, y, y_stride);
}

constexpr int64_t kStreamed = 2048;  // columns at a time

template <int S>
TW_INLINE void stream_columns(const float* w, int64_t stride, int64_t rows, int64_t cols, const float* d, int64_t d_stride, float* y,
                              int64_t y_stride) {
    const int64_t n = padded(cols);
    alignas(64) float sums[S * kStreamed];
    for (int64_t k = 0; k < rows; k += kStretch) {
        const int64_t stretch = rows - k < kStretch ? rows - k : kStretch;
        if (k == 0) {
            stream_stretch<S>(w, stride, stretch, cols, d, d_stride, y, y_stride);
            continue;
        }
        stream_stretch<S>(w + k * stride, stride, stretch, cols, d + k, d_stride, sums, kStreamed);
        for (int s = 0; s < S; ++s)
            for (int64_t j = 0; j < n; j += kWide)
                store_wide(y + s * y_stride + j, load_wide(y + s * y_stride + j) + load_wide(sums + s * kStreamed + j));
    }
}

// y[s, j] = sum_i d[s, i] w[i, j]; the rows of y hold whole wide vectors.
void multiply_transposed(const float* w, int64_t rows, int64_t cols, const float* d, int64_t d_stride, float* y,
                         int64_t y_stride, int64_t samples, int threads) {
    const int workers = threads_for(rows * cols * samples, kParallelProducts, threads);
    if (samples <= 2) {
        const int64_t share = workers > 1 ? ((cols + workers - 1) / workers + 63) / 64 * 64 : kStreamed;
        const int64_t width = share < kStreamed ? share : kStreamed;
        for_blocks((cols + width - 1) / width, workers, [&](int64_t b) {
            const int64_t j = b * width, used = cols - j < width ? cols - j : width;
            if (samples == 2) stream_columns<2>(w + j, cols, rows, used, d, d_stride, y + j, y_stride);
            else if (samples == 1) stream_columns<1>(w + j, cols, rows, used, d, d_stride, y + j, y_stride);
        });
        return;
    }
    const int64_t width = kPanelVectors * kWide;
    for_blocks((cols + width - 1) / width, workers, [&](int64_t b) {
        int64_t j = b * width;
        if (j + width <= cols) panel_columns<kPanelVectors>(w + j, cols, rows, width, d, d_stride, y + j, y_stride, samples);
        else for (; j < cols; j += kWide) panel_columns<1>(w + j, cols, rows, cols - j, d, d_stride, y + j, y_stride, samples);
    });
}

}  // namespace
}  // namespace tilewright::TW_ISA
