// Bodies with races in them on purpose, and sound ones: that the sanitizer of threads tells them apart. Each runs as its
// own process, which the sanitizer ends with a report where it finds something.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "../../csrc/gpu/launch.hpp"

using namespace tilewright;
using namespace tilewright::TW_ISA;

namespace {

constexpr int kSize = 64;
constexpr int64_t kBlocks = 20;

// Threads leave numbers for each other, with a barrier between or without, and blocks add them up.
template <bool Barrier>
struct Neighbours {
    static constexpr int kThreads = kSize;
    struct Shared {
        int64_t left[kThreads], sum;
    };
    int64_t* out;

    TW_INLINE bool phase(int p, Place at, Shared& shared) const {
        if (p == 0) {
            shared.left[at.thread] = at.index();
            if (at.thread == 0) shared.sum = 0;
            return true;
        }
        if (p == 1) {
            if (!Barrier) shared.left[at.thread] = -at.index();
            add_to(&shared.sum, shared.left[(at.thread + 1) % at.threads]);
            return true;
        }
        if (at.thread == 0) out[at.block] = shared.sum;
        return false;
    }
};

// A block looks, in its last phase, at what another one writes in its last.
struct Distant {
    static constexpr int kThreads = kSize;
    using Shared = Nothing;
    int64_t* out;
    int64_t distance;

    TW_INLINE bool phase(int p, Place at, Shared&) const {
        if (p < 2) return true;
        int64_t* const own = out + at.block * at.threads + at.thread;
        *own = at.block < distance ? 0 : own[-distance * at.threads];
        return false;
    }
};

// Every block counts, in one place, with and without atomic operations.
template <bool Atomic>
struct Counter : OnePhase<Counter<Atomic>, kSize> {
    int64_t* out;
    explicit Counter(int64_t* at) : out(at) {}
    TW_INLINE void each(Place) const {
        if (Atomic) add_to(out, (int64_t)1);
        else *out += 1;
    }
};

int64_t memory[kBlocks * kSize];

}  // namespace

int main(int, char** arguments) {
    const std::string name = arguments[1];
    if (name == "barrier") launch(Neighbours<true>{memory}, kBlocks, nullptr);
    else if (name == "no-barrier") launch(Neighbours<false>{memory}, kBlocks, nullptr);
    else if (name == "atomic") launch(Counter<true>(memory), kBlocks, nullptr);
    else if (name == "not-atomic") launch(Counter<false>(memory), kBlocks, nullptr);
    else if (name == "two-launches") {
        launch(Distant{memory, kBlocks}, kBlocks, nullptr);
        launch(Distant{memory, 0}, kBlocks, nullptr);
    } else launch(Distant{memory, std::atoll(name.c_str())}, kBlocks, nullptr);  // so many blocks away
    std::printf("%s: done\n", name.c_str());
}
