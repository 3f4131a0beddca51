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
// The next free place of a list. Which thread gets which is by chance.
TW_INLINE int32_t next_place(int32_t* length) {
#if defined(__CUDA_ARCH__)
    return atomicAdd(length, 1);
#elif defined(TW_WATCH_RACES)
    return __atomic_fetch_add(length, 1, __ATOMIC_RELAXED);
#else
    return (*length)++;
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

// The same number, but the compiler does not know it: what follows from it is computed here, not kept in registers from
// before a loop.
TW_INLINE int64_t held_anew(int64_t number) {
#if defined(__CUDA_ARCH__)
    asm volatile("" : "+l"(number));
#endif
    return number;
}

// Whether a thread of the warp says so, of those that ask together. The host asks each thread alone: good for when to do
// something that has to be done anyway, and for nothing else.
TW_INLINE bool any_of_warp(bool answer) {
#if defined(__CUDA_ARCH__)
    return __any_sync(__activemask(), answer);
#else
    return answer;
#endif
}

TW_INLINE int lowest_bit(uint32_t word) {  // of a word other than 0
#if defined(__CUDA_ARCH__)
    return __ffs((int)word) - 1;
#else
    return __builtin_ctz(word);
#endif
}
TW_INLINE int bits_set(uint32_t word) {
#if defined(__CUDA_ARCH__)
    return __popc(word);
#else
    return __builtin_popcount(word);
#endif
}
TW_INLINE uint32_t bits_from(int64_t n) { return n <= 0 ? ~0u : n >= 32 ? 0u : ~0u << n; }

// Largest magnitude of a row in the share of a thread, as bits that compare like it; what is no number does not count.
TW_INLINE uint32_t largest_of(const float* row, int64_t n, Place at) {
    constexpr int kTogether = 4;  // on their way at once
    float most = 0;
#pragma unroll 1
    for (int64_t j = at.thread; j < n; j += kTogether * at.threads) {
        float values[kTogether];
#pragma unroll
        for (int k = 0; k < kTogether; ++k) values[k] = j + k * at.threads < n ? row[j + k * at.threads] : 0.0f;
#pragma unroll
        for (int k = 0; k < kTogether; ++k) most = maximum(magnitude(values[k]), most);
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
