// How a block sums: rows of the weight times vectors, or columns. Vectors and outputs are shared out among its threads, each
// of which has some sums of some vectors: the more, the less often weights and inputs are loaded again. All sums run in the
// order of the processor, whoever takes them. A block passes `steps` phases of `step`, and then `total` has each sum.
#pragma once
#include <cstdint>

#include "product_job.hpp"

namespace tilewright::TW_ISA {
namespace {

// What is summed: vectors of a product with its weight.
struct Operands {
    ProductJob p;
    Sum sum;
    const float* inputs;  // (rows, n_in)
    int64_t rows;         // samples times parts

    TW_INLINE float weight(int64_t row, int64_t k) const { return p.weight(sum, p.split() ? (int)(row & 1) : 0, k); }
    TW_INLINE float input(int64_t row, int64_t j) const { return p.input(sum, inputs + row * p.n_in(), j); }
    TW_INLINE int64_t last_row() const { return rows - 1; }
    TW_INLINE bool in_fours() const { return p.n_in() % 4 == 0 && (uintptr_t)inputs % 16 == 0; }
};

struct Four {
    float v[4];
};
template <bool Together>
TW_INLINE Four four_at(const float* p) {
#if defined(__CUDA_ARCH__)
    if (Together) {
        const float4 all = *(const float4*)p;
        return {{all.x, all.y, all.z, all.w}};
    }
#endif
    return {{p[0], p[1], p[2], p[3]}};
}

// Sixteen threads an output, a strand each. Of the groups of sixteen, some have other outputs and `Q` other vectors.
// Plain: nothing but the weight and the inputs as they are.
template <int Threads, int S, int K, int Q, bool Plain>
struct RowSums {
    static constexpr int kThreads = Threads, kGroups = Threads / 16, kOutputGroups = kGroups / Q;
    static constexpr int kRows = S * Q, kOutputs = K * kOutputGroups;
    static constexpr int kAhead = S * K <= 2 ? 16 : S * K <= 8 ? 4 : 2;  // inputs loaded before they are needed
    struct Shared {
        float strands[K][S][Threads + kGroups];  // a place is left free after each group: its banks
    };

    TW_INLINE static int outputs_of(const Operands&) { return kOutputs; }
    TW_INLINE static int steps(const Operands&) { return 1; }

    TW_INLINE static void step(const Operands& of, int, int64_t first_row, int64_t first_out, int thread, Shared& shared) {
        const int group = thread / 16;
        const int64_t n = of.p.n_in(), row = first_row + group / kOutputGroups * S, out = first_out + group % kOutputGroups;
        const int64_t last_row = of.last_row(), last_out = of.p.n_out() - 1;
        const float* v[S];
        const float* w[K];
#pragma unroll
        for (int s = 0; s < S; ++s) v[s] = of.inputs + (row + s < last_row ? row + s : last_row) * n;
#pragma unroll
        for (int k = 0; k < K; ++k) {
            const int64_t o = out + k * kOutputGroups;
            w[k] = of.p.args().weight + (o < last_out ? o : last_out) * n;
        }
        float total[K][S] = {};
#pragma unroll kAhead
        for (int64_t j = thread % 16; j < n; j += 16) {
            if constexpr (Plain) {
                float a[S];
#pragma unroll
                for (int s = 0; s < S; ++s) a[s] = v[s][j];
#pragma unroll
                for (int k = 0; k < K; ++k) {
                    const float b = w[k][j];
#pragma unroll
                    for (int s = 0; s < S; ++s) total[k][s] = fused(b, a[s], total[k][s]);
                }
            } else {
#pragma unroll
                for (int k = 0; k < K; ++k)
#pragma unroll
                    for (int s = 0; s < S; ++s)
                        total[k][s] = fused(of.weight(row + s, w[k] - of.p.args().weight + j),
                                            of.input(row + s < last_row ? row + s : last_row, j), total[k][s]);
            }
        }
#pragma unroll
        for (int k = 0; k < K; ++k)
#pragma unroll
            for (int s = 0; s < S; ++s) shared.strands[k][s][thread + group] = total[k][s];
    }

    // By places in the block.
    TW_INLINE static float total(const Operands&, int row, int output, const Shared& shared) {
        const int group = row / S * kOutputGroups + output % kOutputGroups;
        const float* strand = shared.strands[output / kOutputGroups][row % S] + group * 17;
        float v[8];
#pragma unroll
        for (int l = 0; l < 8; ++l) v[l] = strand[l] + strand[l + 8];
        return tree(v);
    }
};

// A thread a column and stretch of rows; neighbours have neighbouring columns. Where there are more stretches than the block
// has places for, they follow in turns.
template <int Threads, int S, int K, bool Plain>
struct ColumnSums {
    static constexpr int kThreads = Threads, kRows = S;
    static constexpr int kNarrow = 32;
    static constexpr int kAhead = S * K <= 2 ? 8 : S * K <= 4 ? 4 : 1;  // four rows each, loaded before they are needed
    struct Shared {
        float stretches[K][S][Threads];
        float before[K][S][kNarrow];  // of earlier turns
    };

    TW_INLINE static int64_t stretches(const Operands& of) { return (of.p.n_in() + kStretch - 1) / kStretch; }
    // Columns side by side: as many as leave a thread for each stretch, or so few that stretches take turns.
    TW_INLINE static int wide(const Operands& of) {
        int columns = Threads;
        while (columns > kNarrow && columns * stretches(of) > Threads) columns /= 2;
        return columns;
    }
    TW_INLINE static int outputs_of(const Operands& of) { return K * wide(of); }
    TW_INLINE static int turns(const Operands& of) {
        const int64_t at_once = Threads / wide(of);
        return (int)((stretches(of) + at_once - 1) / at_once);
    }
    TW_INLINE static int steps(const Operands& of) { return 2 * turns(of) - 1; }

    TW_INLINE static void step(const Operands& of, int number, int64_t first_row, int64_t first_out, int thread, Shared& shared) {
        const int columns = wide(of);
        if (number % 2 == 0) {
            const int64_t stretch = number / 2 * (Threads / columns) + thread / columns;
            const int64_t column = first_out + thread % columns;
            if (!Plain) sum_other(of, stretch, columns, first_row, column, thread, shared);
            else if (of.in_fours()) sum<true>(of, stretch, columns, first_row, column, thread, shared);
            else sum<false>(of, stretch, columns, first_row, column, thread, shared);
            return;
        }
        for (int item = thread; item < K * S * columns; item += Threads) {
            const int column = item % columns, s = item / columns % S, k = item / columns / S;
            shared.before[k][s][column] = so_far(of, number / 2, columns, k, s, column, shared);
        }
    }

    TW_INLINE static float total(const Operands& of, int row, int output, const Shared& shared) {
        const int columns = wide(of);
        return so_far(of, turns(of) - 1, columns, output / columns, row, output % columns, shared);
    }

  private:
    // The sum after a turn.
    TW_INLINE static float so_far(const Operands& of, int turn, int columns, int k, int s, int column, const Shared& shared) {
        const int at_once = Threads / columns;
        const int64_t left = stretches(of) - (int64_t)turn * at_once;
        const int here = left < at_once ? (int)left : at_once;
        const float* sums = shared.stretches[k][s] + column;
        float sum = turn > 0 ? shared.before[k][s][column] + sums[0] : sums[0];
        for (int stretch = 1; stretch < here; ++stretch) sum = sum + sums[stretch * columns];
        return sum;
    }

    template <bool Together>
    TW_INLINE static void sum(const Operands& of, int64_t stretch, int columns, int64_t first_row, int64_t column, int thread,
                              Shared& shared) {
        const int64_t n = of.p.n_in(), across = of.p.args().cols, last_row = of.last_row();
        const int64_t begin = stretch * kStretch, end = begin + kStretch < n ? begin + kStretch : n;
        if (begin >= end || column >= across) return;
        const float* v[S];
        const float* w[K];
#pragma unroll
        for (int s = 0; s < S; ++s) v[s] = of.inputs + (first_row + s < last_row ? first_row + s : last_row) * n;
#pragma unroll
        for (int k = 0; k < K; ++k) w[k] = of.p.args().weight + (column + k * columns < across ? column + k * columns : column);
        float total[K][S] = {};
        int64_t i = begin;
#pragma unroll kAhead
        for (; i + 4 <= end; i += 4) {
            float b[K][4];
#pragma unroll
            for (int k = 0; k < K; ++k)
#pragma unroll
                for (int r = 0; r < 4; ++r) b[k][r] = w[k][(i + r) * across];
#pragma unroll
            for (int s = 0; s < S; ++s) {
                const Four a = four_at<Together>(v[s] + i);
#pragma unroll
                for (int r = 0; r < 4; ++r)
#pragma unroll
                    for (int k = 0; k < K; ++k) total[k][s] = fused(b[k][r], a.v[r], total[k][s]);
            }
        }
        for (; i < end; ++i)
#pragma unroll
            for (int k = 0; k < K; ++k)
#pragma unroll
                for (int s = 0; s < S; ++s) total[k][s] = fused(w[k][i * across], v[s][i], total[k][s]);
        keep(total, thread, shared);
    }
    TW_INLINE static void sum_other(const Operands& of, int64_t stretch, int columns, int64_t first_row, int64_t column, int thread,
                                    Shared& shared) {
        const int64_t n = of.p.n_in(), across = of.p.args().cols, last_row = of.last_row();
        const int64_t begin = stretch * kStretch, end = begin + kStretch < n ? begin + kStretch : n;
        if (begin >= end || column >= across) return;
        float total[K][S] = {};
        for (int64_t i = begin; i < end; ++i)
#pragma unroll
            for (int k = 0; k < K; ++k) {
                const int64_t j = column + k * columns < across ? column + k * columns : column;
#pragma unroll
                for (int s = 0; s < S; ++s) {
                    const int64_t row = first_row + s < last_row ? first_row + s : last_row;
                    total[k][s] = fused(of.weight(row, i * across + j), of.input(row, i), total[k][s]);
                }
            }
        keep(total, thread, shared);
    }
    TW_INLINE static void keep(const float (&total)[K][S], int thread, Shared& shared) {
#pragma unroll
        for (int k = 0; k < K; ++k)
#pragma unroll
            for (int s = 0; s < S; ++s) shared.stretches[k][s][thread] = total[k][s];
    }
};

}  // namespace
}  // namespace tilewright::TW_ISA
