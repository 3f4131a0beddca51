// Pulses of rows that get few: the columns that fire in a slot are listed once for all rows, and a row takes sixteen
// columns of a list at a time wherever they lie. Time goes with the number of pulses, not with the size of the array.
#pragma once
#include "crosspoints.hpp"
#include "snapshots.hpp"
#include "trains.hpp"

namespace tilewright::TW_ISA {
namespace {

#define TW_APART __attribute__((noinline))  // long, and called in several places

// One word of a row's train that holds pulses.
struct RowWord {
    int64_t word;
    uint32_t pulses, signs;
};

// Steps that take many times longer to compute than to add.
inline bool costly(DeviceKind kind) {
    return kind == DeviceKind::ExpStep || kind == DeviceKind::PowStep || kind == DeviceKind::TableStep;
}

// Places for pulses, for each vector of a row, below which these are taken from lists. Crosspoints that are brought together take one
// step at once: the more a step costs, the longer that pays.
// Writes of single rows pulse the same columns slot after slot, and each pulse waits for the one before to be stored.
inline double sparse_below(DeviceKind kind, bool single_rows) { return costly(kind) ? 8 : single_rows ? 1.5 : 4; }

constexpr uint32_t kSignBit = 0x80000000u;

// The columns that fire in each slot, in ascending order; the top bit of an entry is the sign of the input.
struct SlotLists {
    const int64_t* start;  // entries of slot s: start[s] .. start[s + 1]
    const uint32_t* entries;
    const int32_t* run;  // slots with the same number hold each column once at most; null where lists are long
};

constexpr int64_t kShortList = 4;  // entries of a slot, on average, below which the lists of several are taken together

// Calls body(slot, column, negative) for every pulse of the vectors of lines that are not copied.
template <class Body>
TW_INLINE void for_pulses(const Trains& lines, const VectorSets& sets, const Body& body) {
    for (int64_t r = 0; r < sets.n_plain; ++r) for (int64_t vec = sets.plain[r].first; vec < sets.plain[r].last; ++vec) {
        const uint32_t* base = lines.bits + vec * lines.words * 16;
        for (int64_t w = 0; w < lines.words; ++w, base += 16) {
            uint32_t fired = lane_mask(load_u(base) != 0u);
            for (; fired; fired &= fired - 1) {
                const int lane = __builtin_ctz(fired);
                for (uint32_t bits = base[lane]; bits; bits &= bits - 1) {
                    const int bit = __builtin_ctz(bits);
                    body(w * 32 + bit, vec * kLanes + lane, base[8 + lane] >> bit & 1u);
                }
            }
        }
    }
}

constexpr int64_t kLookedThrough = 16;  // columns of all slots, for each pulse, up to which every column is looked at

// Writes those of eight columns that fire, and returns how many; there must be room for eight.
TW_INLINE int64_t list_fired(u8 fired, u8 columns, uint32_t* out) {
    const i8 chosen = fired != 0u;
#if defined(__AVX512VL__)
    const uint32_t mask = lane_mask(chosen);
    store_u(out, (u8)_mm256_maskz_compress_epi32((__mmask8)mask, (__m256i)columns));
    return __builtin_popcount(mask);
#else
    int64_t n = 0;
    for (int l = 0; l < kLanes; ++l) {  // without a branch, which nobody could foresee
        out[n] = columns[l];
        n -= chosen[l];
    }
    return n;
#endif
}

// Lists the slots one after the other by looking at every column.
inline void list_by_looking(const Trains& inputs, const VectorSets& sets, int64_t slots, int64_t* start, uint32_t* entries) {
    int64_t n = 0;
    for (int64_t slot = 0; slot < slots; ++slot) {
        start[slot] = n;
        const int bit = (int)(slot & 31);
        for (int64_t r = 0; r < sets.n_plain; ++r)
            for (int64_t vec = sets.plain[r].first; vec < sets.plain[r].last; ++vec) {
                const uint32_t* word = inputs.bits + (vec * inputs.words + (slot >> 5)) * 16;
                const u8 negative = (load_u(word + 8) >> bit) << 31;
                n += list_fired((load_u(word) >> bit) & 1u, places<u8>((uint32_t)(vec * kLanes)) | negative, entries + n);
            }
    }
    for (int64_t slot = slots; slot <= inputs.words * 32; ++slot) start[slot] = n;
}

// Fills start (32 for each word, and 1) and entries; there must be room for all pulses and fifteen more. `used`: slots of
// the trains.
inline void list_slots(const Trains& inputs, const VectorSets& sets, int64_t used, int64_t pulses, int64_t* start,
                       uint32_t* entries) {
    const int64_t slots = inputs.words * 32;
    if (used * sets.vectors * kLanes <= kLookedThrough * pulses) {
        list_by_looking(inputs, sets, used, start, entries);
        std::memset(entries + start[slots], 0, (kWide - 1) * sizeof(uint32_t));
        return;
    }
    std::memset(start, 0, (size_t)(slots + 1) * sizeof(int64_t));
    for_pulses(inputs, sets, [&](int64_t slot, int64_t, uint32_t) { ++start[slot + 1]; });
    for (int64_t s = 0; s < slots; ++s) start[s + 1] += start[s];
    for_pulses(inputs, sets, [&](int64_t slot, int64_t column, uint32_t negative) {
        entries[start[slot]++] = (uint32_t)column | negative << 31;
    });
    for (int64_t s = slots; s > 0; --s) start[s] = start[s - 1];  // each start had moved to the next one
    start[0] = 0;
    std::memset(entries + start[slots], 0, (kWide - 1) * sizeof(uint32_t));
}

// Numbers the runs of slots that hold no column twice; `seen` has a place for each column.
inline void number_runs(const SlotLists& lists, int64_t slots, int64_t columns, int32_t* seen, int32_t* run) {
    std::memset(seen, 0, (size_t)columns * sizeof(int32_t));
    int32_t number = 1;
    for (int64_t s = 0; s < slots; ++s) {
        bool again = false;
        for (int64_t e = lists.start[s]; e < lists.start[s + 1]; ++e) again |= seen[lists.entries[e] & ~kSignBit] == number;
        number += again;
        for (int64_t e = lists.start[s]; e < lists.start[s + 1]; ++e) seen[lists.entries[e] & ~kSignBit] = number;
        run[s] = number;
    }
}

// Pulses of a row on the lists, and how many times sixteen of them are taken.
struct Listed {
    int64_t pulses = 0, times = 0;
};
inline Listed listed_pulses(const SlotLists& lists, const RowWord* words, int64_t n_words) {
    Listed n;
    for (int64_t k = 0; k < n_words; ++k)
        for (uint32_t bits = words[k].pulses; bits; bits &= bits - 1) {
            const int64_t slot = words[k].word * 32 + __builtin_ctz(bits);
            const int64_t entries = lists.start[slot + 1] - lists.start[slot];
            n.pulses += entries;
            n.times += (entries + kWide - 1) / kWide;
        }
    if (lists.run) n.times = (n.pulses + kWide - 1) / kWide;
    return n;
}

// Asks for the lines of a row of a matrix before they are needed, into the second cache: the first has few places for what
// is on its way.
TW_INLINE void fetch_row(const float* row, int64_t cols) {
    constexpr int64_t kLine = 16;  // numbers in a line of the cache
    for (int64_t j = 0; j < cols; j += kLine) __builtin_prefetch(row + j, 0, 1);
}

// The values of a parameter at columns of a row, wherever they lie.
template <class U>
struct ColumnsAt {
    int64_t row;  // its first crosspoint
    U column;
    TW_INLINE auto operator()(const Plane& p) const {
        using F = typename LaneTypes<U>::Number;
        return p.uniform ? F{} + *p.data : load_at(p.data + row, column);
    }
    // One parameter where the lanes are negative, another elsewhere: half of the elements of both.
    TW_INLINE auto either(const Plane& negative, const Plane& other, U sign) const {
        using F = typename LaneTypes<U>::Number;
        if (negative.uniform || other.uniform) return blend((typename LaneTypes<F>::Whole)sign < 0, (*this)(negative), (*this)(other));
        return load_either(negative.data + row, other.data + row, sign, column);
    }
};

// Pulses at sixteen crosspoints of a row wherever they lie.
template <class Device, bool Mult, bool Noisy>
class ScatteredPulses {
  public:
    ScatteredPulses(const DeviceArgs& a, const UpdateArgs& u, NormalStream& noise)
        : a_(a), u_(u), noise_(noise) {}

    // Applies the pulses of a row slot by slot, or run by run.
    void row(int64_t i, const RowWord* words, int64_t n_words, const SlotLists& lists) {
        if (lists.run) return runs(i, words, n_words, lists);
        for (int64_t k = 0; k < n_words; ++k)
            for (uint32_t bits = words[k].pulses; bits; bits &= bits - 1) {
                const int bit = __builtin_ctz(bits);
                const int64_t slot = words[k].word * 32 + bit, end = lists.start[slot + 1];
                const uint32_t sign = (words[k].signs >> bit) << 31;
                int64_t e = lists.start[slot];
                if (pairs_) for (; end - e > kWide; e += 2 * kWide) {
                    if constexpr (kPairs) some<2>(i * a_.cols, lists.entries + e, sign, end - e);
                }
                for (; e < end; e += kWide) some<1>(i * a_.cols, lists.entries + e, sign, end - e);
            }
    }

    // Brings the parameters of a row near that is to come.
    void fetch(int64_t i) const {
        const Plane* planes[] = {&a_.up, &a_.down, &a_.max_bound, &a_.min_bound, &a_.slope_up, &a_.slope_down, &a_.reference};
        for (const Plane* p : planes)
            if (p->data && !p->uniform) fetch_row(p->data + i * a_.cols, a_.cols);
        fetch_row(a_.visible + i * a_.cols, a_.cols);
        if (a_.persistent) fetch_row(a_.persistent + i * a_.cols, a_.cols);
    }

    int64_t rewritten = 0;  // crosspoints that drew write noise

  private:
    void runs(int64_t i, const RowWord* words, int64_t n_words, const SlotLists& lists) {
        uint32_t waiting[kWide] = {};
        int64_t n = 0;
        int32_t run = 0;
        const auto send = [&] {
            if (n > 0) sixteen_apart(i * a_.cols, waiting, n);
            n = 0;
        };
        for (int64_t k = 0; k < n_words; ++k)
            for (uint32_t bits = words[k].pulses; bits; bits &= bits - 1) {
                const int bit = __builtin_ctz(bits);
                const int64_t slot = words[k].word * 32 + bit;
                const uint32_t sign = (words[k].signs >> bit) << 31;
                if (lists.run[slot] != run) send();
                run = lists.run[slot];
                for (int64_t e = lists.start[slot]; e < lists.start[slot + 1]; ++e) {
                    waiting[n++] = lists.entries[e] ^ sign;
                    if (n == kWide) send();
                }
            }
        send();
    }

    TW_APART void sixteen_apart(int64_t row, const uint32_t* entries, int64_t lanes) { some<1>(row, entries, 0, lanes); }

    // N times sixteen. Entries past the end of the list name columns too, if not those of this slot: they are read and not written.
    template <int N>
    TW_INLINE void some(int64_t row, const uint32_t* list, uint32_t sign, int64_t lanes) {
        using F = typename Several<N>::F;
        typename Several<N>::U entries;
        load_several(entries, list);
        const auto column = entries & ~kSignBit;
        const auto up = (typename Several<N>::I)(entries ^ sign) >> 31;
        const int64_t n = lanes < N * kWide ? lanes : N * kWide;
        const uint64_t mask = (1ull << n) - 1u;
        float* states = (a_.persistent ? a_.persistent : a_.visible) + row;
        const ColumnsAt<typename Several<N>::U> at{row, column};
        const Crosspoints<F> c = crosspoints_towards<Device>(a_, load_at(states, column), entries ^ sign, at);
        const StepShape<float> shape = a_.shape;
        F moved;
        if constexpr (Noisy) moved = pulse<Device, Mult>(c, up, noise_.template take_several<F>(mask) * a_.cycle_noise, shape);
        else moved = quiet_pulse<Device>(c, up, shape);
        store_at(states, column, moved, n);
        if constexpr (N == 1) {
            if (a_.persistent) {
                if (a_.write_noise > 0) rewritten += n;
                store_at(a_.visible + row, column, visible_weight(a_, moved, at, (uint32_t)mask, noise_), n);
            }
        }
        if (u_.counts) count(row, list, sign, n);
    }

    void count(int64_t row, const uint32_t* list, uint32_t sign, int64_t n) const {
        for (int64_t l = 0; l < n; ++l)
            u_.counts[row + (list[l] & ~kSignBit)] += (list[l] ^ sign) & kSignBit ? kUpPulse : kDownPulse;
    }

    const DeviceArgs& a_;
    const UpdateArgs& u_;
    NormalStream& noise_;
    // Twice sixteen at once: the gathers and the long arithmetic of one fill the waits of the other.
    static constexpr bool kPairs = Device::kCostly && Device::kSlope;
    const bool pairs_ = kPairs && !a_.persistent;
};

}  // namespace
}  // namespace tilewright::TW_ISA
