// The second half of an update: crosspoints take the pulses of all samples in order. Each belongs to one thread, so that
// its state is loaded once; neighbouring threads take neighbouring columns.
#pragma once
#include "crosspoint.hpp"
#include "train_bodies.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int kBlockCols = 32, kBlockRows = 8;

// The crosspoint of a thread, copies of lines between samples, and counts: the same for trains and for counted pulses.
// Derived::sample(cell, column, row, s, call) applies one sample.
template <class Derived, class Device, bool Mult>
struct ArrayBody {
    static constexpr int kThreads = kBlockCols * kBlockRows;
    using Cell = Crosspoint<Device, Mult>;
    struct Shared {
        int64_t pulses;
    };
    UpdateJob u;

    TW_INLINE bool phase(int p, Place at, Shared& shared) const {
        if (p == 0) {
            if (at.thread == 0) shared.pulses = 0;
        } else if (p == 1) {
            const int64_t pulses = work(at);
            if (pulses) add_to(&shared.pulses, pulses);
        } else {
            if (at.thread == 0) u.count(kPulses, shared.pulses);
            if (at.index() == 0) u.end();
            return false;
        }
        return true;
    }
    static int64_t blocks(const DeviceArgs& a) { return blocks_for(a.rows, kBlockRows) * blocks_for(a.cols, kBlockCols); }

  private:
    TW_INLINE int64_t work(Place at) const {
        const DeviceArgs& a = u.job.array;
        const UpdateArgs& s = u.job.update;
        const int64_t across = (a.cols + kBlockCols - 1) / kBlockCols;
        const int64_t j = at.block % across * kBlockCols + at.thread % kBlockCols;
        const int64_t i = at.block / across * kBlockRows + at.thread / kBlockCols;
        if (j >= a.cols || i >= a.rows) return 0;
        const CallNoise call{make_key(s.seed, kCrosspointNoise), make_key(s.seed, kWriteNoise), u.call()};
        Cell cell;
        const Derived& derived = *static_cast<const Derived*>(this);
        const int64_t samples = u.samples();
        int64_t done = 0;
        for (int64_t e = 0; e <= s.snapshots; ++e) {
            const int64_t until = e < s.snapshots ? s.snapshot_after[e] + 1 : samples;
            const int64_t last = until < samples ? until : samples;
            for (; done < last; ++done)
                if (u.memory.plan[done].bl > 0) derived.sample(cell, j, i, done, call);
            if (e == s.snapshots) break;
            if (s.snapshot_line[e] == (s.snapshot_rows ? i : j)) copy(cell, e, i, j, call);
        }
        const int64_t index = i * a.cols + j;
        cell.show(a, index, call);
        cell.count(s.counts, index);
        return cell.pulses();
    }

    // The weight as it stands goes out; the device may be reset right after.
    TW_INLINE void copy(Cell& cell, int64_t event, int64_t i, int64_t j, const CallNoise& call) const {
        const DeviceArgs& a = u.job.array;
        const UpdateArgs& s = u.job.update;
        const int64_t index = i * a.cols + j;
        cell.show(a, index, call);
        s.snapshot_out[s.snapshot_rows ? event * a.cols + j : event * a.rows + i] = a.visible[index];
        if (!s.reset_state) return;
        const float state = s.reset_state[event * a.rows + i];
        if (state != state) return;  // stays
        if (a.persistent) a.persistent[index] = state;
        a.visible[index] = s.reset_visible[event * a.rows + i];
        cell.reload();
    }
};

template <class Device, bool Mult>
struct PulsesBody : ArrayBody<PulsesBody<Device, Mult>, Device, Mult> {
    using Base = ArrayBody<PulsesBody<Device, Mult>, Device, Mult>;
    explicit PulsesBody(const UpdateJob& job) { this->u = job; }

    TW_INLINE void sample(typename Base::Cell& cell, int64_t j, int64_t i, int64_t s, const CallNoise& call) const {
        const DeviceArgs& a = this->u.job.array;
        const int words = this->u.memory.words;
        const uint32_t* x = this->u.memory.x_bits + s * words * a.cols + j;
        const uint32_t* d = this->u.memory.d_bits + s * words * a.rows + i;
        const uint32_t x_last = x[(words - 1) * a.cols], d_last = d[(words - 1) * a.rows];
        const bool up = (x_last ^ d_last) >> 31 != 0;
        if (this->u.job.update.raise_only && !up) return;
        for (int w = 0; w < words; ++w) {
            uint32_t hit = w == words - 1 ? x_last & d_last & 0x7fffffffu : x[w * a.cols] & d[w * a.rows];
            for (; hit; hit &= hit - 1) cell.take_pulse(a, i * a.cols + j, up, call);
        }
    }
};

template <class Device, bool Mult>
struct CountsBody : ArrayBody<CountsBody<Device, Mult>, Device, Mult> {
    using Base = ArrayBody<CountsBody<Device, Mult>, Device, Mult>;
    explicit CountsBody(const UpdateJob& job) { this->u = job; }

    TW_INLINE void sample(typename Base::Cell& cell, int64_t j, int64_t i, int64_t s, const CallNoise& call) const {
        const DeviceArgs& a = this->u.job.array;
        const UpdateArgs& args = this->u.job.update;
        const float x = this->u.memory.x_level[s * a.cols + j], bl = (float)this->u.memory.plan[s].bl;
        const int64_t index = i * a.cols + j;
        float product = x * this->u.memory.d_level[s * a.rows + i];
        if (args.raise_only) product = minimum(product, 0.0f);
        if (args.kind == PulseKind::ExactClipped) {
            if (product == 0.0f) return;
            cell.open(a, index);
            cell.state() = minimum(maximum(cell.state() - product, cell.parameters().min_bound), cell.parameters().max_bound);
            cell.touch();
            return;
        }
        const float exact = magnitude(product);
        const bool up = product < 0.0f;
        for (float left = round_even(args.kind == PulseKind::MeanCount ? exact / bl : exact * bl); left > 0.0f; left -= 1.0f)
            cell.take_pulse(a, index, up, call);
    }
};

// Devices that take the same pulses, a thread each.
template <class Device, bool Mult>
struct TraceBody : OnePhase<TraceBody<Device, Mult>, 64> {
    TraceArgs t;
    explicit TraceBody(const TraceArgs& args) : t(args) {}

    TW_INLINE void each(Place at) const {
        const DeviceArgs& a = t.device;
        const int64_t j = at.index();
        if (j >= a.cols) return;
        const Key pulse_key = make_key(t.seed, kCrosspointNoise), write_key = make_key(t.seed, kWriteNoise);
        CrosspointNoise noise;
        Crosspoints<float> c = load_crosspoint<Device>(a, j);
        float seen = a.visible[j];
        uint32_t writes = 0;
        if (t.out) t.out[j] = seen;
        for (int64_t k = 0; k < t.n_pulses; ++k) {
            const int count = t.pulses[k] < 0 ? -t.pulses[k] : t.pulses[k];
            const bool up = t.pulses[k] > 0;
            for (int n = 0; n < count; ++n) {
                if (a.cycle_noise > 0) c.state = pulse<Device, Mult>(c, up, a.cycle_noise * noise.take(pulse_key, (uint64_t)(t.first + j), 0), a.shape);
                else c.state = quiet_pulse<Device>(c, up, a.shape);
            }
            if (count) {
                seen = c.state;
                if (a.reference.data) seen = seen - PlaneAt{j}(a.reference);
                if (a.write_noise > 0) seen = seen + a.write_noise * write_noise_at(write_key, (uint64_t)(t.first + j), writes++, 0);
            }
            if (t.out) t.out[(k + 1) * a.cols + j] = seen;
        }
        a.visible[j] = seen;
        if (a.persistent) a.persistent[j] = c.state;
    }
};

}  // namespace
}  // namespace tilewright::TW_ISA
