// A loop over blocks shared out among threads. Blocks write to places of their own and carry their own random numbers,
// so results do not depend on which thread takes which block.
#pragma once
#include <cstdint>

#include "lanes.hpp"
#if !defined(_OPENMP) && defined(TW_STD_THREADS)
#include <atomic>
#include <thread>
#include <vector>
#endif

namespace tilewright::TW_ISA {
namespace {

// How many threads to use: one for work too small to share. The thread sanitizer's build shares everything out.
TW_INLINE int threads_for(int64_t work, int64_t least, int threads) {
#if defined(TW_STD_THREADS)
    least = 0;
#endif
    return work > least && threads > 1 ? threads : 1;
}

// Sums body(block) over all blocks, each taken by the thread that is free. With one thread the blocks run in order, here.
#if defined(_OPENMP)
template <class Body>
TW_INLINE int64_t sum_blocks(int64_t blocks, int threads, const Body& body) {
    int64_t total = 0;
    if (threads <= 1) {  // even a team of one costs a small kernel too much
        for (int64_t block = 0; block < blocks; ++block) total += body(block);
        return total;
    }
#pragma omp parallel for num_threads(threads) schedule(dynamic) reduction(+ : total)
    for (int64_t block = 0; block < blocks; ++block) total += body(block);
    return total;
}
#elif defined(TW_STD_THREADS)
// For the thread sanitizer, which does not see how OpenMP's own library synchronises.
template <class Body>
int64_t sum_blocks(int64_t blocks, int threads, const Body& body) {
    std::atomic<int64_t> next{0}, total{0};
    const auto work = [&] {
        for (int64_t block; (block = next.fetch_add(1, std::memory_order_relaxed)) < blocks;)
            total.fetch_add(body(block), std::memory_order_relaxed);
    };
    std::vector<std::thread> others;
    for (int k = 1; k < threads; ++k) others.emplace_back(work);
    work();
    for (std::thread& other : others) other.join();
    return total.load();
}
#else
template <class Body>
TW_INLINE int64_t sum_blocks(int64_t blocks, int, const Body& body) {
    int64_t total = 0;
    for (int64_t block = 0; block < blocks; ++block) total += body(block);
    return total;
}
#endif

// Calls body(block) for all blocks, dealt out evenly and in one piece to each thread: for blocks of equal work.
template <class Body>
TW_INLINE void for_blocks(int64_t blocks, int threads, const Body& body) {
#if defined(_OPENMP)
    if (threads <= 1) {
        for (int64_t block = 0; block < blocks; ++block) body(block);
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t block = 0; block < blocks; ++block) body(block);
#else
    sum_blocks(blocks, threads, [&](int64_t block) {
        body(block);
        return (int64_t)0;
    });
#endif
}

}  // namespace
}  // namespace tilewright::TW_ISA
