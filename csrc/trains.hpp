// Pulse trains: the random bits of every line, packed in words.
#pragma once
#include "random.hpp"
#include "schedule.hpp"

namespace tilewright::TW_ISA {
namespace {

TW_INLINE f8 quantised(f8 p, float res, bool stochastic, Key key, u8 line, uint64_t sample) {
    if (res <= 0) return p;
    f8 steps = p / res;
    if (stochastic) steps = steps + (unit_uniform(philox(key, line, 0, sample).w[0]) - 0.5f);
    return round_even(steps) * res;
}

inline float resolution_width(float res) { return res > 1 ? 1.0f / res : res; }

// Pulse trains of a set of lines, eight lines to a vector: for each word a plane of pulses and one of signs.
struct Trains {
    uint32_t* bits;  // [vector][word][2][8]
    int64_t words;
};

struct Side {  // the inputs or the errors of a chunk of samples
    const float* values;
    const int32_t* hot;
    int64_t lines;
    Purpose bits, rounding;
    bool errors;
};

// Writes the train of eight lines in one sample.
TW_INLINE void write_train(const Trains& t, int64_t vec, int64_t slot, int bl, f8 p, u8 negative, Key key, u8 line,
                           uint64_t sample) {
    const i8 always = p >= 1.0f;
    const i8 threshold = to_int(blend(always, splat(0.0f), p) * 2147483648.0f);
    uint32_t* base = t.bits + vec * t.words * 16;
    Words words;
    u8 pulses = {}, signs = {};
    int64_t word = slot >> 5;
    for (int k = 0; k < bl; ++k) {
        if ((k & 3) == 0) words = philox(key, line, (uint32_t)(k >> 2), sample);
        const u8 fire = (u8)(((i8)(words.w[k & 3] >> 1) < threshold) | always);
        const int bit = (int)((slot + k) & 31);
        pulses |= (fire & 1u) << bit;
        signs |= (negative & 1u) << bit;
        if (bit == 31 || k + 1 == bl) {
            uint32_t* at = base + word * 16;
            store_u(at, load_u(at) | pulses);
            store_u(at + 8, load_u(at + 8) | signs);
            pulses = signs = u8{};
            ++word;
        }
    }
}

void write_trains(const Trains& t, const UpdateArgs& u, const Side& side, const Schedule* plan, const int64_t* slot,
                  int64_t first, int64_t count) {
    const Key bit_key = make_key(u.seed, side.bits), round_key = make_key(u.seed, side.rounding);
    const float res = resolution_width(u.res);
    const int64_t vectors = (side.lines + kLanes - 1) / kLanes;
    for (int64_t s = 0; s < count; ++s) {
        const Schedule& plan_s = plan[s];
        if (plan_s.bl == 0) continue;
        const int64_t sample = first + s;
        const uint64_t counter = u.first_sample + (uint64_t)sample;
        const float factor = side.errors ? plan_s.a : plan_s.b;
        const bool flip = side.errors && u.lr[u.lr_uniform ? 0 : sample] < 0;
        int64_t begin = 0, end = vectors;
        if (side.hot) {
            begin = side.hot[sample] / kLanes;
            end = begin + 1;
        }
        for (int64_t vec = begin; vec < end; ++vec) {
            f8 v;
            if (side.hot) {
                v = splat(0.0f);
                v[side.hot[sample] % kLanes] = 1.0f;
            } else {
                v = load_first(side.values + sample * side.lines + vec * kLanes, side.lines - vec * kLanes);
            }
            const u8 line = lane_index() + splat_u((uint32_t)(vec * kLanes));
            const f8 p = quantised(magnitude(v) * factor, res, u.sto_round, round_key, line, counter);
            if (!any((u8)(p > 0.0f))) continue;
            u8 negative = (u8)(v < 0.0f);
            if (flip) negative = ~negative;
            write_train(t, vec, slot[s], plan_s.bl, p, negative, bit_key, line, counter);
        }
    }
}

}  // namespace
}  // namespace tilewright::TW_ISA
