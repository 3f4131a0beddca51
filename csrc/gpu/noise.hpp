// Random numbers of single threads, by counting. Fields and noise of the periphery are those of the processor to the last
// bit; cycle and write noise have counters of their own, one sequence for each crosspoint and call.
#pragma once
#include "place.hpp"
#include "../counters.hpp"

namespace tilewright::TW_ISA {
namespace {

TW_INLINE uint32_t word_of(const WordsOf<uint32_t>& words, int number) {
    return number == 0 ? words.w[0] : number == 1 ? words.w[1] : number == 2 ? words.w[2] : words.w[3];
}

// Number `index` of the normal numbers that belong to (key, c1, c23), as blocks of 32 hold them.
TW_INLINE float normal_at(Key key, uint64_t index, uint32_t c1, uint64_t c23) {
    const WordsOf<uint32_t> words = philox(key, (uint32_t)(index / 32) * 8 + (uint32_t)(index % 8), c1, c23);
    const int which = (int)(index % 32 / 8);
    float even, odd;
    normal_pair(word_of(words, which & 2), word_of(words, (which & 2) + 1), even, odd);
    return which & 1 ? odd : even;
}

// Normal numbers of one crosspoint in one call: four of them come from each call of the generator.
struct FourNormals {
    float first, second, third, fourth;
};
TW_INLINE FourNormals crosspoint_noise(Key key, uint64_t crosspoint, uint32_t four, uint64_t call) {
    const WordsOf<uint32_t> words = philox(key, (uint32_t)crosspoint, (uint32_t)(crosspoint >> 32) << 24 | four, call);
    FourNormals n;
    quick_normal_pair(words.w[0], words.w[1], n.first, n.second);
    quick_normal_pair(words.w[2], words.w[3], n.third, n.fourth);
    return n;
}

// The same, one after the other.
class CrosspointNoise {
  public:
    TW_INLINE float take(Key key, uint64_t crosspoint, uint64_t call) {
        float value;
        if ((drawn_ & 3) == 0) {
            const FourNormals drawn = crosspoint_noise(key, crosspoint, drawn_ >> 2, call);
            value = drawn.first;
            next_ = drawn.second;
            second_ = drawn.third;
            third_ = drawn.fourth;
        } else {
            value = next_;
            next_ = second_;
            second_ = third_;
        }
        ++drawn_;
        return value;
    }

  private:
    uint32_t drawn_ = 0;
    float next_ = 0, second_ = 0, third_ = 0;
};

// Write noise of one crosspoint: number `write` of a call.
TW_INLINE float write_noise_at(Key key, uint64_t crosspoint, uint32_t write, uint64_t call) {
    const WordsOf<uint32_t> words = philox(key, (uint32_t)crosspoint, (uint32_t)(crosspoint >> 32) << 24 | write, call);
    float first, second;
    normal_pair(words.w[0], words.w[1], first, second);
    return first;
}

}  // namespace
}  // namespace tilewright::TW_ISA
