// Where a thread stands in its grid, and what threads of a block do together. Bodies of kernels are written against this
// file alone: a graphics processor runs them in parallel, the host one thread after the other, with the same results.
#pragma once
#if !defined(TW_ONE_LANE)
#error "kernels for graphics processors are compiled with TW_ONE_LANE"
#endif
#include "../lanes.hpp"

namespace tilewright::TW_ISA {
namespace {

struct Place {
    int64_t block;
    int thread, threads;
    TW_INLINE int64_t index() const { return block * threads + thread; }
};

// Sums, maxima and alternatives do not depend on the order of the threads.
TW_INLINE void add_to(int64_t* sum, int64_t value) {
#if defined(__CUDA_ARCH__)
    atomicAdd((unsigned long long*)sum, (unsigned long long)value);
#elif defined(TW_WATCH_RACES)
    __atomic_fetch_add(sum, value, __ATOMIC_RELAXED);
#else
    *sum += value;
#endif
}
TW_INLINE void add_to(int32_t* sum, int32_t value) {
#if defined(__CUDA_ARCH__)
    atomicAdd(sum, value);
#elif defined(TW_WATCH_RACES)
    __atomic_fetch_add(sum, value, __ATOMIC_RELAXED);
#else
    *sum += value;
#endif
}
TW_INLINE void raise_to(uint32_t* largest, uint32_t value) {
#if defined(__CUDA_ARCH__)
    atomicMax(largest, value);
#elif defined(TW_WATCH_RACES)
    for (uint32_t held = 0; held < value; held = __sync_val_compare_and_swap(largest, held, value)) {}
#else
    if (*largest < value) *largest = value;
#endif
}
TW_INLINE void mark(int32_t* flags, int32_t flag) {
#if defined(__CUDA_ARCH__)
    atomicOr(flags, flag);
#elif defined(TW_WATCH_RACES)
    __atomic_fetch_or(flags, flag, __ATOMIC_RELAXED);
#else
    *flags |= flag;
#endif
}

// Largest magnitude of a row in the share of a thread, as bits that compare like it; what is no number does not count.
TW_INLINE uint32_t largest_of(const float* row, int64_t n, Place at) {
    float most = 0;
    for (int64_t j = at.thread; j < n; j += at.threads) {
        const float v = magnitude(row[j]);
        most = v > most ? v : most;
    }
    return as_bits(most);
}

// Numbers of a thread block, as words that compare like them.
TW_INLINE uint32_t ordered(float v) {
    const uint32_t bits = as_bits(v);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
TW_INLINE float from_ordered(uint32_t word) { return as_float(word & 0x80000000u ? word & 0x7fffffffu : ~word); }

}  // namespace
}  // namespace tilewright::TW_ISA
