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

using Chances = ChancesOf<f8>;

TW_INLINE void add_bits(const Trains& t, int64_t vec, int64_t word, u8 pulses, u8 signs) {
    uint32_t* at = t.bits + (vec * t.words + word) * 16;
    store_u(at, load_u(at) | pulses);
    store_u(at + 8, load_u(at + 8) | signs);
}

// Trains of three slots and more: one call of the generator gives four slots of eight lines.
TW_INLINE void write_long_train(const Trains& t, int64_t vec, int64_t slot, int bl, const Chances& c, Key key, uint64_t sample) {
    const u8 line = lane_index() + splat_u((uint32_t)(vec * kLanes));
    Words words;
    u8 pulses = {}, signs = {};
    int64_t word = slot >> 5;
    for (int k = 0; k < bl; ++k) {
        if ((k & 3) == 0) words = philox(key, line, (uint32_t)(k >> 2), sample);
        const int bit = (int)((slot + k) & 31);
        pulses |= fires(c, words.w[k & 3]) << bit;
        signs |= c.negative << bit;
        if (bit == 31 || k + 1 == bl) {
            add_bits(t, vec, word++, pulses, signs);
            pulses = signs = u8{};
        }
    }
}

// Trains of one or two slots: one call of the generator serves four or two vectors of lines.
TW_INLINE void write_short_trains(const Trains& t, int64_t quad, int64_t n, int64_t slot, int bl, const Chances* c, Key key,
                                  uint64_t sample) {
    const int64_t served = kQuad / bl;  // vectors that share a call
    for (int64_t v = 0; v < n; v += served) {
        const u8 group = lane_index() + splat_u((uint32_t)((quad * bl + v / served) * kLanes));
        const Words words = philox(key, group, kShortTrain + (uint32_t)bl, sample);
        for (int64_t k = v; k < v + served && k < n; ++k) {
            const int64_t vec = quad * kQuad + k;
            for (int b = 0; b < bl; ++b) {
                const int bit = (int)((slot + b) & 31);
                add_bits(t, vec, (slot + b) >> 5, fires(c[k], words.w[(k - v) * bl + b]) << bit, c[k].negative << bit);
            }
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

    // All samples of up to four vectors of lines.
    void quad(int64_t number) const {
        const int64_t vectors = (side.lines + kLanes - 1) / kLanes, begin = number * kQuad;
        const int64_t n = vectors - begin < kQuad ? vectors - begin : kQuad;
        for (int64_t s = 0; s < count; ++s) {
            const int64_t sample = first + s;
            if (plan[s].bl == 0 || (side.hot && side.hot[sample] / (kQuad * kLanes) != number)) continue;
            Chances c[kQuad];
            u8 live = {};
            bool live_vector[kQuad];
            for (int64_t v = 0; v < n; ++v) {
                const u8 here = chances_of(s, begin + v, c[v]);
                live_vector[v] = any(here);
                live |= here;
            }
            if (!any(live)) continue;
            const uint64_t counter = u.first_sample + (uint64_t)sample;
            if (plan[s].bl <= 2) {
                write_short_trains(t, number, n, slot[s], plan[s].bl, c, bit_key, counter);
            } else {
                for (int64_t v = 0; v < n; ++v)
                    if (live_vector[v]) write_long_train(t, begin + v, slot[s], plan[s].bl, c[v], bit_key, counter);
            }
        }
    }

  private:
    // Returns which lines can fire.
    TW_INLINE u8 chances_of(int64_t s, int64_t vec, Chances& c) const {
        const int64_t sample = first + s;
        f8 v;
        if (side.hot) {
            v = splat(0.0f);
            if (side.hot[sample] / kLanes == vec) v[side.hot[sample] % kLanes] = 1.0f;
        } else {
            v = load_first(side.values + sample * side.lines + vec * kLanes, side.lines - vec * kLanes);
        }
        const u8 line = lane_index() + splat_u((uint32_t)(vec * kLanes));
        const float factor = side.errors ? plan[s].a : plan[s].b;
        const f8 p = quantised(magnitude(v) * factor, res, u.sto_round, round_key, line, u.first_sample + (uint64_t)sample);
        const bool flip = side.errors && u.lr[u.lr_uniform ? 0 : sample] < 0;
        const u8 negative = (u8)(v < 0.0f);
        c = chances(p, flip ? ~negative : negative);
        return (u8)(p > 0.0f);
    }
};

// Writes the trains of one side; each quad of vectors has places of its own.
void write_trains(const Trains& t, const UpdateArgs& u, const Side& side, const Schedule* plan, const int64_t* slot,
                  int64_t first, int64_t count) {
    const TrainWriter writer(t, u, side, plan, slot, first, count);
    const int64_t vectors = (side.lines + kLanes - 1) / kLanes, quads = (vectors + kQuad - 1) / kQuad;
    for_blocks(quads, threads_for(side.lines * slot[count], kParallelBits, u.threads), [&](int64_t number) { writer.quad(number); });
}

}  // namespace
}  // namespace tilewright::TW_ISA
