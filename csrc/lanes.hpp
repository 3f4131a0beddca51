// What arithmetic is written in. Steps of devices, noise and converters are templates over a lane type: eight or sixteen numbers of a
// processor's vectors here, one number for a thread of a graphics processor. Both do the same operations in the same order.
#pragma once

#if defined(__CUDACC__)
#define TW_INLINE __host__ __device__ __forceinline__
#else
#define TW_INLINE inline __attribute__((always_inline))
#endif

// Functions of many fused multiplications and additions: out of line where each of these takes many instructions.
#if defined(__CUDACC__) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define TW_FUSED_INLINE TW_INLINE
#else
#define TW_FUSED_INLINE inline __attribute__((noinline))
#endif

#if defined(TW_ONE_LANE)
#include "one_lane.hpp"
#else
#include "vector.hpp"
#include "wide.hpp"  // after it, and before what is written over lanes
#endif
