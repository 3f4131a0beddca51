// Random numbers of eight crosspoints at a time: blocks that belong to a counter, and streams. Cycle noise draws from
// xoshiro128++ streams (Blackman and Vigna, 2021), each seeded by Philox from its block's counter.
#pragma once
#include "counters.hpp"
#include "wide.hpp"

namespace tilewright::TW_ISA {
namespace {

using Words = WordsOf<u8>;

inline u8 lane_index() { return places<u8>(0); }

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

TW_INLINE uint32_t philox_single(Key key, uint32_t c0, uint32_t c1, uint64_t c23) {
    return philox(key, c0, c1, c23).w[0];
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

    // The same for sixteen lanes: the first half takes its numbers before the second.
    TW_INLINE f16 take_all_wide() {
        if (__builtin_expect(position_ > size_ - kWide, 0)) return apart(0xffffu);
        const f16 v = load_wide(values_ + position_);
        position_ += (int)kWide;
        return v;
    }
    TW_INLINE f16 take_wide(uint32_t mask) {
#if defined(__AVX512F__)
        if (__builtin_expect(position_ > size_ - kWide, 0)) return apart(mask);
        const f16 v = load_wide(values_ + position_);
        position_ += __builtin_popcount(mask);
        return (f16)_mm512_maskz_expand_ps((__mmask16)mask, (__m512)v);
#else
        const f8 first = take(mask & 0xffu);
        return joined(first, take(mask >> kLanes));
#endif
    }

    // Several times sixteen lanes, in order.
    template <class V>
    TW_INLINE V take_several(uint64_t mask) {
        V v;
        if constexpr (kLanesOf<V> > kWide) keep_ready();
        for_sixteens(v, [&](f16& part) {
            part = take_wide((uint32_t)mask & 0xffffu);
            mask >>= kWide;
        });
        return v;
    }

    // Numbers handed out so far.
    int64_t taken() const { return taken_ + position_; }

  private:
    static constexpr int kSize = 256, kMost = 4 * (int)kWide;
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
    __attribute__((noinline)) f16 apart(uint32_t mask) {
        const f8 first = take(mask & 0xffu);
        return joined(first, take(mask >> kLanes));
    }
    __attribute__((noinline)) void refill() { refill_after(0); }
    // As many numbers as are taken at once, none of those at hand being dropped.
    TW_INLINE void keep_ready() {
        if (__builtin_expect(position_ > size_ - kMost, 0)) replenish();
    }
    __attribute__((noinline)) void replenish() {
        const int rest = size_ - position_;
        float kept[kMost];
        std::memcpy(kept, values_ + position_, sizeof kept);
        std::memcpy(values_, kept, sizeof kept);
        refill_after(rest);
    }
    TW_INLINE void refill_after(int rest) {
        u8 state[4] = {state_[0], state_[1], state_[2], state_[3]};  // in registers
        made_ = made_ < kSize ? 2 * made_ : kSize;  // few at first: many streams need no more
        size_ = rest + made_;
        for (int i = rest; i < size_; i += kMost) {  // in two halves, one of which fills the waits of the other
            u8 words[8];
            for (u8& word : words) word = next(state);
            Two<f16> a, b;
            const Two<u16> first(joined(words[0], words[2]), joined(words[4], words[6]));
            const Two<u16> second(joined(words[1], words[3]), joined(words[5], words[7]));
            quick_normal_pair(first, second, a, b);
            for (int half = 0; half < 2; ++half) {
                const f16 one = half ? a.second : a.first, other = half ? b.second : b.first;
                float* to = values_ + i + half * 2 * (int)kWide;
                store(to, low(one));
                store(to + 8, low(other));
                store(to + 16, high(one));
                store(to + 24, high(other));
            }
        }
        for (int i = 0; i < 4; ++i) state_[i] = state[i];
        taken_ += position_;
        position_ = 0;
    }
    u8 state_[4];
    int position_, made_ = 32, size_ = made_;
    int64_t taken_;
    alignas(32) float values_[kSize + 2 * kMost];
};

}  // namespace
}  // namespace tilewright::TW_ISA
