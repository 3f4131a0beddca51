// Pulses applied one by one. Given the trains, crosspoints do not depend on each other: vectors of eight are loaded once
// and take the pulses of all samples in order, which is exact and spares the memory traffic of one pass a sample.
// Two vectors of a row travel together, so that the arithmetic of one fills the waits of the other.
#pragma once
#include "crosspoints.hpp"
#include "snapshots.hpp"
#include "sparse_rows.hpp"
#include "summed_rows.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kRowBlock = 16;        // rows that share a stream of cycle noise
constexpr float kSummed = 4;             // expected pulses for each vector of a row from which constant steps are summed
constexpr int64_t kListedVectors = 256;  // column vectors looked through at a time

// Eight crosspoints of a row while they take pulses.
struct Group {
    Crosspoints<f8> c;
    int64_t vec, index, lanes;
    u8 touched;     // not zero where a pulse came
    u8 ups, downs;  // pulses so far, where these are counted
};

// Pulses that the crosspoints of a group wait for, oldest first: the directions in the low bits, and how many they are.
struct Queue {
    u8 raises, waiting;
};

// Pulses of a row.
inline int row_pulses(const RowWord* words, int64_t n_words) {
    int n = 0;
    for (int64_t k = 0; k < n_words; ++k) n += __builtin_popcount(words[k].pulses);
    return n;
}

template <class Device, bool Mult, bool Noisy>
class RowUpdater {
  public:
    // `spread`: coincidences that a pulse of a row makes in a vector of inputs, on average.
    RowUpdater(const DeviceArgs& a, const UpdateArgs& u, const Trains& inputs, const SlotLists* lists, float spread,
               uint64_t part, int64_t block)
        : a_(a), u_(u), inputs_(inputs), lists_(lists), spread_(spread), noise_(u.seed, (uint32_t)block, (uint32_t)part, u.call), sigma_(splat(a.cycle_noise)), scattered_(a, u, noise_) {}

    // Pulses delivered so far: each takes one number of the noise, or is counted where there is none or one for many.
    int64_t pulses() const {
        return Noisy ? noise_.taken() - rewritten_ - scattered_.rewritten + summed_pulses_ : quiet_pulses_;
    }

    // Applies the words of row i in time order.
    void row(int64_t i, const RowWord* words, int64_t n_words, const SnapshotIndex* snapshots) {
        const int64_t vectors = (a_.cols + kLanes - 1) / kLanes;
        if (lists_ && !snapshots) {
            const int64_t number = listed_pulses(*lists_, words, n_words);
            if ((double)number < sparse_below(a_.kind) * (double)vectors) {
                if (!Noisy) quiet_pulses_ += number;
                scattered_.row(i, words, n_words, *lists_);
                return;
            }
        }
        if (snapshots) {
            for (int64_t vec = 0; vec < vectors; ++vec) {
                const int64_t list = u_.snapshot_rows ? i : vec;
                if (snapshots->start[list] < snapshots->start[list + 1]) with_copies(i, vec, words, n_words, *snapshots, list);
                else all_words<1>(i, &vec, words, n_words);
            }
        } else if (summable(words, n_words)) {
            if constexpr (Device::kSums && Noisy) sums(i, vectors, words, n_words);
        } else if (n_words == 1) {
            single_word(i, vectors, *words);
        } else {
            int64_t pair[2];
            for (int64_t vec = 0; vec < vectors; vec += 2) {
                pair[0] = vec;
                pair[1] = vec + 1;
                if (pair[1] < vectors) all_words<2>(i, pair, words, n_words);
                else all_words<1>(i, pair, words, n_words);
            }
        }
    }

  private:
    TW_INLINE const uint32_t* input_word(int64_t vec, const RowWord& w) const {
        return inputs_.bits + (vec * inputs_.words + w.word) * 16;
    }
    TW_INLINE u8 coincidences(int64_t vec, const RowWord& w) const {
        const u8 hit = load_u(input_word(vec, w)) & w.pulses;
        return u_.raise_only ? hit & directions(vec, w) : hit;
    }
    TW_INLINE u8 directions(int64_t vec, const RowWord& w) const { return load_u(input_word(vec, w) + 8) ^ w.signs; }

    TW_INLINE void open(Group& g, int64_t i, int64_t vec) const {
        g.vec = vec;
        g.index = i * a_.cols + vec * kLanes;
        g.lanes = a_.cols - vec * kLanes;
        g.c = load_crosspoints<Device>(a_, g.index, g.lanes);
        g.touched = g.ups = g.downs = u8{};
    }

    // One pulse at the lanes of the mask.
    TW_INLINE void pulse_some(Group& g, i8 active, i8 up) {
        const uint32_t mask = lane_mask(active);
        f8 moved;
        if constexpr (Noisy) {
            moved = pulse<Device, Mult>(g.c, up, sigma_ * noise_.take(mask), a_.shape);
        } else {
            quiet_pulses_ += __builtin_popcount(mask);
            moved = quiet_pulse<Device>(g.c, up, a_.shape);
        }
        g.c.state = blend(active, moved, g.c.state);
    }
    // One pulse at every lane.
    TW_INLINE void pulse_all(Group& g, i8 up) {
        if constexpr (Noisy) {
            g.c.state = pulse<Device, Mult>(g.c, up, sigma_ * noise_.take_all(), a_.shape);
        } else {
            quiet_pulses_ += kLanes;
            g.c.state = quiet_pulse<Device>(g.c, up, a_.shape);
        }
    }

    // A row with pulses in one word: only the vectors that have some are visited.
    void single_word(int64_t i, int64_t vectors, const RowWord& w) {
        int64_t found[kListedVectors];
        for (int64_t begin = 0; begin < vectors; begin += kListedVectors) {
            const int64_t end = begin + kListedVectors < vectors ? begin + kListedVectors : vectors;
            int64_t n = 0;
            for (int64_t vec = begin; vec < end; ++vec) {
                found[n] = vec;
                n += any(coincidences(vec, w));
            }
            int64_t k = 0;
            for (; k + 2 <= n; k += 2) one_word<2>(i, found + k, w);
            if (k < n) one_word<1>(i, found + k, w);
        }
    }

    template <int N>
    TW_INLINE void one_word(int64_t i, const int64_t* vec, const RowWord& w) {
        Group g[N];
        u8 hit[N], raises[N], left;
        for (int n = 0; n < N; ++n) {
            open(g[n], i, vec[n]);
            hit[n] = g[n].touched = coincidences(vec[n], w);
            raises[n] = directions(vec[n], w);
            if (u_.counts) tally(hit[n], raises[n], g[n]);
        }
        do {
            left = u8{};
            for (int n = 0; n < N; ++n) {
                pulse_lowest(g[n], hit[n], raises[n]);
                left |= hit[n];
            }
        } while (any(left));
        for (int n = 0; n < N; ++n) close(g[n]);
    }

    // The oldest pulse of each lane, taken out of hit.
    TW_INLINE void pulse_lowest(Group& g, u8& hit, u8 raises) {
        const u8 lowest = hit & (0u - hit);
        pulse_some(g, lowest != 0u, (raises & lowest) != 0u);
        hit ^= lowest;
    }

    // Many words: lanes queue their pulses, so that each goes on with its next one whatever word that is in.
    template <int N>
    TW_INLINE void all_words(int64_t i, const int64_t* vec, const RowWord* words, int64_t n_words) {
        int64_t k = 0;
        for (; k < n_words; ++k) {
            u8 hit = {};
            for (int n = 0; n < N; ++n) hit |= coincidences(vec[n], words[k]);
            if (any(hit)) break;
        }
        if (k == n_words) return;
        Group g[N];
        Queue q[N];
        for (int n = 0; n < N; ++n) {
            open(g[n], i, vec[n]);
            q[n] = Queue{};
        }
        for (; k < n_words; ++k) {
            u8 hit[N], number[N], most = {};
            for (int n = 0; n < N; ++n) {
                hit[n] = coincidences(vec[n], words[k]);
                number[n] = count_bits(hit[n]);
                const u8 total = q[n].waiting + number[n];
                most = (u8)blend((i8)(total > most), (f8)total, (f8)most);
            }
            if (any((u8)(most > 32u))) deliver<N>(g, q, max_lanes_u(most) - 32u);
            for (int n = 0; n < N; ++n) {
                const u8 raises = directions(vec[n], words[k]);
                if (u_.counts) tally(hit[n], raises, g[n]);
                // A lane with 32 pulses waiting gets none, whatever the shift makes of it.
                const u8 shifted = pack_bits(raises, hit[n]) << (q[n].waiting & 31u);
                q[n].raises |= shifted & (u8)(number[n] != 0u);
                q[n].waiting += number[n];
                g[n].touched |= hit[n];
            }
        }
        u8 most = q[0].waiting;
        for (int n = 1; n < N; ++n) most = (u8)blend((i8)(q[n].waiting > most), (f8)q[n].waiting, (f8)most);
        deliver<N>(g, q, max_lanes_u(most));
        for (int n = 0; n < N; ++n) close(g[n]);
    }

    // Up to `rounds` pulses of each lane.
    template <int N>
    TW_INLINE void deliver(Group* g, Queue* q, uint32_t rounds) {
        u8 least = q[0].waiting;
        for (int n = 1; n < N; ++n) least = (u8)blend((i8)(q[n].waiting < least), (f8)q[n].waiting, (f8)least);
        const uint32_t lowest = min_lanes_u(least), full = lowest < rounds ? lowest : rounds;
        for (uint32_t r = 0; r < full; ++r)
            for (int n = 0; n < N; ++n) {
                pulse_all(g[n], (i8)(q[n].raises << 31) >> 31);
                q[n].raises >>= 1;
            }
        for (uint32_t r = full; r < rounds; ++r)
            for (int n = 0; n < N; ++n) {
                pulse_some(g[n], q[n].waiting > r, (i8)(q[n].raises << 31) >> 31);
                q[n].raises >>= 1;
            }
        for (int n = 0; n < N; ++n) {
            const u8 spent = (u8)(q[n].waiting > rounds);
            q[n].waiting = (q[n].waiting - rounds) & spent;
        }
    }

    // Without noise single steps cost no more, and a batch is its samples one after the other to the last bit.
    bool summable(const RowWord* words, int64_t n_words) const {
        return Device::kSums && Noisy && spread_ * (float)row_pulses(words, n_words) >= kSummed;
    }

    // The pulses of each crosspoint as one step, where no bound is near; one by one otherwise.
    void sums(int64_t i, int64_t vectors, const RowWord* words, int64_t n_words) {
        const PulseCounter counter(inputs_, u_.raise_only);
        PulseCounts counts[kCountedTogether];
        for (int64_t first = 0; first < vectors; first += kCountedTogether) {
            const int64_t n = vectors - first < kCountedTogether ? vectors - first : kCountedTogether;
            counter.count(first, n, words, n_words, counts);
            for (int64_t k = 0; k < n; ++k)
                if (any(counts[k].all) && !sum(i, first + k, counts[k])) sum_parts(i, first + k, counter, words, n_words);
        }
    }

    // Near a bound: half of the words at a time, down to single words, whose pulses pass one by one if need be.
    __attribute__((noinline)) void sum_parts(int64_t i, int64_t vec, const PulseCounter& counter, const RowWord* words,
                                             int64_t n_words) {
        if (n_words == 1) return all_words<1>(i, &vec, words, 1);
        const int64_t half = n_words / 2;
        for (int part = 0; part < 2; ++part) {
            const RowWord* from = part ? words + half : words;
            const int64_t n = part ? n_words - half : half;
            PulseCounts counts;
            counter.count(vec, 1, from, n, &counts);
            if (any(counts.all) && !sum(i, vec, counts)) sum_parts(i, vec, counter, from, n);
        }
    }

    // Returns false, and does nothing, where the sum would not be exact.
    TW_INLINE bool sum(int64_t i, int64_t vec, const PulseCounts& n) {
        Group g;
        open(g, i, vec);
        const SummedSteps steps(g.c, n, a_.cycle_noise);
        if (!steps.exact) return false;
        g.touched = n.all;
        const i8 active = n.all != 0u;
        const uint32_t mask = lane_mask(active);
        const f8 moved = g.c.state + steps.mean + steps.deviation * noise_.take(mask);
        summed_pulses_ += (int64_t)sum_lanes_u(n.all) - __builtin_popcount(mask);
        g.c.state = blend(active, minimum(maximum(moved, g.c.min_bound), g.c.max_bound), g.c.state);
        if (u_.counts) {
            g.ups = n.up;
            g.downs = n.all - n.up;
        }
        close(g);
        return true;
    }

    void with_copies(int64_t i, int64_t vec, const RowWord* words, int64_t n_words, const SnapshotIndex& s, int64_t list) {
        Group g;
        open(g, i, vec);
        int64_t k = 0, low = 0;
        for (int64_t e = s.start[list]; e <= s.start[list + 1]; ++e) {
            const bool last = e == s.start[list + 1];
            const int64_t high = last ? INT64_MAX : s.boundary[e];
            while (k < n_words && words[k].word * 32 < high) {
                const int64_t base = words[k].word * 32;
                uint32_t mask = ~0u;
                if (low > base) mask &= low - base >= 32 ? 0u : ~0u << (low - base);
                const bool partial = high - base < 32;
                if (partial) mask &= ~(~0u << (high - base));
                u8 hit = coincidences(vec, words[k]) & mask;
                if (any(hit)) {
                    const u8 raises = directions(vec, words[k]);
                    if (u_.counts) tally(hit, raises, g);
                    g.touched |= hit;
                    do pulse_lowest(g, hit, raises);
                    while (any(hit));
                }
                if (partial) break;
                ++k;
            }
            low = high;
            if (last) break;
            close(g);
            g.touched = g.ups = g.downs = u8{};
            copy_out(i, g, s.event[e]);
            if (reset_after_copy(a_, u_, s.event[e], i)) open(g, i, vec);
        }
        close(g);
    }

    void copy_out(int64_t i, const Group& g, int64_t event) {
        if (u_.snapshot_rows) {
            store_first(u_.snapshot_out + event * a_.cols + g.vec * kLanes, load_first(a_.visible + g.index, g.lanes), g.lanes);
        } else {
            const int64_t lane = u_.snapshot_line[event] - g.vec * kLanes;
            u_.snapshot_out[event * a_.rows + i] = a_.visible[g.index + lane];
        }
    }

    TW_INLINE void tally(u8 hit, u8 raises, Group& g) const {
        g.ups += count_bits(hit & raises);
        g.downs += count_bits(hit & ~raises);
    }

    TW_INLINE void close(const Group& g) {
        const i8 changed = g.touched != 0u;
        const uint32_t mask = lane_mask(changed);
        if (mask == 0) return;
        if (u_.counts) add_halves(u_.counts + g.index, g.ups, g.downs, g.lanes);
        if (!a_.persistent) {
            store_first(a_.visible + g.index, g.c.state, g.lanes);
            return;
        }
        store_first(a_.persistent + g.index, g.c.state, g.lanes);
        if (a_.write_noise > 0) rewritten_ += __builtin_popcount(mask);
        const f8 before = load_first(a_.visible + g.index, g.lanes);
        const f8 after = visible_weight(a_, g.c.state, g.index, g.lanes, mask, noise_);
        store_first(a_.visible + g.index, blend(changed, after, before), g.lanes);
    }

    const DeviceArgs& a_;
    const UpdateArgs& u_;
    const Trains& inputs_;
    const SlotLists* lists_;
    const float spread_;
    NormalStream noise_;
    const f8 sigma_;
    ScatteredPulses<Device, Mult, Noisy> scattered_;
    int64_t quiet_pulses_ = 0, summed_pulses_ = 0;  // summed: less the numbers of the noise they took
    int64_t rewritten_ = 0;                         // crosspoints that drew write noise
};

// The words of row i that hold pulses; returns how many.
inline int64_t row_words(const Trains& errors, int64_t i, RowWord* out) {
    const uint32_t* base = errors.bits + (i / kLanes) * errors.words * 16 + i % kLanes;
    int64_t n = 0;
    for (int64_t w = 0; w < errors.words; ++w) {
        const uint32_t pulses = base[w * 16];
        if (pulses) out[n++] = {w, pulses, base[w * 16 + 8]};
    }
    return n;
}

}  // namespace
}  // namespace tilewright::TW_ISA
