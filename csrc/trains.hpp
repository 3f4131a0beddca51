// Pulse trains: the random bits of every line, packed in words.
#pragma once
#include "chances.hpp"
#include "parallel.hpp"
#include "random.hpp"
#include "schedule.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kParallelBits = 1 << 17;  // bits of one side below which threads do not pay

// Pulse trains of a set of lines, eight lines to a vector: for each word a plane of pulses and one of signs.
struct Trains {
    uint32_t* bits;  // [vector][word][2][8]
    int64_t words;
};

// Lines are written in pairs of vectors, so many vectors apart: those that have the same place in neighbouring quads.
struct Pair {
    int64_t first;
    bool both;  // the second one exists
    int64_t second() const { return first + kQuad; }
};

using Chances = ChancesOf<f16>;

TW_INLINE void add_bits(const Trains& t, int64_t vec, int64_t word, u8 pulses, u8 signs) {
    uint32_t* at = t.bits + (vec * t.words + word) * 16;
    store_u(at, load_u(at) | pulses);
    store_u(at + 8, load_u(at + 8) | signs);
}
TW_INLINE void add_bits(const Trains& t, const Pair& pair, int64_t word, u16 pulses, u16 signs) {
    add_bits(t, pair.first, word, low(pulses), low(signs));
    if (pair.both) add_bits(t, pair.second(), word, high(pulses), high(signs));
}

TW_INLINE u16 places_of(int64_t first, int64_t second) {
    return joined(places<u8>((uint32_t)(first * kLanes)), places<u8>((uint32_t)(second * kLanes)));
}

// Trains of three slots and more: one call of the generator gives four slots of each line.
TW_INLINE void write_long_train(const Trains& t, const Pair& pair, int64_t slot, int bl, const Chances& c, Key key, uint64_t sample) {
    const u16 line = places_of(pair.first, pair.second());
    WordsOf<u16> words;
    u16 pulses = {}, signs = {};
    int64_t word = slot >> 5;
    for (int k = 0; k < bl; ++k) {
        if ((k & 3) == 0) words = philox(key, line, (uint32_t)(k >> 2), sample);
        const int bit = (int)((slot + k) & 31);
        pulses = pulses | (fires(c, words.w[k & 3]) << bit);
        signs = signs | (c.negative << bit);
        if (bit == 31 || k + 1 == bl) {
            add_bits(t, pair, word++, pulses, signs);
            pulses = signs = u16{};
        }
    }
}

// Trains of one or two slots: one call of the generator serves four or two pairs of vectors. `n`: pairs of the two quads.
TW_INLINE void write_short_trains(const Trains& t, int64_t quad, const Pair* pair, int64_t n, int64_t slot, int bl, const Chances* c,
                                  Key key, uint64_t sample) {
    const int64_t served = kQuad / bl;  // pairs that share a call
    for (int64_t v = 0; v < n; v += served) {
        const u16 group = places_of(quad * bl + v / served, (quad + 1) * bl + v / served);
        i16 open = {};  // lines that fire neither always nor never
        for (int64_t k = v; k < v + served && k < n; ++k) open = open | c[k].threshold;
        const WordsOf<u16> words = any((u16)open) ? philox(key, group, kShortTrain + (uint32_t)bl, sample) : WordsOf<u16>{};
        for (int64_t k = v; k < v + served && k < n; ++k)
            for (int b = 0; b < bl; ++b) {
                const int bit = (int)((slot + b) & 31);
                add_bits(t, pair[k], (slot + b) >> 5, fires(c[k], words.w[(k - v) * bl + b]) << bit, c[k].negative << bit);
            }
    }
}

// Everything that turns the values of one side into trains.
struct TrainWriter {
    const Trains& t;
    const UpdateArgs& u;
    const Side& side;
    const Schedule* plan;
    const int64_t* slot;
    int64_t first, count;
    Key bit_key, round_key;
    float res;

    TrainWriter(const Trains& trains, const UpdateArgs& args, const Side& s, const Schedule* p, const int64_t* slots,
                int64_t first_sample, int64_t samples)
        : t(trains), u(args), side(s), plan(p), slot(slots), first(first_sample), count(samples),
          bit_key(make_key(args.seed, s.bits)), round_key(make_key(args.seed, s.rounding)), res(resolution_width(args.res)) {}

    // All samples of two quads of vectors of lines.
    void quads(int64_t number) const {
        const int64_t vectors = (side.lines + kLanes - 1) / kLanes, begin = number * 2 * kQuad;
        const int64_t n = vectors - begin < kQuad ? vectors - begin : kQuad;
        Pair pair[kQuad];
        for (int64_t k = 0; k < n; ++k) pair[k] = {begin + k, begin + k + kQuad < vectors};
        for (int64_t s = 0; s < count; ++s) {
            const int64_t sample = first + s;
            if (plan[s].bl == 0 || (side.hot && side.hot[sample] / (2 * kQuad * kLanes) != number)) continue;
            Chances c[kQuad];
            u16 live = {};
            bool live_pair[kQuad];
            for (int64_t k = 0; k < n; ++k) {
                const u16 here = chances_of(s, pair[k], c[k]);
                live_pair[k] = any(here);
                live = live | here;
            }
            if (!any(live)) continue;
            const uint64_t counter = u.first_sample + (uint64_t)sample;
            if (plan[s].bl <= 2) {
                write_short_trains(t, 2 * number, pair, n, slot[s], plan[s].bl, c, bit_key, counter);
            } else {
                for (int64_t k = 0; k < n; ++k)
                    if (live_pair[k]) write_long_train(t, pair[k], slot[s], plan[s].bl, c[k], bit_key, counter);
            }
        }
    }

  private:
    TW_INLINE f8 values_of(int64_t sample, int64_t vec) const {
        if (!side.hot) return load_first(side.values + sample * side.lines + vec * kLanes, side.lines - vec * kLanes);
        f8 v = {};
        if (side.hot[sample] / kLanes == vec) v[side.hot[sample] % kLanes] = 1.0f;
        return v;
    }

    // Returns which lines can fire.
    TW_INLINE u16 chances_of(int64_t s, const Pair& pair, Chances& c) const {
        const int64_t sample = first + s;
        const f16 v = joined(values_of(sample, pair.first), pair.both ? values_of(sample, pair.second()) : f8{});
        const u16 line = places_of(pair.first, pair.second());
        const float factor = side.errors ? plan[s].a : plan[s].b;
        const f16 p = quantised(magnitude(v) * factor, res, u.sto_round, round_key, line, u.first_sample + (uint64_t)sample);
        const bool flip = side.errors && u.lr[u.lr_uniform ? 0 : sample] < 0;
        const u16 negative = (u16)(v < 0.0f);
        c = chances(p, flip ? ~negative : negative);
        return (u16)(p > 0.0f);
    }
};

// Writes the trains of one side; each two quads of vectors have places of their own.
void write_trains(const Trains& t, const UpdateArgs& u, const Side& side, const Schedule* plan, const int64_t* slot,
                  int64_t first, int64_t count) {
    const TrainWriter writer(t, u, side, plan, slot, first, count);
    const int64_t lines = 2 * kQuad * kLanes, blocks = (side.lines + lines - 1) / lines;
    for_blocks(blocks, threads_for(side.lines * slot[count], kParallelBits, u.threads), [&](int64_t number) { writer.quads(number); });
}

}  // namespace
}  // namespace tilewright::TW_ISA
