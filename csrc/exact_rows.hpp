// Pulses applied one by one. Given the trains, crosspoints do not depend on each other: vectors of eight are loaded once
// and take the pulses of all samples in order, which is exact and spares the memory traffic of one pass a sample.
// Several vectors of a row travel together, so that the arithmetic of one fills the waits of the others.
#pragma once
#include "crosspoints.hpp"
#include "rounds.hpp"
#include "snapshots.hpp"
#include "sparse_rows.hpp"
#include "summed_rows.hpp"
#include "wide.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kRowBlock = 16;        // rows that share a stream of cycle noise
constexpr float kSummed = 4;             // expected pulses for each vector of a row from which constant steps are summed

constexpr int kTogether = 4;             // vectors of a row that take their pulses together
constexpr int64_t kListedVectors = 256;  // column vectors looked through at a time

// Two vectors of eight crosspoints of a row, or one, while they take pulses.
template <bool Both>
struct Group {
    TwiceEight<Both> at;
    Crosspoints<f16> c;
    u16 touched;     // not zero where a pulse came
    u16 ups, downs;  // pulses so far, where these are counted
};

// Pulses that the crosspoints of a group wait for, oldest first: the directions in the low bits, and how many they are.
struct Queue {
    u16 raises, waiting;
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
    RowUpdater(const DeviceArgs& a, const UpdateArgs& u, const Trains& inputs, const VectorSets& sets, const SlotLists* lists,
               float spread, uint64_t part, int64_t block)
        : a_(a), u_(u), inputs_(inputs), sets_(sets), lists_(lists), spread_(spread), noise_(u.seed, (uint32_t)block, (uint32_t)part, u.call), sigma_(splat_wide(a.cycle_noise)), scattered_(a, u, noise_), rounds_(a, u, inputs, noise_) {}

    // Pulses delivered so far: each takes one number of the noise, or is counted where there is none or one for many.
    int64_t pulses() const {
        const int64_t quiet = quiet_pulses_ + rounds_.quiet_pulses, rewritten = rewritten_ + scattered_.rewritten + rounds_.rewritten;
        return Noisy ? noise_.taken() - rewritten + summed_pulses_ : quiet;
    }

    // Brings a row near that is to come.
    void fetch(int64_t i) const { scattered_.fetch(i); }

    // Applies the words of row i in time order. `copies`: of rows.
    void row(int64_t i, RowWord* words, int64_t n_words, const SnapshotIndex* copies) {
        if (copies) return with_row_copies(i, words, n_words, *copies);
        if (n_words > 0) plain(i, words, n_words);
        by_groups(sets_.n_copied, [&](auto v, int64_t k) { with_column_copies<v>(i, sets_.copied + k, words, n_words); });
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

    // Hits and directions of the vectors of group g, in the slots of their phases where these are given. A lone vector
    // leaves the second half without hits.
    template <int V>
    TW_INLINE u16 hits(const int64_t* vec, int g, const RowWord& w, const CopyPhase* const* phase) const {
        u8 first = coincidences(vec[2 * g], w), second = {};
        if (phase) first &= sets_.copies.slots(phase[2 * g], w.word);
        if constexpr (V > 1) {
            second = coincidences(vec[2 * g + 1], w);
            if (phase) second &= sets_.copies.slots(phase[2 * g + 1], w.word);
        }
        return joined(first, second);
    }
    template <int V>
    TW_INLINE u16 raised(const int64_t* vec, int g, const RowWord& w) const {
        const u8 first = directions(vec[2 * g], w);
        if constexpr (V == 1) return joined(first, u8{});
        else return joined(first, directions(vec[2 * g + 1], w));
    }

    template <int V>
    TW_INLINE void open(Group<(V > 1)>* groups, int64_t i, const int64_t* vec) const {
        for (int n = 0; n < (V + 1) / 2; ++n) {
            Group<(V > 1)>& g = groups[n];
            for (int half = 0; half < 2 && 2 * n + half < V; ++half) {
                g.at.index[half] = i * a_.cols + vec[2 * n + half] * kLanes;
                g.at.lanes[half] = a_.cols - vec[2 * n + half] * kLanes;
            }
            g.c = crosspoints_of<Device>(a_, g.at.load(a_.persistent ? a_.persistent : a_.visible), g.at);
            g.touched = g.ups = g.downs = u16{};
        }
    }

    // Stores what the crosspoints have become, and shows it.
    template <bool Both>
    TW_INLINE void close(const Group<Both>& g) {
        const i16 changed = (i16)(g.touched != 0u);
        const uint32_t mask = lane_mask(changed);
        if (mask == 0) return;
        if (u_.counts) {
            add_halves(u_.counts + g.at.index[0], low(g.ups), low(g.downs), g.at.lanes[0]);
            if constexpr (Both) add_halves(u_.counts + g.at.index[1], high(g.ups), high(g.downs), g.at.lanes[1]);
        }
        if (!a_.persistent) return g.at.store(a_.visible, g.c.state);
        g.at.store(a_.persistent, g.c.state);
        if (a_.write_noise > 0) rewritten_ += __builtin_popcount(mask);
        const f16 before = g.at.load(a_.visible);
        g.at.store(a_.visible, blend(changed, visible_weight(a_, g.c.state, g.at, mask, noise_), before));
    }

    // One pulse at the lanes of the mask.
    template <bool Both>
    TW_INLINE void pulse_some(Group<Both>& g, i16 active, i16 up) {
        const uint32_t mask = lane_mask(active);
        f16 moved;
        if constexpr (Noisy) {
            moved = pulse<Device, Mult>(g.c, up, sigma_ * noise_.take_wide(mask), a_.shape);
        } else {
            quiet_pulses_ += __builtin_popcount(mask);
            moved = quiet_pulse<Device>(g.c, up, a_.shape);
        }
        g.c.state = blend(active, moved, g.c.state);
    }
    // One pulse at every lane.
    template <bool Both>
    TW_INLINE void pulse_all(Group<Both>& g, i16 up) {
        if constexpr (Noisy) {
            g.c.state = pulse<Device, Mult>(g.c, up, sigma_ * noise_.take_all_wide(), a_.shape);
        } else {
            quiet_pulses_ += kWide;
            g.c.state = quiet_pulse<Device>(g.c, up, a_.shape);
        }
    }

    // The vectors that nobody copies on the way.
    void plain(int64_t i, const RowWord* words, int64_t n_words) {
        if (lists_) {
            const Listed listed = listed_pulses(*lists_, words, n_words);
            if ((double)(listed.times * kWide) < sparse_below(a_.kind, u_.d_hot != nullptr) * (double)sets_.vectors) {
                if (!Noisy) quiet_pulses_ += listed.pulses;
                scattered_.row(i, words, n_words, *lists_);
                return;
            }
        }
        if constexpr (Device::kCostly) {
            for (int64_t k = 0; k < sets_.n_plain; ++k) rounds_.range(i, sets_.plain[k], words, n_words);
            return;
        }
        const bool sum = summable(words, n_words);
        for (int64_t k = 0; k < sets_.n_plain; ++k) {
            const VectorRange& r = sets_.plain[k];
            if (sum) {
                if constexpr (Device::kSums && Noisy) sums(i, r, words, n_words);
            } else if (n_words == 1) {
                single_word(i, r, *words);
            } else {
                many_words(i, r, words, n_words);
            }
        }
    }

    // Calls body<V>(first) for the vectors listed, several at a time.
    template <class Body>
    TW_INLINE void by_groups(int64_t n, const Body& body) {
        int64_t k = 0;
        for (; k + kTogether <= n; k += kTogether) body(std::integral_constant<int, kTogether>{}, k);
        for (; k < n; ++k) body(std::integral_constant<int, 1>{}, k);
    }

    void many_words(int64_t i, const VectorRange& r, const RowWord* words, int64_t n_words) {
        const bool queue = crowded(words, n_words);
        by_groups(r.last - r.first, [&](auto v, int64_t k) {
            int64_t vec[v];
            for (int n = 0; n < v; ++n) vec[n] = r.first + k + n;
            all_words<v>(i, vec, words, n_words, queue, nullptr);
        });
    }

    // A row with pulses in one word: only the vectors that have some are visited.
    void single_word(int64_t i, const VectorRange& r, const RowWord& w) {
        int64_t found[kListedVectors];
        for (int64_t begin = r.first; begin < r.last; begin += kListedVectors) {
            const int64_t end = begin + kListedVectors < r.last ? begin + kListedVectors : r.last;
            int64_t n = 0;
            for (int64_t vec = begin; vec < end; ++vec) {
                found[n] = vec;
                n += any(coincidences(vec, w));
            }
            by_groups(n, [&](auto v, int64_t k) {
                if constexpr (v == kTogether) one_word<v>(i, found + k, w);
                else all_words<v>(i, found + k, &w, 1, false, nullptr);
            });
        }
    }

    template <int V>
    TW_APART void one_word(int64_t i, const int64_t* vec, const RowWord& w) {
        constexpr int G = (V + 1) / 2;
        Group<(V > 1)> g[G];
        u16 hit[G], raises[G], left;
        open<V>(g, i, vec);
        for (int n = 0; n < G; ++n) {
            hit[n] = g[n].touched = hits<V>(vec, n, w, nullptr);
            raises[n] = raised<V>(vec, n, w);
            if (u_.counts) tally(hit[n], raises[n], g[n]);
        }
        do {
            left = u16{};
            for (int n = 0; n < G; ++n) {
                const u16 lowest = hit[n] & (0u - hit[n]);
                pulse_some(g[n], lowest != 0u, (raises[n] & lowest) != 0u);
                hit[n] = hit[n] ^ lowest;
                left = left | hit[n];
            }
        } while (any(left));
        for (int n = 0; n < G; ++n) close(g[n]);
    }

    // Whether lanes have so many pulses in a word that it pays to queue them.
    bool crowded(const RowWord* words, int64_t n_words) const {
        const float most = costly(a_.kind) ? 3 : 8;  // to be expected for each lane and word
        return spread_ * (float)row_pulses(words, n_words) > most * (float)(kLanes * n_words);
    }

    // Many words; `phase`: the slots that count in each vector, or null.
    template <int V>
    TW_APART void all_words(int64_t i, const int64_t* vec, const RowWord* words, int64_t n_words, bool queue,
                            const CopyPhase* const* phase) {
        int64_t k = 0;
        for (; k < n_words; ++k) {
            u16 hit = {};
            for (int n = 0; n < (V + 1) / 2; ++n) hit = hit | hits<V>(vec, n, words[k], phase);
            if (any(hit)) break;
        }
        if (k == n_words) return;
        Group<(V > 1)> g[(V + 1) / 2];
        open<V>(g, i, vec);
        if constexpr (V == kTogether) {  // fewer are not worth a queue
            if (queue) queued<V>(g, vec, words + k, n_words - k, phase);
            else in_turn<V>(g, vec, words + k, n_words - k, phase);
        } else {
            in_turn<V>(g, vec, words + k, n_words - k, phase);
        }
        for (int n = 0; n < (V + 1) / 2; ++n) close(g[n]);
    }

    // Two words at a time: a lane goes on to the second where it has no more pulses in the first.
    template <int V>
    TW_INLINE void in_turn(Group<(V > 1)>* g, const int64_t* vec, const RowWord* words, int64_t n_words,
                           const CopyPhase* const* phase) {
        constexpr int G = (V + 1) / 2;
        for (int64_t k = 0; k < n_words; k += 2) {
            u16 hit[G], later[G], raises[G], raises_later[G], left = {};
            for (int n = 0; n < G; ++n) {
                hit[n] = hits<V>(vec, n, words[k], phase);
                raises[n] = raised<V>(vec, n, words[k]);
                later[n] = raises_later[n] = u16{};
                if (k + 1 < n_words) {
                    later[n] = hits<V>(vec, n, words[k + 1], phase);
                    raises_later[n] = raised<V>(vec, n, words[k + 1]);
                }
                const u16 both = hit[n] | later[n];
                g[n].touched = g[n].touched | both;
                left = left | both;
                if (u_.counts) {
                    tally(hit[n], raises[n], g[n]);
                    tally(later[n], raises_later[n], g[n]);
                }
            }
            while (any(left)) {
                left = u16{};
                for (int n = 0; n < G; ++n) {
                    const auto done = hit[n] == 0u;
                    const u16 now = blend((i16)done, later[n], hit[n]);
                    const u16 direction = blend((i16)done, raises_later[n], raises[n]);
                    const u16 rest = now & (now - 1u);
                    pulse_some(g[n], (i16)(now != 0u), (i16)((direction & (now ^ rest)) != 0u));
                    later[n] = blend((i16)done, rest, later[n]);
                    hit[n] = blend((i16)done, hit[n], rest);
                    left = left | hit[n] | later[n];
                }
            }
        }
    }

    // Lanes queue their pulses, so that each goes on with its next one whatever word that is in.
    template <int V>
    TW_INLINE void queued(Group<(V > 1)>* g, const int64_t* vec, const RowWord* words, int64_t n_words,
                          const CopyPhase* const* phase) {
        constexpr int G = V / 2;
        Queue q[G];
        for (int n = 0; n < G; ++n) q[n] = Queue{};
        for (int64_t k = 0; k < n_words; ++k) {
            u16 hit[G], number[G], most = {};
            for (int n = 0; n < G; ++n) {
                hit[n] = hits<V>(vec, n, words[k], phase);
                number[n] = count_bits(hit[n]);
                const u16 total = q[n].waiting + number[n];
                most = blend((i16)(total > most), total, most);
            }
            if (any((u16)(most > 32u))) deliver<G>(g, q, max_lanes_u(most) - 32u);
            for (int n = 0; n < G; ++n) {
                const u16 raises = raised<V>(vec, n, words[k]);
                if (u_.counts) tally(hit[n], raises, g[n]);
                // A lane with 32 pulses waiting gets none, whatever the shift makes of it.
                const u16 shifted = pack_bits(raises, hit[n]) << (q[n].waiting & 31u);
                q[n].raises = q[n].raises | (shifted & (u16)(number[n] != 0u));
                q[n].waiting = q[n].waiting + number[n];
                g[n].touched = g[n].touched | hit[n];
            }
        }
        u16 most = q[0].waiting;
        for (int n = 1; n < G; ++n) most = blend((i16)(q[n].waiting > most), q[n].waiting, most);
        deliver<G>(g, q, max_lanes_u(most));
    }

    // Up to `rounds` pulses of each lane.
    template <int G>
    TW_INLINE void deliver(Group<true>* g, Queue* q, uint32_t rounds) {
        u16 least = q[0].waiting;
        for (int n = 1; n < G; ++n) least = blend((i16)(q[n].waiting < least), q[n].waiting, least);
        const uint32_t lowest = min_lanes_u(least), full = lowest < rounds ? lowest : rounds;
        for (uint32_t r = 0; r < full; ++r)
            for (int n = 0; n < G; ++n) {
                pulse_all(g[n], (i16)(q[n].raises & 1u) != 0);
                q[n].raises = q[n].raises >> 1;
            }
        for (uint32_t r = full; r < rounds; ++r)
            for (int n = 0; n < G; ++n) {
                pulse_some(g[n], (i16)(q[n].waiting > r), (i16)(q[n].raises & 1u) != 0);
                q[n].raises = q[n].raises >> 1;
            }
        for (int n = 0; n < G; ++n) {
            const u16 spent = (u16)(q[n].waiting > rounds);
            q[n].waiting = (q[n].waiting - rounds) & spent;
        }
    }

    // Without noise single steps cost no more, and a batch is its samples one after the other to the last bit.
    bool summable(const RowWord* words, int64_t n_words) const {
        return Device::kSums && Noisy && spread_ * (float)row_pulses(words, n_words) >= kSummed;
    }

    // The pulses of each crosspoint as one step, where no bound is near; one by one otherwise.
    void sums(int64_t i, const VectorRange& r, const RowWord* words, int64_t n_words) {
        const PulseCounter counter(inputs_, u_.raise_only);
        PulseCounts counts[kCountedTogether];
        for (int64_t first = r.first; first < r.last; first += kCountedTogether) {
            const int64_t n = r.last - first < kCountedTogether ? r.last - first : kCountedTogether;
            counter.count(first, n, words, n_words, counts);
            for (int64_t k = 0; k < n; ++k)
                if (any(counts[k].all) && !sum(i, first + k, counts[k])) sum_parts(i, first + k, counter, words, n_words);
        }
    }

    // Near a bound: half of the words at a time, down to single words, whose pulses pass one by one if need be.
    __attribute__((noinline)) void sum_parts(int64_t i, int64_t vec, const PulseCounter& counter, const RowWord* words,
                                             int64_t n_words) {
        if (n_words == 1) return all_words<1>(i, &vec, words, 1, false, nullptr);
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
        const int64_t index = i * a_.cols + vec * kLanes, lanes = a_.cols - vec * kLanes;
        const Crosspoints<f8> c = load_crosspoints<Device>(a_, index, lanes);
        const SummedSteps steps(c, n, a_.cycle_noise);
        if (!steps.exact) return false;
        const i8 active = n.all != 0u;
        const uint32_t mask = lane_mask(active);
        const f8 moved = c.state + steps.mean + steps.deviation * noise_.take(mask);
        summed_pulses_ += (int64_t)sum_lanes_u(n.all) - __builtin_popcount(mask);
        const f8 state = blend(active, minimum(maximum(moved, c.min_bound), c.max_bound), c.state);
        close(index, lanes, state, n.all, n.up, n.all - n.up);
        return true;
    }

    // The row up to each copy of it, the copy, and so on.
    void with_row_copies(int64_t i, RowWord* words, int64_t n_words, const SnapshotIndex& s) {
        int64_t k = 0;
        for (int64_t e = s.start[i]; e < s.start[i + 1]; ++e) {
            const int64_t first = k, boundary = s.boundary[e];
            while (k < n_words && words[k].word * 32 + 32 <= boundary) ++k;
            const uint32_t after = k < n_words && words[k].word * 32 < boundary ? ~0u << (boundary & 31) : ~0u;
            const uint32_t before = after == ~0u ? 0 : words[k].pulses & ~after;
            if (before) {
                const uint32_t rest = words[k].pulses & after;
                words[k].pulses = before;
                plain(i, words + first, k + 1 - first);
                words[k].pulses = rest;
                k += rest == 0;
            } else if (k > first) {
                plain(i, words + first, k - first);
            }
            store_row(i, s.event[e]);
        }
        if (k < n_words) plain(i, words + k, n_words - k);
    }

    void store_row(int64_t i, int64_t event) const {
        std::memcpy(u_.snapshot_out + event * a_.cols, a_.visible + i * a_.cols, (size_t)a_.cols * sizeof(float));
    }

    // Vectors with columns that are copied on the way, phase by phase.
    template <int V>
    void with_column_copies(int64_t i, const int64_t* vec, const RowWord* words, int64_t n_words) {
        const CopyPhase* phase[V];
        int64_t left[V], most = 0;
        for (int n = 0; n < V; ++n) {
            phase[n] = sets_.copies.phases + sets_.copies.start[vec[n]];
            left[n] = sets_.copies.start[vec[n] + 1] - sets_.copies.start[vec[n]];
            most = left[n] > most ? left[n] : most;
        }
        for (int64_t number = 0; number < most; ++number) {
            bool all = true;
            for (int n = 0; n < V; ++n) all &= number < left[n];
            if (all) one_phase<V>(i, vec, phase, number, words, n_words);
            for (int n = 0; n < V; ++n) {
                if (number >= left[n]) continue;
                if (V > 1 && !all) one_phase<1>(i, vec + n, phase + n, number, words, n_words);
                copy_lanes(i, vec[n], phase[n][number]);
            }
        }
    }

    template <int V>
    void one_phase(int64_t i, const int64_t* vec, const CopyPhase* const* phase, int64_t number, const RowWord* words,
                   int64_t n_words) {
        int64_t earliest = kNever, latest = 0;
        const CopyPhase* now[V];
        for (int n = 0; n < V; ++n) {
            now[n] = phase[n] + number;
            earliest = now[n]->earliest < earliest ? now[n]->earliest : earliest;
            latest = now[n]->latest > latest ? now[n]->latest : latest;
        }
        while (n_words > 0 && words->word * 32 + 32 <= earliest) ++words, --n_words;
        while (n_words > 0 && words[n_words - 1].word * 32 >= latest) --n_words;
        all_words<V>(i, vec, words, n_words, false, now);
    }

    void copy_lanes(int64_t i, int64_t vec, const CopyPhase& phase) {
        const int64_t index = i * a_.cols + vec * kLanes;
        for (int64_t lane = 0; lane < kLanes; ++lane) {
            const int64_t event = phase.event[lane];
            if (event < 0) continue;
            u_.snapshot_out[event * a_.rows + i] = a_.visible[index + lane];
            reset_after_copy(a_, u_, event, i);
        }
    }

    template <bool Both>
    TW_INLINE void tally(u16 hit, u16 raises, Group<Both>& g) const {
        g.ups = g.ups + count_bits(hit & raises);
        g.downs = g.downs + count_bits(hit & ~raises);
    }

    // The same for eight.
    TW_INLINE void close(int64_t index, int64_t lanes, f8 state, u8 touched, u8 ups, u8 downs) {
        const i8 changed = touched != 0u;
        const uint32_t mask = lane_mask(changed);
        if (mask == 0) return;
        if (u_.counts) add_halves(u_.counts + index, ups, downs, lanes);
        if (!a_.persistent) {
            store_first(a_.visible + index, state, lanes);
            return;
        }
        store_first(a_.persistent + index, state, lanes);
        if (a_.write_noise > 0) rewritten_ += __builtin_popcount(mask);
        const f8 before = load_first(a_.visible + index, lanes);
        const f8 after = visible_weight(a_, state, index, lanes, mask, noise_);
        store_first(a_.visible + index, blend(changed, after, before), lanes);
    }

    const DeviceArgs& a_;
    const UpdateArgs& u_;
    const Trains& inputs_;
    const VectorSets& sets_;
    const SlotLists* lists_;
    const float spread_;
    NormalStream noise_;
    const f16 sigma_;
    ScatteredPulses<Device, Mult, Noisy> scattered_;
    RoundsOf<Device, Mult, Noisy> rounds_;
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
