// One crosspoint of an array while a thread keeps it: loaded with its first pulse, shown again at the end.
#pragma once
#include "../devices.hpp"
#include "noise.hpp"

namespace tilewright::TW_ISA {
namespace {

struct PlaneAt {
    int64_t index;
    TW_INLINE float operator()(const Plane& p) const { return p.data ? p.data[p.uniform ? 0 : index] : 0.0f; }
};

template <class Device>
TW_INLINE Crosspoints<float> load_crosspoint(const DeviceArgs& a, int64_t index) {
    return crosspoints_of<Device>(a, (a.persistent ? a.persistent : a.visible)[index], PlaneAt{index});
}

// What a call asks of all its crosspoints.
struct CallNoise {
    Key pulses, writes;
    uint64_t call;
};

// Pulses wait in a queue, as bits that tell up from down, and are taken in fours, since the generator gives noise for four
// at a time: threads of a warp that come to their pulses at different times then draw and step together.
template <class Device, bool Mult>
class Crosspoint {
  public:
    static constexpr int kMostPulses = 31;  // of one call of `send`

    TW_INLINE float& state() { return c_.state; }
    TW_INLINE const Crosspoints<float>& parameters() const { return c_; }

    // Before pulses are taken.
    TW_INLINE void open(const DeviceArgs& a, int64_t index) {
        if (open_) return;
        c_ = load_crosspoint<Device>(a, held_anew(index));
        open_ = true;
    }

    TW_INLINE bool waits() const { return waiting_ > taken_; }
    TW_INLINE bool full() const { return waiting_ > 64 - kMostPulses; }
    // Not where it is full.
    TW_INLINE void send(int pulses, bool up) {
        const uint32_t all = up ? (1u << pulses) - 1 : 0;
        queue_ |= (uint64_t)all << waiting_;
        waiting_ += pulses;
        sent_ += (uint32_t)pulses;
        ups_ += up ? (uint32_t)pulses : 0;
    }
    // Takes whole fours, the first of which may have begun before, and what remains if that is asked for.
    TW_INLINE void take(const DeviceArgs& a, int64_t index, const CallNoise& call, bool rest) {
        while (waiting_ >= 4 || (rest && waits())) take_four(a, index, call);
    }
    TW_INLINE void touch() { touched_ = true; }

    // Stores a state that has changed, and what the network sees of it; the crosspoint stays open.
    TW_INLINE void show(const DeviceArgs& a, int64_t index, const CallNoise& call) {
        if (!touched_) return;
        touched_ = false;
        float seen = c_.state;
        if (a.persistent) {
            a.persistent[index] = c_.state;
            if (a.reference.data) seen = seen - PlaneAt{index}(a.reference);
            if (a.write_noise > 0) seen = seen + a.write_noise * write_noise_at(call.writes, (uint64_t)index, writes_++, call.call);
        }
        a.visible[index] = seen;
    }
    // What is stored counts from here on.
    TW_INLINE void reload() { open_ = false; }

    TW_INLINE uint32_t pulses() const { return sent_; }
    TW_INLINE void count(int64_t* counts, int64_t index) const {
        if (counts && sent_) counts[index] += (int64_t)ups_ * kUpPulse + (int64_t)(sent_ - ups_) * kDownPulse;
    }

  private:
    // Pulses up to the next whole four of the call.
    TW_INLINE void take_four(const DeviceArgs& a, int64_t index, const CallNoise& call) {
        touch();
        const uint32_t up = (uint32_t)queue_;
        if (a.cycle_noise > 0) {
            FourNormals noise = crosspoint_noise(call.pulses, (uint64_t)index, (sent_ - (uint32_t)waiting_) / 4, call.call);
#pragma unroll kUnrolled
            for (int k = 0; k < 4; ++k) {
                if (k >= taken_ && k < waiting_) c_.state = pulse<Device, Mult>(c_, (up >> k & 1) != 0, a.cycle_noise * noise.first, a.shape);
                noise = {noise.second, noise.third, noise.fourth, 0};
            }
        } else {
#pragma unroll kUnrolled
            for (int k = 0; k < 4; ++k)
                if (k >= taken_ && k < waiting_) c_.state = quiet_pulse<Device>(c_, (up >> k & 1) != 0, a.shape);
        }
        if (waiting_ < 4) {
            taken_ = waiting_;
            return;
        }
        queue_ >>= 4;
        waiting_ -= 4;
        taken_ = 0;
    }

    static constexpr int kUnrolled = Device::kCostly ? 1 : 4;
    Crosspoints<float> c_;
    // Bits of the four that is next come first, those which are taken already included.
    uint64_t queue_ = 0;
    int waiting_ = 0, taken_ = 0;
    uint32_t writes_ = 0, sent_ = 0, ups_ = 0;
    bool open_ = false, touched_ = false;
};

}  // namespace
}  // namespace tilewright::TW_ISA
