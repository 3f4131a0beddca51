// How bodies run. A body says in `phase(p, place, own, shared)` what a thread does in phase p, and whether there is a next
// one; phases are what lies between barriers. `Own` is kept by each thread, `Shared` by each block. The answer must be the
// same for all threads of a block, and nothing that a phase reads to answer may be written in that phase.
#pragma once
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(TW_WATCH_RACES)
#include <sanitizer/tsan_interface.h>
#include <ucontext.h>
#endif

#include "place.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kMostBlocks = 0x7fffffff;  // of a grid

#if defined(__CUDACC__)

template <class Body>
__global__ void __launch_bounds__(Body::kThreads) run(const Body body) {
    __shared__ typename Body::Shared shared;
    typename Body::Own own;
    const Place place{(int64_t)blockIdx.x, (int)threadIdx.x, (int)blockDim.x};
    for (int p = 0; body.phase(p, place, own, shared); ++p) __syncthreads();
}

template <class Body>
void launch(const Body& body, int64_t blocks, void* stream) {
    static_assert(sizeof(Body) <= 4096, "arguments of a kernel");
    static_assert(sizeof(typename Body::Shared) <= 48 * 1024, "shared memory that every block may have");
    if (blocks <= 0) return;
    if (blocks > kMostBlocks) throw std::length_error("too large for one call on a graphics processor; give it fewer samples");
    run<Body><<<(unsigned)blocks, Body::kThreads, 0, (cudaStream_t)stream>>>(body);
    const cudaError_t failed = cudaGetLastError();  // of the launch itself; waits for nothing
    if (failed != cudaSuccess) throw std::runtime_error(std::string("a CUDA kernel could not be launched: ") + cudaGetErrorString(failed));
}

#elif defined(TW_WATCH_RACES)

// For the sanitizer of threads each thread of a block is a fiber with a stack of its own, ordered with the others by
// barriers alone, and blocks by nothing: what two of them touch without an order is reported, although the host takes
// them in turn. Functions that are not watched do the turns.
#define TW_UNWATCHED __attribute__((noinline, no_sanitize_thread))

bool backwards = false;

struct Fiber {
    void* known = nullptr;  // to the sanitizer
    ucontext_t context;
    std::vector<char> stack;
};
struct Turn {  // what the fiber whose turn it is has to do
    Fiber* fiber;
    void (*work)(void*);
    void* given;
};
Turn turn;
Fiber host;

TW_UNWATCHED void take_turns() {
    while (true) {
        Fiber* const self = turn.fiber;
        turn.work(turn.given);
        __tsan_switch_to_fiber(host.known, __tsan_switch_to_fiber_no_sync);
        swapcontext(&self->context, &host.context);
    }
}

// Threads with the same number in other blocks are other fibers, as far as there are some.
TW_UNWATCHED Fiber* fiber_of(int64_t block, int thread) {
    constexpr int kThreads = 256;
    static Fiber fibers[2 * kThreads];
    Fiber* const fiber = fibers + block % 2 * kThreads + (thread + block / 2 * 7) % kThreads;
    if (!fiber->known) {
        fiber->known = __tsan_create_fiber(0);
        fiber->stack.resize(1 << 16);
        getcontext(&fiber->context);
        fiber->context.uc_stack.ss_sp = fiber->stack.data();
        fiber->context.uc_stack.ss_size = fiber->stack.size();
        makecontext(&fiber->context, take_turns, 0);
    }
    return fiber;
}

template <class Body>
struct Phase {
    const Body* body;
    int p;
    Place place;
    typename Body::Own* own;
    typename Body::Shared* shared;
    void *begin, *before, *after, *end;  // of the launch, and barriers
    bool answer;
};
template <class Body>
__attribute__((noinline)) bool watched(const Body* body, int p, Place place, typename Body::Own* own, typename Body::Shared* shared) {
    return body->phase(p, place, *own, *shared);
}
template <class Body>
TW_UNWATCHED void do_phase(void* given) {
    Phase<Body>* const phase = (Phase<Body>*)given;
    __tsan_acquire(phase->p == 0 ? phase->begin : phase->before);
    phase->answer = watched(phase->body, phase->p, phase->place, phase->own, phase->shared);
    __tsan_release(phase->answer ? phase->after : phase->end);
}

template <class Body>
TW_UNWATCHED void launch(const Body& body, int64_t blocks, void*) {
    if (blocks <= 0) return;
    constexpr int n = Body::kThreads;
    std::vector<typename Body::Own> kept(n * blocks);
    std::vector<typename Body::Shared> memory(blocks);
    std::memset((void*)memory.data(), 0xa5, blocks * sizeof memory[0]);
    std::vector<int64_t> orders(2 * blocks + 2);
    typename Body::Own* const own = kept.data();
    typename Body::Shared* const shared = memory.data();
    int64_t *const begin = orders.data(), *const end = begin + 1, *const barriers = begin + 2;
    host.known = __tsan_get_current_fiber();
    __tsan_release(begin);
    for (int64_t block = 0; block < blocks; ++block) {
        bool more = true;
        for (int p = 0; more; ++p) {
            int64_t* const pair = barriers + 2 * block;
            for (int t = 0; t < n; ++t) {
                const int thread = backwards ? n - 1 - t : t;
                Phase<Body> phase{&body, p, Place{block, thread, n}, own + block * n + thread, shared + block,
                                  begin, pair + (p + 1) % 2, pair + p % 2, end, false};
                turn = {fiber_of(block, thread), do_phase<Body>, &phase};
                __tsan_switch_to_fiber(turn.fiber->known, __tsan_switch_to_fiber_no_sync);
                swapcontext(&host.context, &turn.fiber->context);
                more = phase.answer;
            }
        }
    }
    __tsan_acquire(end);
}

#else

// Threads in descending order, so that results which depend on the order show themselves.
bool backwards = false;

template <class Body>
void launch(const Body& body, int64_t blocks, void*) {
    constexpr int n = Body::kThreads;
    std::vector<typename Body::Own> own(n);
    for (int64_t b = 0; b < blocks; ++b) {
        const int64_t block = backwards ? blocks - 1 - b : b;
        typename Body::Shared shared;
        std::memset((void*)&shared, 0xa5, sizeof shared);  // as a block finds it: anything
        bool more = true;
        for (int p = 0; more; ++p) {
            for (int t = 0; t < n; ++t) {
                const int thread = backwards ? n - 1 - t : t;
                const bool answer = body.phase(p, Place{block, thread, n}, own[thread], shared);
                if (t > 0 && answer != more) throw std::logic_error("threads of a block disagree about the next phase");
                more = answer;
            }
        }
    }
}

#endif

// Nothing kept, nothing shared.
struct Nothing {};

// A body without barriers: `each(place)`.
template <class Derived, int Threads>
struct OnePhase {
    static constexpr int kThreads = Threads;
    using Own = Nothing;
    using Shared = Nothing;
    TW_INLINE bool phase(int, Place place, Own&, Shared&) const {
        static_cast<const Derived*>(this)->each(place);
        return false;
    }
};

TW_INLINE int64_t blocks_for(int64_t items, int64_t in_block) { return (items + in_block - 1) / in_block; }

}  // namespace
}  // namespace tilewright::TW_ISA
