// Random numbers by counting: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011) turns (key, counter) into bits.
// Cycle noise draws from xoshiro128++ streams (Blackman and Vigna, 2021), each seeded by Philox from its block's counter.
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
};

inline uint64_t mix(uint64_t z) {  // the finaliser of splitmix64
    z += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

struct Key {
    uint32_t k0, k1;
};
inline Key make_key(uint64_t seed, Purpose purpose) {
    const uint64_t k = mix(seed ^ mix((uint64_t)purpose));
    return {(uint32_t)k, (uint32_t)(k >> 32)};
}

struct Words {
    u8 w[4];
};

TW_INLINE Words philox(Key key, u8 c0, uint32_t c1, uint64_t c23) {
    u8 a = c0, b = splat_u(c1), c = splat_u((uint32_t)c23), d = splat_u((uint32_t)(c23 >> 32));
    uint32_t k0 = key.k0, k1 = key.k1;
    for (int round = 0; round < 10; ++round) {
        u8 high0, low0, high1, low1;
        multiply_wide(a, 0xd2511f53u, high0, low0);
        multiply_wide(c, 0xcd9e8d57u, high1, low1);
        a = high1 ^ b ^ splat_u(k0);
        b = low1;
        c = high0 ^ d ^ splat_u(k1);
        d = low0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    return {{a, b, c, d}};
}

inline u8 lane_index() { return u8{0, 1, 2, 3, 4, 5, 6, 7}; }

// Two standard normal numbers a lane (Box and Muller), from two words.
TW_INLINE void normal_pair(u8 first, u8 second, f8& a, f8& b) {
    const f8 u = (to_float((i8)(first >> 1)) + 0.5f) * 4.656612873077393e-10f;  // (0, 1]
    const f8 radius = square_root(maximum(natural_log(u) * -2.0f, splat(0.0f)));
    // The angle as a signed fraction of a half turn: quadrant and a remainder within an eighth of a turn.
    const i8 quadrant = (i8)(second + (1u << 29)) >> 30;
    const f8 t = to_float((i8)(second - ((u8)quadrant << 30))) * 1.4629180792671596e-9f;  // pi / 2^31
    const f8 t2 = t * t;
    f8 s = splat(-1.958794987e-04f);
    s = s * t2 + 8.332748635e-03f;
    s = s * t2 + -1.666666467e-01f;
    s = s * t2 * t + t;
    f8 c = splat(2.454799131e-05f);
    c = c * t2 + -1.388830334e-03f;
    c = c * t2 + 4.166666466e-02f;
    c = c * t2 * t2 - t2 * 0.5f + 1.0f;
    const i8 odd = (quadrant & 1) != 0;
    const f8 sine = blend(odd, c, s), cosine = blend(odd, s, c);
    const u8 sine_sign = ((u8)quadrant & 2u) << 30;
    const u8 cosine_sign = (((u8)quadrant + 1u) & 2u) << 30;
    a = radius * as_float(as_bits(sine) ^ sine_sign);
    b = radius * as_float(as_bits(cosine) ^ cosine_sign);
}

// 32 standard normal numbers that belong to (key, c1, c23) and the block: element 8 w + lane in normals[w].
struct NormalBlock {
    f8 normals[4];
};
TW_INLINE NormalBlock normal_block(Key key, uint32_t block, uint32_t c1, uint64_t c23) {
    const Words words = philox(key, lane_index() + splat_u(block * 8), c1, c23);
    NormalBlock out;
    normal_pair(words.w[0], words.w[1], out.normals[0], out.normals[1]);
    normal_pair(words.w[2], words.w[3], out.normals[2], out.normals[3]);
    return out;
}

TW_INLINE f8 unit_uniform(u8 bits) { return to_float((i8)(bits >> 8)) * 5.9604644775390625e-08f; }  // [0, 1), 24 bits

TW_INLINE uint32_t philox_single(Key key, uint32_t c0, uint32_t c1, uint64_t c23) {
    return philox(key, splat_u(c0), c1, c23).w[0][0];
}

// For a set of lanes, the position of each set lane among the set ones.
struct ExpandTable {
    alignas(32) uint32_t rank[256][8];
    constexpr ExpandTable() : rank{} {
        for (uint32_t m = 0; m < 256; ++m) {
            uint32_t next = 0;
            for (uint32_t lane = 0; lane < 8; ++lane) rank[m][lane] = (m >> lane & 1) ? next++ : 0;
        }
    }
};
constexpr ExpandTable kExpand;

// As normal_pair, for streams that need very many: shorter polynomials, evaluated with short chains of dependence. The
// radius is right to 2e-6 and the angle to 1e-6, far below what any number of draws of a simulation resolves.
TW_INLINE void quick_normal_pair(u8 first, u8 second, f8& a, f8& b) {
    const f8 u = (to_float((i8)(first >> 1)) + 0.5f) * 4.656612873077393e-10f;  // (0, 1]
    const u8 bits = as_bits(u);
    const i8 exponent = ((i8)(bits - 0x3f3504f3u)) >> 23;
    const f8 m = as_float(bits - ((u8)exponent << 23)) - 1.0f;
    const f8 m2 = m * m;
    // -2 ln(1 + m) / m, a minimax fit
    const f8 low = (m * 1.0000279664f + -2.000001754f) + m2 * (m * 0.4979358432f + -0.6663205866f);
    const f8 high = (m * 0.3756547052f + -0.4090958432f) + m2 * -0.244219624f;
    const f8 square = m * (low + (m2 * m2) * high) + to_float(exponent) * -1.3862943611f;
    const f8 radius = square_root(square);
    // One bit swaps the axes, one mirrors, and the other thirty are the angle within an eighth of a turn.
    const f8 t = to_float((i8)(second << 2)) * 3.6572951981e-10f;  // pi / 2^33
    const f8 t2 = t * t;
    const f8 s = t + (t * t2) * (t2 * 8.152991982e-03f + -1.666283379e-01f);
    const f8 c = (t2 * -0.4999989478f + 1.0f) + (t2 * t2) * (t2 * -1.359782268e-03f + 4.165629455e-02f);
    const f8 sine = radius * s, cosine = as_float(as_bits(radius * c) ^ (second & 0x80000000u));
    const i8 swapped = (i8)(second << 1) >> 31;
    a = blend(swapped, sine, cosine);
    b = blend(swapped, cosine, sine);
}

// A stream of normal numbers handed out only to the lanes that need one.
class NormalStream {
  public:
    NormalStream(uint64_t seed, uint32_t block, uint32_t part, uint64_t call) {
        const Words w = philox(make_key(seed, kCycleNoise), lane_index() + splat_u(block * 8), part, call);
        for (int i = 0; i < 4; ++i) state_[i] = w.w[i];
        state_[0] |= 1u;  // never all zero
        position_ = size_;
        taken_ = -size_;
    }
    // Values in all lanes.
    TW_INLINE f8 take_all() {
        if (__builtin_expect(position_ > size_ - 8, 0)) refill();
        const f8 v = load(values_ + position_);
        position_ += 8;
        return v;
    }
    // Values in the lanes of the mask; the other lanes hold arbitrary ones.
    TW_INLINE f8 take(uint32_t mask) {
        if (__builtin_expect(position_ > size_ - 8, 0)) refill();
        const f8 v = load(values_ + position_);
        position_ += __builtin_popcount(mask);
        return permute(v, load_u(kExpand.rank[mask]));
    }

    // Numbers handed out so far.
    int64_t taken() const { return taken_ + position_; }

  private:
    static constexpr int kSize = 256;
    static TW_INLINE u8 rotate(u8 v, int k) { return (v << k) | (v >> (32 - k)); }
    static TW_INLINE u8 next(u8* state) {
        const u8 result = rotate(state[0] + state[3], 7) + state[0];
        const u8 t = state[1] << 9;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= t;
        state[3] = rotate(state[3], 11);
        return result;
    }
    __attribute__((noinline)) void refill() {
        u8 state[4] = {state_[0], state_[1], state_[2], state_[3]};  // in registers
        size_ = size_ < kSize ? 2 * size_ : kSize;  // few at first: many streams need no more
        for (int i = 0; i < size_; i += 16) {
            const u8 first = next(state), second = next(state);
            f8 a, b;
            quick_normal_pair(first, second, a, b);
            store(values_ + i, a);
            store(values_ + i + 8, b);
        }
        for (int i = 0; i < 4; ++i) state_[i] = state[i];
        taken_ += position_;
        position_ = 0;
    }
    u8 state_[4];
    int position_, size_ = 32;
    int64_t taken_;
    alignas(32) float values_[kSize + 8];
};

}  // namespace
}  // namespace tilewright::TW_ISA
