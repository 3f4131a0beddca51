// Constant steps of a whole batch as their sum. Steps that do not depend on the weight add up: n of them with independent
// normal noise are one normal number with n times the mean and the variance, as long as no bound is met on the way. How
// often each crosspoint is pulsed, and its weight before the batch, decide whether that is so; the noise has no say, so
// choosing between the sum and single steps favours no outcome.
#pragma once
#include "crosspoints.hpp"
#include "sparse_rows.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr float kFarOut = 6;  // standard deviations: a path goes further with a probability of 4e-9

// Pulses of eight crosspoints.
struct PulseCounts {
    u8 up, all;
};

constexpr int kCountedTogether = 4;  // vectors of a row

// Counts over a row's words. `bits` are the trains of N neighbouring vectors of inputs, `stride` apart.
template <int N>
TW_INLINE void count_pulses(const uint32_t* bits, int64_t stride, const RowWord* words, int64_t n_words, PulseCounts* counts) {
    constexpr int64_t kMost = 31;  // words whose bits a byte can count
    for (int n = 0; n < N; ++n) counts[n] = {u8{}, u8{}};
    for (int64_t first = 0; first < n_words; first += kMost) {
        const int64_t last = first + kMost < n_words ? first + kMost : n_words;
        u8 up[N] = {}, all[N] = {};
        for (int64_t k = first; k < last; ++k) {
            const uint32_t* word = bits + words[k].word * 16;
            for (int n = 0; n < N; ++n) {
                const u8 hit = load_u(word + n * stride) & words[k].pulses;
                all[n] += count_bits_of_bytes(hit);
                up[n] += count_bits_of_bytes(hit & (load_u(word + n * stride + 8) ^ words[k].signs));
            }
        }
        for (int n = 0; n < N; ++n) {
            counts[n].up += sum_bytes(up[n]);
            counts[n].all += sum_bytes(all[n]);
        }
    }
}

#if defined(__AVX512F__)
// The same where the processor counts the bits of a word in one instruction.
template <int N>
__attribute__((target("avx512vpopcntdq"))) void count_pulses_quickly(const uint32_t* bits, int64_t stride, const RowWord* words,
                                                                      int64_t n_words, PulseCounts* counts) {
    u8 up[N] = {}, all[N] = {};
    for (int64_t k = 0; k < n_words; ++k) {
        const uint32_t* word = bits + words[k].word * 16;
        for (int n = 0; n < N; ++n) {
            const u8 hit = load_u(word + n * stride) & words[k].pulses;
            all[n] += (u8)_mm256_popcnt_epi32((__m256i)hit);
            up[n] += (u8)_mm256_popcnt_epi32((__m256i)(hit & (load_u(word + n * stride + 8) ^ words[k].signs)));
        }
    }
    for (int n = 0; n < N; ++n) counts[n] = {up[n], all[n]};
}
#endif

class PulseCounter {
  public:
    PulseCounter(const Trains& inputs, bool raise_only) : inputs_(inputs), raise_only_(raise_only) {}

    // Counts of the vectors from `vec` over a row's words; at most kCountedTogether vectors.
    void count(int64_t vec, int64_t vectors, const RowWord* words, int64_t n_words, PulseCounts* counts) const {
        const int64_t stride = inputs_.words * 16;
        const uint32_t* bits = inputs_.bits + vec * stride;
        if (vectors == kCountedTogether) some<kCountedTogether>(bits, words, n_words, counts);
        else for (int64_t k = 0; k < vectors; ++k) some<1>(bits + k * stride, words, n_words, counts + k);
        if (raise_only_) for (int64_t k = 0; k < vectors; ++k) counts[k].all = counts[k].up;
    }

  private:
    template <int N>
    TW_INLINE void some(const uint32_t* bits, const RowWord* words, int64_t n_words, PulseCounts* counts) const {
#if defined(__AVX512F__)
        static const bool quick = __builtin_cpu_supports("avx512vpopcntdq");
        if (quick) return count_pulses_quickly<N>(bits, inputs_.words * 16, words, n_words, counts);
#endif
        count_pulses<N>(bits, inputs_.words * 16, words, n_words, counts);
    }

    const Trains& inputs_;
    const bool raise_only_;
};

// The sum of constant steps at eight crosspoints.
struct SummedSteps {
    f8 mean, deviation;
    bool exact;  // no path is likely to meet a bound; single pulses always are exact

    SummedSteps(const Crosspoints<f8>& c, const PulseCounts& n, float cycle_noise) {
        const f8 ups = to_float((i8)n.up), downs = to_float((i8)(n.all - n.up));
        const f8 raised = ups * c.up, lowered = downs * c.down;
        mean = raised - lowered;
        deviation = cycle_noise * square_root(raised * c.up + lowered * c.down);
        // All steps of one direction first, whatever their sign.
        const f8 none = splat(0.0f), far = deviation * kFarOut;
        const f8 highest = c.state + (maximum(raised, none) - minimum(lowered, none)) + far;
        const f8 lowest = c.state + (minimum(raised, none) - maximum(lowered, none)) - far;
        const i8 inside = (highest <= c.max_bound) & (lowest >= c.min_bound);
        exact = lane_mask(inside | ((i8)n.all <= 1)) == 0xffu;
    }
};

}  // namespace
}  // namespace tilewright::TW_ISA
