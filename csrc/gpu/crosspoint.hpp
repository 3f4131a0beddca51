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

template <class Device, bool Mult>
class Crosspoint {
  public:
    TW_INLINE float& state() { return c_.state; }
    TW_INLINE const Crosspoints<float>& parameters() const { return c_; }

    TW_INLINE void open(const DeviceArgs& a, int64_t index) {
        if (open_) return;
        c_ = load_crosspoint<Device>(a, index);
        open_ = true;
    }

    TW_INLINE void take_pulse(const DeviceArgs& a, int64_t index, bool up, const CallNoise& call) {
        open(a, index);
        if (a.cycle_noise > 0)
            c_.state = pulse<Device, Mult>(c_, up, a.cycle_noise * noise_.take(call.pulses, (uint64_t)index, call.call), a.shape);
        else c_.state = quiet_pulse<Device>(c_, up, a.shape);
        touch();
        if (up) ++ups_;
        else ++downs_;
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

    TW_INLINE uint32_t pulses() const { return ups_ + downs_; }
    TW_INLINE void count(int64_t* counts, int64_t index) const {
        if (counts && pulses()) counts[index] += (int64_t)ups_ * kUpPulse + (int64_t)downs_ * kDownPulse;
    }

  private:
    Crosspoints<float> c_;
    CrosspointNoise noise_;
    uint32_t writes_ = 0, ups_ = 0, downs_ = 0;
    bool open_ = false, touched_ = false;
};

}  // namespace
}  // namespace tilewright::TW_ISA
