// Pulses of rows that get few: the columns that fire in a slot are listed once for all rows, and a row takes eight
// columns of a list at a time wherever they lie. Time goes with the number of pulses, not with the size of the array.
#pragma once
#include "crosspoints.hpp"
#include "trains.hpp"

namespace tilewright::TW_ISA {
namespace {

// One word of a row's train that holds pulses.
struct RowWord {
    int64_t word;
    uint32_t pulses, signs;
};

// Pulses for each vector of a row below which they are taken from lists. Eight crosspoints that are brought together take
// one step at once: the more a step costs, the longer that pays.
inline double sparse_below(DeviceKind kind) {
    const bool costly = kind == DeviceKind::ExpStep || kind == DeviceKind::PowStep || kind == DeviceKind::TableStep;
    return costly ? 5 : 1.5;
}

constexpr uint32_t kSignBit = 0x80000000u;

// The columns that fire in each slot, in ascending order; the top bit of an entry is the sign of the input.
struct SlotLists {
    const int64_t* start;  // entries of slot s: start[s] .. start[s + 1]
    const uint32_t* entries;
};

// Calls body(slot, column, negative) for every pulse of the lines.
template <class Body>
TW_INLINE void for_pulses(const Trains& lines, int64_t vectors, const Body& body) {
    for (int64_t vec = 0; vec < vectors; ++vec) {
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

// Fills start (slots + 1) and entries; there must be room for all pulses and seven more.
inline void list_slots(const Trains& inputs, int64_t vectors, int64_t* start, uint32_t* entries) {
    const int64_t slots = inputs.words * 32;
    std::memset(start, 0, (size_t)(slots + 1) * sizeof(int64_t));
    for_pulses(inputs, vectors, [&](int64_t slot, int64_t, uint32_t) { ++start[slot + 1]; });
    for (int64_t s = 0; s < slots; ++s) start[s + 1] += start[s];
    for_pulses(inputs, vectors, [&](int64_t slot, int64_t column, uint32_t negative) {
        entries[start[slot]++] = (uint32_t)column | negative << 31;
    });
    for (int64_t s = slots; s > 0; --s) start[s] = start[s - 1];  // each start had moved to the next one
    start[0] = 0;
    std::memset(entries + start[slots], 0, 7 * sizeof(uint32_t));
}

// Pulses of a row on the lists.
inline int64_t listed_pulses(const SlotLists& lists, const RowWord* words, int64_t n_words) {
    int64_t n = 0;
    for (int64_t k = 0; k < n_words; ++k)
        for (uint32_t bits = words[k].pulses; bits; bits &= bits - 1) {
            const int64_t slot = words[k].word * 32 + __builtin_ctz(bits);
            n += lists.start[slot + 1] - lists.start[slot];
        }
    return n;
}

// Pulses at eight crosspoints of a row wherever they lie: their state and parameters are brought together first.
template <class Device, bool Mult, bool Noisy>
class ScatteredPulses {
  public:
    ScatteredPulses(const DeviceArgs& a, const UpdateArgs& u, NormalStream& noise)
        : a_(a), u_(u), noise_(noise), here_(a), sigma_(splat(a.cycle_noise)) {
        here_.visible = state_;
        here_.persistent = nullptr;
        const Plane* from[kPlanes] = {&a.up, &a.down, &a.max_bound, &a.min_bound, &a.slope_up, &a.slope_down, &a.reference};
        Plane* to[kPlanes] = {&here_.up, &here_.down, &here_.max_bound, &here_.min_bound, &here_.slope_up, &here_.slope_down,
                              &here_.reference};
        for (int k = 0; k < kPlanes; ++k) {
            if (from[k]->uniform || !from[k]->data) continue;
            source_[spread_] = from[k]->data;
            to[k]->data = place_[spread_++];
        }
    }

    // Applies the pulses of a row slot by slot.
    void row(int64_t i, const RowWord* words, int64_t n_words, const SlotLists& lists) {
        for (int64_t k = 0; k < n_words; ++k)
            for (uint32_t bits = words[k].pulses; bits; bits &= bits - 1) {
                const int bit = __builtin_ctz(bits);
                const int64_t slot = words[k].word * 32 + bit, end = lists.start[slot + 1];
                const uint32_t sign = (words[k].signs >> bit) << 31;
                for (int64_t e = lists.start[slot]; e < end; e += kLanes)
                    eight(i * a_.cols, load_u(lists.entries + e), sign, end - e);
            }
    }

    int64_t rewritten = 0;  // crosspoints that drew write noise

  private:
    static constexpr int kPlanes = 7;

    // Entries past the end of the list name columns too, if not those of this slot: they are read and not written.
    TW_INLINE void eight(int64_t row, u8 entries, uint32_t sign, int64_t lanes) {
        const u8 column = entries & ~kSignBit;
        const i8 up = (i8)(entries ^ sign) >> 31;
        const uint32_t mask = lanes >= kLanes ? 0xffu : (1u << lanes) - 1u;
        float* states = (a_.persistent ? a_.persistent : a_.visible) + row;
        store(state_, load_at(states, column));
        for (int k = 0; k < spread_; ++k) store(place_[k], load_at(source_[k] + row, column));
        const Crosspoints<f8> c = load_crosspoints<Device>(here_, 0, kLanes);
        f8 moved;
        if constexpr (Noisy) moved = pulse<Device, Mult>(c, up, sigma_ * noise_.take(mask), a_.shape);
        else moved = quiet_pulse<Device>(c, up, a_.shape);
        store_at(states, column, moved, lanes);
        if (a_.persistent) {
            if (a_.write_noise > 0) rewritten += __builtin_popcount(mask);
            store_at(a_.visible + row, column, visible_weight(here_, moved, 0, kLanes, mask, noise_), lanes);
        }
        if (u_.counts)
            for (int64_t l = 0; l < kLanes && l < lanes; ++l) u_.counts[row + column[l]] += up[l] ? kUpPulse : kDownPulse;
    }

    const DeviceArgs& a_;
    const UpdateArgs& u_;
    NormalStream& noise_;
    DeviceArgs here_;  // the array as these eight crosspoints alone
    const f8 sigma_;
    int spread_ = 0;  // parameters that differ from crosspoint to crosspoint
    const float* source_[kPlanes];
    alignas(32) float state_[kLanes];
    alignas(32) float place_[kPlanes][kLanes];
};

}  // namespace
}  // namespace tilewright::TW_ISA
