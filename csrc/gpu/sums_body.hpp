// The sums of an analog product, of all samples and outputs at once.
#pragma once
#include "launch.hpp"
#include "product_job.hpp"

namespace tilewright::TW_ISA {
namespace {

// Rows of the weight: sixteen threads an output, whose strands meet in shared memory; columns: a thread an output. Each
// thread has S rows of inputs and, of a row's outputs, K: the more, the less often weights and inputs are loaded again, and
// the fewer blocks there are. Sums are the same bits for all of them.
template <int S, int K, bool Plain>
struct SumsBody {
    static constexpr int kThreads = 128, kOutputs = K, kGroups = kThreads / 16;
    static constexpr int kAhead = S == 1 ? 8 : S == 4 ? 4 : 2;  // inputs loaded before they are needed
    struct Shared {
        float strands[kOutputs][S][kThreads];
    };
    ProductJob p;
    Sum sum;
    const float* inputs;  // (rows, n_in)
    float* out;           // (rows, n_out)
    int64_t rows;         // samples times parts
    float factor;

    int64_t across() const { return blocks_for(p.n_out(), p.args().transposed ? kThreads : kOutputs * kGroups); }
    int64_t blocks() const { return across() * blocks_for(rows, S); }

    TW_INLINE bool phase(int step, Place at, Shared& shared) const {
        const int64_t wide = p.args().transposed ? kThreads : kOutputs * kGroups;
        const int64_t columns = (p.n_out() + wide - 1) / wide;
        const int64_t first_row = at.block / columns * S, first_out = at.block % columns * wide;
        if (p.args().transposed) {
            down_column(first_row, first_out + at.thread);
            return false;
        }
        if (step == 0) {
            strands(first_row, first_out + at.thread / 16, at.thread, shared);
            return true;
        }
        for (int item = at.thread; item < kOutputs * kGroups * S; item += kThreads) {
            const int output = item % (kOutputs * kGroups), s = item / (kOutputs * kGroups);
            if (first_row + s < rows && first_out + output < p.n_out())
                out[(first_row + s) * p.n_out() + first_out + output] = meet(shared.strands[output / kGroups][s] + output % kGroups * 16) * factor;
        }
        return false;
    }

  private:
    TW_INLINE float weight(int64_t row, int64_t k) const {
        return Plain ? p.args().weight[k] : p.weight(sum, (int)(row % p.parts()), k);
    }
    TW_INLINE float input(int64_t row, int64_t j) const {
        const float* v = inputs + row * p.n_in();
        return Plain ? v[j] : p.input(sum, v, j);
    }
    TW_INLINE static float meet(const float* strand) {
        float v[8];
#pragma unroll
        for (int l = 0; l < 8; ++l) v[l] = strand[l] + strand[l + 8];
        return tree(v);
    }

    TW_INLINE void strands(int64_t first_row, int64_t output, int thread, Shared& shared) const {
        float total[kOutputs][S] = {};
        const int64_t n = p.n_in(), last_row = rows - 1, last_out = p.n_out() - 1;
#pragma unroll kAhead
        for (int64_t j = thread % 16; j < n; j += 16) {
            float v[S];
#pragma unroll
            for (int s = 0; s < S; ++s) v[s] = input(first_row + s < last_row ? first_row + s : last_row, j);
#pragma unroll
            for (int k = 0; k < kOutputs; ++k) {
                const int64_t o = output + k * kGroups < last_out ? output + k * kGroups : last_out;
                const float w = weight(first_row, o * n + j);
#pragma unroll
                for (int s = 0; s < S; ++s) total[k][s] = fused(w, v[s], total[k][s]);
            }
        }
#pragma unroll
        for (int k = 0; k < kOutputs; ++k)
#pragma unroll
            for (int s = 0; s < S; ++s) shared.strands[k][s][thread] = total[k][s];
    }

    TW_INLINE void down_column(int64_t first_row, int64_t j) const {
        if (j >= p.n_out()) return;
        float total[S] = {};
        const int64_t last_row = rows - 1;
#pragma unroll (4 * kAhead)
        for (int64_t i = 0; i < p.n_in(); ++i) {
            const float w = weight(first_row, i * p.args().cols + j);
#pragma unroll
            for (int s = 0; s < S; ++s) total[s] = fused(w, input(first_row + s < last_row ? first_row + s : last_row, i), total[s]);
        }
#pragma unroll
        for (int s = 0; s < S; ++s)
            if (first_row + s < rows) out[(first_row + s) * p.n_out() + j] = total[s] * factor;
    }
};

}  // namespace
}  // namespace tilewright::TW_ISA
