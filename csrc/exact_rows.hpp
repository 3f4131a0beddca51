// Pulses applied one by one. Given the trains, crosspoints do not depend on each other: eight of them are loaded once
// and take the pulses of all samples in order, which is exact and spares the memory traffic of one pass a sample.
#pragma once
#include "devices.hpp"
#include "snapshots.hpp"
#include "trains.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kRowBlock = 16;  // rows that share a stream of cycle noise

// One word of a row's train that holds pulses.
struct RowWord {
    int64_t word;
    uint32_t pulses, signs;
};

template <class Device, bool Mult>
class RowUpdater {
  public:
    RowUpdater(const DeviceArgs& a, const UpdateArgs& u, const Trains& inputs, uint64_t part, int64_t block)
        : a_(a), u_(u), inputs_(inputs), noise_(u.seed, (uint32_t)block, (uint32_t)part, u.call), noisy_(a.cycle_noise > 0) {}

    int64_t pulses = 0;

    void row(int64_t i, const RowWord* words, int64_t n_words, const SnapshotIndex* snapshots) {
        const int64_t vectors = (a_.cols + kLanes - 1) / kLanes;
        for (int64_t vec = 0; vec < vectors; ++vec) {
            const int64_t group = u_.snapshot_rows ? i : vec;
            const bool copies = snapshots && snapshots->start[group] < snapshots->start[group + 1];
            if (copies) with_copies(i, vec, words, n_words, *snapshots, group);
            else plain(i, vec, words, n_words);
        }
    }

  private:
    TW_INLINE u8 coincidences(int64_t vec, const RowWord& w) const {
        const uint32_t* at = inputs_.bits + (vec * inputs_.words + w.word) * 16;
        const u8 hit = load_u(at) & w.pulses;
        return u_.raise_only ? hit & (load_u(at + 8) ^ w.signs) : hit;
    }

    TW_INLINE void plain(int64_t i, int64_t vec, const RowWord* words, int64_t n_words) {
        int64_t k = 0;
        u8 hit = {};
        for (; k < n_words; ++k) {
            hit = coincidences(vec, words[k]);
            if (any(hit)) break;
        }
        if (k == n_words) return;
        const int64_t index = i * a_.cols + vec * kLanes, lanes = a_.cols - vec * kLanes;
        Crosspoints<f8> c = load_crosspoints<Device>(a_, index, lanes);
        u8 touched = {};
        for (;;) {
            apply(c, hit, vec, words[k], index, lanes);
            touched |= hit;
            do {
                if (++k == n_words) goto done;
                hit = coincidences(vec, words[k]);
            } while (!any(hit));
        }
    done:
        finish(c, touched, index, lanes);
    }

    void with_copies(int64_t i, int64_t vec, const RowWord* words, int64_t n_words, const SnapshotIndex& s, int64_t group) {
        const int64_t index = i * a_.cols + vec * kLanes, lanes = a_.cols - vec * kLanes;
        Crosspoints<f8> c = load_crosspoints<Device>(a_, index, lanes);
        u8 touched = {};
        int64_t k = 0, low = 0;
        for (int64_t e = s.start[group]; e <= s.start[group + 1]; ++e) {
            const bool last = e == s.start[group + 1];
            const int64_t high = last ? INT64_MAX : s.boundary[e];
            while (k < n_words && words[k].word * 32 < high) {
                const int64_t base = words[k].word * 32;
                uint32_t mask = ~0u;
                if (low > base) mask &= low - base >= 32 ? 0u : ~0u << (low - base);
                const bool partial = high - base < 32;
                if (partial) mask &= ~(~0u << (high - base));
                const u8 hit = coincidences(vec, words[k]) & mask;
                if (any(hit)) {
                    apply(c, hit, vec, words[k], index, lanes);
                    touched |= hit;
                }
                if (partial) break;
                ++k;
            }
            low = high;
            if (last) break;
            finish(c, touched, index, lanes);
            touched = u8{};
            copy_out(i, vec, index, lanes, s.event[e]);
        }
        finish(c, touched, index, lanes);
    }

    void copy_out(int64_t i, int64_t vec, int64_t index, int64_t lanes, int64_t event) {
        if (u_.snapshot_rows) {
            store_first(u_.snapshot_out + event * a_.cols + vec * kLanes, load_first(a_.visible + index, lanes), lanes);
        } else {
            const int64_t lane = u_.snapshot_line[event] - vec * kLanes;
            u_.snapshot_out[event * a_.rows + i] = a_.visible[index + lane];
        }
    }

    // Applies the coincidences of a word, slot by slot in each lane.
    TW_INLINE void apply(Crosspoints<f8>& c, u8 hit, int64_t vec, const RowWord& w, int64_t index, int64_t lanes) {
        const u8 raises = load_u(inputs_.bits + (vec * inputs_.words + w.word) * 16 + 8) ^ w.signs;
        if (u_.up_counts) tally(hit, raises, index, lanes);
        const f8 sigma = splat(a_.cycle_noise);
        do {
            const u8 lowest = hit & (0u - hit);
            const i8 active = lowest != 0u;
            const i8 up = (raises & lowest) != 0u;
            const uint32_t mask = lane_mask(active);
            pulses += __builtin_popcount(mask);
            f8 moved;
            if (noisy_) moved = pulse<Device, Mult>(c, up, sigma * noise_.take(mask), a_.shape);
            else moved = quiet_pulse<Device>(c, up, a_.shape);
            c.state = blend(active, moved, c.state);
            hit ^= lowest;
        } while (any(hit));
    }

    void tally(u8 hit, u8 raises, int64_t index, int64_t lanes) const {
        for (int64_t l = 0; l < kLanes && l < lanes; ++l) {
            u_.up_counts[index + l] += __builtin_popcount(hit[l] & raises[l]);
            u_.down_counts[index + l] += __builtin_popcount(hit[l] & ~raises[l]);
        }
    }

    TW_INLINE void finish(const Crosspoints<f8>& c, u8 touched, int64_t index, int64_t lanes) {
        const i8 changed = touched != 0u;
        const uint32_t mask = lane_mask(changed);
        if (mask == 0) return;
        if (a_.persistent) {
            store_first(a_.persistent + index, c.state, lanes);
            const f8 before = load_first(a_.visible + index, lanes);
            const f8 after = visible_weight(a_, c.state, index, lanes, mask, noise_);
            store_first(a_.visible + index, blend(changed, after, before), lanes);
        } else {
            store_first(a_.visible + index, c.state, lanes);
        }
    }

    const DeviceArgs& a_;
    const UpdateArgs& u_;
    const Trains& inputs_;
    NormalStream noise_;
    const bool noisy_;
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
