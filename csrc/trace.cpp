// Pulse responses: every device takes the same sequence of single pulses.
#include "crosspoints.hpp"
#include "entries.hpp"
#include "parallel.hpp"
#include "random.hpp"

namespace tilewright::TW_ISA {
namespace {

struct TraceDevices {
    const TraceArgs& t;

    template <class Device, bool Mult>
    void run() const {
        const DeviceArgs& a = t.device;
        const int64_t vectors = (a.cols + kLanes - 1) / kLanes;
        for_blocks(vectors, threads_for(vectors * t.n_pulses, 1 << 16, t.threads), [&](int64_t vec) {
            NormalStream noise(t.seed, (uint32_t)(vec + t.first / kLanes), 0, 0);
            const int64_t index = vec * kLanes, lanes = a.cols - index;
            const uint32_t all = lanes >= kLanes ? 0xffu : (1u << lanes) - 1u;
            Crosspoints<f8> c = load_crosspoints<Device>(a, index, lanes);
            f8 seen = load_first(a.visible + index, lanes);
            if (t.out) store_first(t.out + index, seen, lanes);
            for (int64_t k = 0; k < t.n_pulses; ++k) {
                const int count = t.pulses[k] < 0 ? -t.pulses[k] : t.pulses[k];
                const i8 up = splat_i(t.pulses[k] > 0 ? -1 : 0);
                for (int n = 0; n < count; ++n) {
                    if (a.cycle_noise > 0) c.state = pulse<Device, Mult>(c, up, a.cycle_noise * noise.take(all), a.shape);
                    else c.state = quiet_pulse<Device>(c, up, a.shape);
                }
                if (count) seen = visible_weight(a, c.state, index, lanes, all, noise);
                if (t.out) store_first(t.out + (k + 1) * a.cols + index, seen, lanes);
            }
            store_first(a.visible + index, seen, lanes);
            if (a.persistent) store_first(a.persistent + index, c.state, lanes);
        });
    }
};

}  // namespace

void trace(const TraceArgs& t) { with_device(t.device, TraceDevices{t}); }

}  // namespace tilewright::TW_ISA
