// Rows of devices whose steps take long to compute. Sixty-four crosspoints take a pulse each in a round, in lockstep, so that
// the arithmetic of some fills the waits of others. Crosspoints that have pulses left when most of their neighbours have
// none are brought together, so that rounds stay full.
#pragma once
#include "crosspoints.hpp"
#include "snapshots.hpp"
#include "sparse_rows.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kRoundLanes = 4 * kWide;  // crosspoints of a round
constexpr int64_t kRoundColumns = 1024;     // columns of a row whose left pulses are held together
// Lanes that must have pulses for a round to be worthwhile where they lie, and where they were brought together.
constexpr int kWorthwhile = 12, kWorthwhileTogether = 16;

// Lanes whose arithmetic goes in lockstep: as many as the registers of the machine bear.
#if defined(__AVX512F__)
constexpr int64_t kLockstep = 64;
#define TW_LOCKSTEP TW_INLINE
#elif defined(__FMA__) || defined(__ARM_FEATURE_FMA)
constexpr int64_t kLockstep = 32;
#define TW_LOCKSTEP TW_INLINE
#else
constexpr int64_t kLockstep = 16;
#define TW_LOCKSTEP TW_APART
#endif

using RoundFloats = Several<4>::F;
using RoundWords = Several<4>::U;

// Pulses that crosspoints wait for, the oldest in the lowest bit, and which of them raise.
struct WaitingPulses {
    RoundWords pulses, raises;
};

// Neighbouring crosspoints of a row, of which the first `lanes` exist.
struct RoundNeighbours {
    int64_t index, lanes;
    TW_INLINE RoundFloats operator()(const Plane& p) const { return p.uniform ? RoundFloats{} + *p.data : load(p.data); }
    TW_INLINE RoundFloats load(const float* p) const {
        RoundFloats v;
        int64_t l = 0;
        for_sixteens(v, [&](f16& part) {
            if (l < lanes) part = load_first_wide(p + index + l, lanes - l);
            l += kWide;
        });
        return v;
    }
    TW_INLINE void store(float* p, RoundFloats v) const {
        int64_t l = 0;
        for_sixteens(v, [&](const f16& part) {
            if (l < lanes) store_first_wide(p + index + l, part, lanes - l);
            l += kWide;
        });
    }
};

template <class Device, bool Mult, bool Noisy>
class Rounds {
  public:
    Rounds(const DeviceArgs& a, const UpdateArgs& u, const Trains& inputs, NormalStream& noise)
        : a_(a), u_(u), inputs_(inputs), noise_(noise) {}

    // The pulses of a row's words at neighbouring vectors.
    void range(int64_t i, const VectorRange& r, const RowWord* words, int64_t n_words) {
        constexpr int64_t kVectors = kRoundColumns / kLanes;
        for (int64_t first = r.first; first < r.last; first += kVectors)
            some(i, first, first + kVectors < r.last ? first + kVectors : r.last, words, n_words);
    }

    int64_t quiet_pulses = 0;  // counted where there is no noise to count them
    int64_t rewritten = 0;     // crosspoints that drew write noise

  private:
    using Points = Crosspoints<RoundFloats>;

    // Crosspoints that pulses have reached, to be shown when all are done.
    struct Reached {
        RoundNeighbours at;
        uint64_t mask;
    };

    void some(int64_t i, int64_t first, int64_t last, const RowWord* words, int64_t n_words) {
        left_ = n_reached_ = 0;
        for (int64_t vec = first; vec < last; vec += kRoundLanes / kLanes) neighbours(i, vec, last, words, n_words);
        while (left_ > 0) those_left(i);
        if (a_.persistent) for (int64_t k = 0; k < n_reached_; ++k) show(reached_[k]);
    }

    // Hits and directions of the vectors from `vec` on; vectors from `last` on have none.
    TW_INLINE WaitingPulses hits(int64_t vec, int64_t last, const RowWord& w) const {
        WaitingPulses out;
        const uint32_t* word = inputs_.bits + (vec * inputs_.words + w.word) * 16;
        const int64_t stride = inputs_.words * 16, n = last - vec;
        int64_t v = 0;
        for_sixteens(out.pulses, [&](u16& part) {
            if (v + 1 < n) part = joined(load_u(word + v * stride) & w.pulses, load_u(word + (v + 1) * stride) & w.pulses);
            else if (v < n) part = joined(load_u(word + v * stride) & w.pulses, u8{});
            v += 2;
        });
        v = 0;
        for_sixteens(out.raises, [&](u16& part) {
            if (v + 1 < n) part = joined(load_u(word + v * stride + 8) ^ w.signs, load_u(word + (v + 1) * stride + 8) ^ w.signs);
            else if (v < n) part = joined(load_u(word + v * stride + 8) ^ w.signs, u8{});
            v += 2;
        });
        if (u_.raise_only) out.pulses = out.pulses & out.raises;
        return out;
    }

    TW_APART void neighbours(int64_t i, int64_t vec, int64_t last, const RowWord* words, int64_t n_words) {
        WaitingPulses w = hits(vec, last, *words);
        while (!any(w.pulses)) {
            if (--n_words == 0) return;
            w = hits(vec, last, *++words);
        }
        const int64_t column = vec * kLanes, end = last * kLanes < a_.cols ? last * kLanes : a_.cols;
        const RoundNeighbours at{i * a_.cols + column, end - column};
        float* states = a_.persistent ? a_.persistent : a_.visible;
        Points c = crosspoints_of<Device>(a_, at.load(states), at);
        RoundWords touched = w.pulses;
        if (u_.counts) tally(at, w);
        if (n_words > 1) w = queued(c, w, at, vec, last, words + 1, n_words - 1, touched);
        const uint64_t mask = rounds(c, w, 0, kWorthwhile);
        at.store(states, c.state);
        if (mask) leave(w, mask, places_from((uint32_t)column));
        if (a_.persistent) reached_[n_reached_++] = {at, lanes_not_zero_of(touched)};
    }

    // Rounds of pulses: `least`, but one at any rate, and on while so many lanes have some. Returns those that have some left.
    TW_APART uint64_t rounds(Points& points, WaitingPulses& waiting, int least, int worthwhile) {
        // Copies, which nothing else can come to write, stay in registers.
        const StepShape<float> shape = a_.shape;
        const float cycle_noise = a_.cycle_noise;
        Points c = points;
        WaitingPulses w = waiting;
        uint64_t mask = lanes_not_zero_of(w.pulses);
        do {
            const RoundWords oldest = w.pulses & (0u - w.pulses);
            const auto up = where_common(w.raises, oldest);
            RoundFloats noise;
            if constexpr (Noisy) noise = noise_.template take_several<RoundFloats>(mask) * cycle_noise;
            else quiet_pulses += __builtin_popcountll(mask);
            c.state = blend(where_not_zero(w.pulses), moved(c, up, noise, shape), c.state);
            w.pulses = w.pulses ^ oldest;
            mask = lanes_not_zero_of(w.pulses);
        } while (--least > 0 || __builtin_popcountll(mask) >= worthwhile);
        points.state = c.state;
        waiting.pulses = w.pulses;
        return mask;
    }

    // States after one pulse everywhere.
    template <class V, class M>
    static TW_INLINE V moved(const Crosspoints<V>& c, const M& up, const V& noise, const StepShape<float>& shape) {
        if constexpr (kLanesOf<V> > kLockstep) {
            return V(moved(half<0>(c), up.first, noise.first, shape), moved(half<1>(c), up.second, noise.second, shape));
        } else {
            return moved_in_lockstep(c, up, noise, shape);
        }
    }
    template <class V, class M>
    static TW_LOCKSTEP V moved_in_lockstep(const Crosspoints<V>& c, const M& up, const V& noise, const StepShape<float>& shape) {
        if constexpr (Noisy) return pulse<Device, Mult>(c, up, noise, shape);
        else return quiet_pulse<Device>(c, up, shape);
    }
    template <int H, class V>
    static TW_INLINE auto half(const Crosspoints<V>& c) {
        const auto of = [](const V& v) { return H ? v.second : v.first; };
        Crosspoints<decltype(of(c.state))> out;
        out.state = of(c.state);
        out.up = of(c.up);
        out.down = of(c.down);
        out.max_bound = of(c.max_bound);
        out.min_bound = of(c.min_bound);
        if (Device::kSlope) out.slope_up = of(c.slope_up), out.slope_down = of(c.slope_down);
        if (Device::kRange) out.inverse_range = of(c.inverse_range);
        return out;
    }

    // The pulses of many words one behind the other, those that do not fit being delivered. `w` holds those of the first word.
    TW_INLINE WaitingPulses queued(Points& c, WaitingPulses w, const RoundNeighbours& at, int64_t vec, int64_t last,
                                   const RowWord* words, int64_t n_words, RoundWords& touched) {
        RoundWords next = RoundWords{} + 1u, raises;  // the place of the next pulse; none where 32 wait
        int most = 0;                                 // pulses that wait at one lane, at most
        for (;;) {
            while (any(w.pulses)) {
                if (most == 32) most = make_room(c, next, raises);
                const RoundWords oldest = w.pulses & (0u - w.pulses);
                raises = blend(where_common(w.raises, oldest), raises | next, raises);
                next = blend(where_not_zero(w.pulses), next + next, next);
                w.pulses = w.pulses ^ oldest;
                ++most;
            }
            if (n_words-- == 0) return {next - 1u, raises};
            w = hits(vec, last, *words++);
            touched = touched | w.pulses;
            if (u_.counts) tally(at, w);
        }
    }

    // Delivers pulses where a lane has many; most lanes have some then. Returns how many wait at one afterwards, at most.
    int make_room(Points& c, RoundWords& next, RoundWords& raises) {
        constexpr int kMany = 20, kRounds = 12;
        RoundWords waiting = next - 1u;
        uint32_t highest = 0;
        for_sixteens(waiting, [&](const u16& part) {
            const uint32_t here = max_lanes_u(part);
            highest = here > highest ? here : highest;
        });
        const int most = 32 - __builtin_clz(highest);
        if (most <= kMany) return most;
        WaitingPulses w{waiting, raises};
        rounds(c, w, kRounds, (int)kRoundLanes + 1);
        next = (waiting >> (uint32_t)kRounds) + 1u;
        raises = raises >> (uint32_t)kRounds;
        return most - kRounds;
    }

    // Puts lanes of the mask on the list of those that have pulses left.
    TW_INLINE void leave(WaitingPulses& w, uint64_t mask, RoundWords columns) {
        append(column_ + left_, columns, mask);
        append(pulses_ + left_, w.pulses, mask);
        append(raises_ + left_, w.raises, mask);
        left_ += __builtin_popcountll(mask);
    }
    static TW_INLINE void append(uint32_t* to, RoundWords& v, uint64_t mask) {
        for_sixteens(v, [&](const u16& part) {
            to += store_chosen(to, part, (uint32_t)mask & 0xffffu);
            mask >>= kWide;
        });
    }
    static TW_INLINE RoundWords places_from(uint32_t first) {
        RoundWords v;
        for_sixteens(v, [&](u16& part) {
            part = joined(places<u8>(first), places<u8>(first + (uint32_t)kLanes));
            first += (uint32_t)kWide;
        });
        return v;
    }

    // Rounds of those that have pulses left, until they too become few.
    void those_left(int64_t i) {
        const int64_t n = left_;
        std::memset(column_ + n, 0, kRoundLanes * sizeof(uint32_t));
        std::memset(pulses_ + n, 0, kRoundLanes * sizeof(uint32_t));
        left_ = 0;
        for (int64_t e = 0; e < n; e += kRoundLanes) together(i, e, n - e, n <= kRoundLanes ? 1 : kWorthwhileTogether);
    }
    TW_APART void together(int64_t i, int64_t e, int64_t lanes, int worthwhile) {
        RoundWords column;
        WaitingPulses w;
        load_several(column, column_ + e);
        load_several(w.pulses, pulses_ + e);
        load_several(w.raises, raises_ + e);
        const int64_t row = i * a_.cols;
        float* states = (a_.persistent ? a_.persistent : a_.visible) + row;
        Points c = crosspoints_of<Device>(a_, load_at(states, column), ColumnsAt<RoundWords>{row, column});
        const uint64_t mask = rounds(c, w, 0, worthwhile);
        store_at(states, column, c.state, lanes);
        if (mask) leave(w, mask, column);
    }

    // Counts the pulses of a word.
    TW_INLINE void tally(const RoundNeighbours& at, const WaitingPulses& w) const {
        RoundWords ups = w.pulses & w.raises, downs = w.pulses & ~w.raises;
        uint32_t up[kRoundLanes], down[kRoundLanes];
        store_several(up, ups);
        store_several(down, downs);
        for (int64_t l = 0; l < kRoundLanes && l < at.lanes; l += kLanes)
            add_halves(u_.counts + at.index + l, count_bits(load_u(up + l)), count_bits(load_u(down + l)), at.lanes - l);
    }

    // What the network sees of crosspoints that have moved.
    void show(const Reached& r) {
        uint64_t rest = r.mask;
        for (int64_t l = 0; rest; l += kWide, rest >>= kWide) {
            const uint32_t mask = (uint32_t)rest & 0xffffu;
            if (mask == 0) continue;
            const TwiceEight<true> at{{r.at.index + l, r.at.index + l + kLanes}, {r.at.lanes - l, r.at.lanes - l - kLanes}};
            if (a_.write_noise > 0) rewritten += __builtin_popcount(mask);
            const u16 bit = joined(1u << places<u8>(0), 1u << places<u8>((uint32_t)kLanes));
            const f16 after = visible_weight(a_, at.load(a_.persistent), at, mask, noise_);
            at.store(a_.visible, blend(where_common(bit, u16{} + mask), after, at.load(a_.visible)));
        }
    }

    const DeviceArgs& a_;
    const UpdateArgs& u_;
    const Trains& inputs_;
    NormalStream& noise_;
    int64_t left_ = 0, n_reached_ = 0;
    uint32_t column_[kRoundColumns + kRoundLanes], pulses_[kRoundColumns + kRoundLanes], raises_[kRoundColumns + kRoundLanes];
    Reached reached_[kRoundColumns / kRoundLanes];
};

// Devices with cheap steps have no use for it.
struct NoRounds {
    NoRounds(const DeviceArgs&, const UpdateArgs&, const Trains&, NormalStream&) {}
    static constexpr int64_t quiet_pulses = 0, rewritten = 0;
};
template <class Device, bool Mult, bool Noisy>
using RoundsOf = std::conditional_t<Device::kCostly, Rounds<Device, Mult, Noisy>, NoRounds>;

}  // namespace
}  // namespace tilewright::TW_ISA
