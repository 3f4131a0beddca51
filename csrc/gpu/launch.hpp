// How bodies run. A body says in `phase(p, place, shared)` what a thread does in phase p, and whether there is a next one;
// phases are what lies between barriers. `Shared` is kept by each block. A body whose threads keep something from one
// phase to the next names it `Own` and is given it too: `phase(p, place, shared, own)`. Neither holds anything at first.
// The answer must be the same for all threads of a block, and nothing that a phase reads to answer may be written in that
// phase.
#pragma once
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "kept.hpp"
#include "place.hpp"
#if defined(TW_WATCH_RACES)
#include "watched_threads.hpp"
#endif

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kMostBlocks = 0x7fffffff;  // of a grid
// Blocks find their shared memory as it is.
template <class Body>
constexpr bool kShareable = std::is_trivially_default_constructible_v<typename Body::Shared>;

inline void check_blocks(int64_t blocks) {
    if (blocks > kMostBlocks) throw std::length_error("too large for one call on a graphics processor; give it fewer samples");
}

#if defined(__CUDACC__)

// Blocks that a multiprocessor must have room for at once, which bounds the registers of a thread; 0 leaves it to the compiler.
template <class Body, class = void>
struct Resident {
    static constexpr int kBlocks = 0;
};
template <class Body>
struct Resident<Body, decltype((void)Body::kResident)> {
    static constexpr int kBlocks = Body::kResident;
};

template <class Body>
__global__ void __launch_bounds__(Body::kThreads, Resident<Body>::kBlocks) run(const Body body) {
    __shared__ typename Body::Shared shared;
    typename Kept<Body>::Own own;
    const Place place{(int64_t)blockIdx.x, (int)threadIdx.x, (int)blockDim.x};
    for (int p = 0; Kept<Body>::phase(body, p, place, shared, own); ++p) __syncthreads();
}

template <class Body>
void launch(const Body& body, int64_t blocks, void* stream) {
    static_assert(sizeof(Body) <= 4096, "arguments of a kernel");
    static_assert(kShareable<Body>, "nothing constructs shared memory");
    static_assert(sizeof(typename Body::Shared) <= 48 * 1024, "shared memory that every block may have");
    static_assert(Body::kThreads % 32 == 0 || Body::kThreads == 1, "whole warps");
    if (blocks <= 0) return;
    check_blocks(blocks);
    run<Body><<<(unsigned)blocks, Body::kThreads, 0, (cudaStream_t)stream>>>(body);
    const cudaError_t failed = cudaGetLastError();  // of the launch itself; waits for nothing
    if (failed != cudaSuccess) throw std::runtime_error(std::string("a CUDA kernel could not be launched: ") + cudaGetErrorString(failed));
}

#else

// Threads in descending order, so that results which depend on the order show themselves.
bool backwards = false;
inline int64_t turn_of(int64_t number, int64_t count) { return backwards ? count - 1 - number : number; }

#if defined(TW_WATCH_RACES)

template <class Body>
TW_UNWATCHED void launch(const Body& body, int64_t blocks, void*) {
    if (blocks <= 0) return;
    check_blocks(blocks);
    constexpr int n = Body::kThreads;
    std::vector<typename Body::Shared> memory(blocks);
    std::memset((void*)memory.data(), 0xa5, blocks * sizeof memory[0]);
    std::vector<typename Kept<Body>::Own> own(blocks * n);
    std::memset((void*)own.data(), 0xa5, own.size() * sizeof own[0]);
    WatchedLaunch watched(blocks);
    for (int64_t block = 0; block < blocks; ++block) {
        bool more = true;
        for (int p = 0; more; ++p)
            for (int t = 0; t < n; ++t)
                more = watched.turn(body, p, Place{block, (int)turn_of(t, n), n}, memory[block], own[block * n + t]);
    }
}

#else

template <class Body>
void launch(const Body& body, int64_t blocks, void*) {
    static_assert(kShareable<Body>, "nothing constructs shared memory");
    check_blocks(blocks);
    constexpr int n = Body::kThreads;
    std::vector<typename Kept<Body>::Own> own(n);
    for (int64_t b = 0; b < blocks; ++b) {
        typename Body::Shared shared;
        std::memset((void*)&shared, 0xa5, sizeof shared);  // as a block finds it: anything
        std::memset((void*)own.data(), 0xa5, n * sizeof own[0]);
        bool more = true;
        for (int p = 0; more; ++p) {
            for (int t = 0; t < n; ++t) {
                const Place place{turn_of(b, blocks), (int)turn_of(t, n), n};
                const bool answer = Kept<Body>::phase(body, p, place, shared, own[t]);
                if (t > 0 && answer != more) throw std::logic_error("threads of a block disagree about the next phase");
                more = answer;
            }
        }
    }
}

#endif
#endif

// A body without barriers: `each(place)`.
template <class Derived, int Threads>
struct OnePhase {
    static constexpr int kThreads = Threads;
    using Shared = Nothing;
    TW_INLINE bool phase(int, Place place, Shared&) const {
        static_cast<const Derived*>(this)->each(place);
        return false;
    }
};

TW_INLINE int64_t blocks_for(int64_t items, int64_t in_block) { return (items + in_block - 1) / in_block; }

}  // namespace
}  // namespace tilewright::TW_ISA
