// Random numbers by counting: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011) turns (key, counter) into bits, and
// bits into uniform and normal numbers. The same bits in every lane type.
#pragma once
#include "elementary.hpp"

namespace tilewright::TW_ISA {
namespace {

// Purposes keep the numbers of one seed apart.
enum Purpose : uint64_t {
    kInputLine = 1,
    kErrorLine = 2,
    kCycleNoise = 3,
    kInputRound = 4,
    kErrorRound = 5,
    kInputNoise = 6,
    kOutputNoise = 7,
    kWeightNoise = 8,
    kInputRounding = 9,
    kOutputRounding = 10,
    kField = 11,
    kCrosspointNoise = 12,
    kWriteNoise = 13,
};

TW_INLINE uint64_t mix(uint64_t z) {  // the finaliser of splitmix64
    z += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

struct Key {
    uint32_t k0, k1;
};
TW_INLINE Key make_key(uint64_t seed, Purpose purpose) {
    const uint64_t k = mix(seed ^ mix((uint64_t)purpose));
    return {(uint32_t)k, (uint32_t)(k >> 32)};
}

template <class U>
struct WordsOf {
    U w[4];
};

template <class U>
TW_INLINE WordsOf<U> philox(Key key, U c0, uint32_t c1, uint64_t c23) {
    U a = c0, b = U{} + c1, c = U{} + (uint32_t)c23, d = U{} + (uint32_t)(c23 >> 32);
    uint32_t k0 = key.k0, k1 = key.k1;
    for (int round = 0; round < 10; ++round) {
        U high0, low0, high1, low1;
        multiply_wide(a, 0xd2511f53u, high0, low0);
        multiply_wide(c, 0xcd9e8d57u, high1, low1);
        a = high1 ^ b ^ k0;
        b = low1;
        c = high0 ^ d ^ k1;
        d = low0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    return {{a, b, c, d}};
}

// Two standard normal numbers a lane (Box and Muller), from two words.
template <class Bits, class V>
TW_INLINE void normal_pair(Bits first, Bits second, V& a, V& b) {
    using Whole = typename LaneTypes<V>::Whole;
    const V u = (to_float((Whole)(first >> 1)) + 0.5f) * 4.656612873077393e-10f;  // (0, 1]
    const V radius = square_root(maximum(natural_log(u) * -2.0f, V{}));
    // The angle as a signed fraction of a half turn: quadrant and a remainder within an eighth of a turn.
    const Whole quadrant = (Whole)(second + (1u << 29)) >> 30;
    const V t = to_float((Whole)(second - ((Bits)quadrant << 30))) * 1.4629180792671596e-9f;  // pi / 2^31
    const V t2 = t * t;
    V s = V{} + -1.958794987e-04f;
    s = s * t2 + 8.332748635e-03f;
    s = s * t2 + -1.666666467e-01f;
    s = s * t2 * t + t;
    V c = V{} + 2.454799131e-05f;
    c = c * t2 + -1.388830334e-03f;
    c = c * t2 + 4.166666466e-02f;
    c = c * t2 * t2 - t2 * 0.5f + 1.0f;
    const auto odd = (quadrant & 1) != 0;
    const V sine = blend(odd, c, s), cosine = blend(odd, s, c);
    const Bits sine_sign = ((Bits)quadrant & 2u) << 30;
    const Bits cosine_sign = (((Bits)quadrant + 1u) & 2u) << 30;
    a = radius * as_float(as_bits(sine) ^ sine_sign);
    b = radius * as_float(as_bits(cosine) ^ cosine_sign);
}

// As normal_pair, for streams that need very many: shorter polynomials, evaluated with short chains of dependence. The
// radius is right to 2e-6 and the angle to 1e-6, far below what any number of draws of a simulation resolves.
template <class Bits, class V>
TW_INLINE void quick_normal_pair(Bits first, Bits second, V& a, V& b) {
    using Whole = typename LaneTypes<V>::Whole;
    const V u = (to_float((Whole)(first >> 1)) + 0.5f) * 4.656612873077393e-10f;  // (0, 1]
    const Bits bits = as_bits(u);
    const Whole exponent = ((Whole)(bits - 0x3f3504f3u)) >> 23;
    const V m = as_float(bits - ((Bits)exponent << 23)) - 1.0f;
    const V m2 = m * m;
    // -2 ln(1 + m) / m, a minimax fit
    const V low = (m * 1.0000279664f + -2.000001754f) + m2 * (m * 0.4979358432f + -0.6663205866f);
    const V high = (m * 0.3756547052f + -0.4090958432f) + m2 * -0.244219624f;
    const V square = m * (low + (m2 * m2) * high) + to_float(exponent) * -1.3862943611f;
    const V radius = square_root(square);
    // One bit swaps the axes, one mirrors, and the other thirty are the angle within an eighth of a turn.
    const V t = to_float((Whole)(second << 2)) * 3.6572951981e-10f;  // pi / 2^33
    const V t2 = t * t;
    const V s = t + (t * t2) * (t2 * 8.152991982e-03f + -1.666283379e-01f);
    const V c = (t2 * -0.4999989478f + 1.0f) + (t2 * t2) * (t2 * -1.359782268e-03f + 4.165629455e-02f);
    const V sine = radius * s, cosine = as_float(as_bits(radius * c) ^ (second & 0x80000000u));
    const Whole swapped = (Whole)(second << 1) >> 31;
    a = blend(swapped, sine, cosine);
    b = blend(swapped, cosine, sine);
}

// [0, 1), 24 bits
template <class U>
TW_INLINE typename LaneTypes<U>::Number unit_uniform(U bits) {
    return to_float((typename LaneTypes<typename LaneTypes<U>::Number>::Whole)(bits >> 8)) * 5.9604644775390625e-08f;
}

}  // namespace
}  // namespace tilewright::TW_ISA
