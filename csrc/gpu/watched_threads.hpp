// Threads of blocks under the sanitizer of threads, which finds what two of them touch without an order: each is a fiber
// with a stack of its own, ordered with those of its block by barriers alone, and with other blocks by nothing but the
// beginning and the end of the launch. The host takes them in turn; functions that are not watched do the turns.
#pragma once
#include <sanitizer/tsan_interface.h>
#include <ucontext.h>

#include <vector>

#include "kept.hpp"
#include "place.hpp"

#define TW_UNWATCHED __attribute__((noinline, no_sanitize_thread))

namespace tilewright::TW_ISA {
namespace {

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
Turn current_turn;
Fiber host_fiber;

TW_UNWATCHED void take_turns() {
    while (true) {
        Fiber* const self = current_turn.fiber;
        current_turn.work(current_turn.given);
        __tsan_switch_to_fiber(host_fiber.known, __tsan_switch_to_fiber_no_sync);
        swapcontext(&self->context, &host_fiber.context);
    }
}

// Blocks share fibers, as far as there are not enough, and what one fiber does is in order. Blocks share none whose
// distance is no multiple of the number of sets, so neighbours along both sides of an array are told apart.
constexpr int kFiberSets = 7, kFibersOfBlock = 512;

TW_UNWATCHED Fiber* fiber_of(int64_t block, int thread) {
    static Fiber fibers[kFiberSets * kFibersOfBlock];
    Fiber* const fiber = fibers + block % kFiberSets * kFibersOfBlock + thread;
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

template <class Body, class Own>
struct WatchedPhase {
    const Body* body;
    int p;
    Place place;
    typename Body::Shared* shared;
    Own* own;
    void *begin, *before, *after, *end;  // of the launch, and barriers
    bool answer;
};
template <class Body, class Own>
__attribute__((noinline)) bool watched_work(const Body* body, int p, Place place, typename Body::Shared* shared, Own* own) {
    return Kept<Body>::phase(*body, p, place, *shared, *own);
}
template <class Body, class Own>
TW_UNWATCHED void do_phase(void* given) {
    WatchedPhase<Body, Own>* const phase = (WatchedPhase<Body, Own>*)given;
    __tsan_acquire(phase->p == 0 ? phase->begin : phase->before);
    phase->answer = watched_work(phase->body, phase->p, phase->place, phase->shared, phase->own);
    __tsan_release(phase->answer ? phase->after : phase->end);
}

// One launch: its beginning, its end, and two barriers of each block, which alternate.
class WatchedLaunch {
  public:
    TW_UNWATCHED explicit WatchedLaunch(int64_t blocks) : orders_(2 * blocks + 2) {
        host_fiber.known = __tsan_get_current_fiber();
        __tsan_release(&orders_[0]);
    }
    TW_UNWATCHED ~WatchedLaunch() { __tsan_acquire(&orders_[1]); }

    template <class Body, class Own>
    TW_UNWATCHED bool turn(const Body& body, int p, Place place, typename Body::Shared& shared, Own& own) {
        static_assert(Body::kThreads <= kFibersOfBlock);
        int64_t* const barriers = orders_.data() + 2 + 2 * place.block;
        WatchedPhase<Body, Own> phase{&body, p, place, &shared, &own, &orders_[0], barriers + (p + 1) % 2, barriers + p % 2, &orders_[1], false};
        current_turn = {fiber_of(place.block, place.thread), do_phase<Body, Own>, &phase};
        __tsan_switch_to_fiber(current_turn.fiber->known, __tsan_switch_to_fiber_no_sync);
        swapcontext(&host_fiber.context, &current_turn.fiber->context);
        return phase.answer;
    }

  private:
    std::vector<int64_t> orders_;
};

}  // namespace
}  // namespace tilewright::TW_ISA
