// Updates without random trains: counted pulses, or the exact product clipped to the bounds.
#include "entries.hpp"
#include "exact_rows.hpp"
#include "parallel.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kParallelWork = 1 << 19;  // crosspoint words below which threads do not pay

// Every sample at each vector of crosspoints in turn.
struct ApplyCounts {
    const DeviceArgs& a;
    const UpdateArgs& u;
    const Schedule* plan;
    const float* x_level;  // (samples, cols), signed
    const float* d_level;  // (samples, rows), signed
    int64_t first, last;   // samples to apply
    uint64_t part;
    int64_t* pulses;

    template <class Device, bool Mult>
    void run() const {
        const int64_t blocks = (a.rows + kRowBlock - 1) / kRowBlock;
        const int threads = threads_for(a.rows * a.cols * (last - first), kParallelWork, u.threads);
        *pulses += sum_blocks(blocks, threads, [&](int64_t block) {
            int64_t total = 0;
            NormalStream noise(u.seed, (uint32_t)block, (uint32_t)part, u.call);
            const int64_t end = (block + 1) * kRowBlock < a.rows ? (block + 1) * kRowBlock : a.rows;
            for (int64_t i = block * kRowBlock; i < end; ++i)
                for (int64_t j = 0; j < a.cols; j += kLanes) total += vector_of<Device, Mult>(i, j, noise);
            return total;
        });
    }

    template <class Device, bool Mult>
    int64_t vector_of(int64_t i, int64_t j, NormalStream& noise) const {
        const int64_t index = i * a.cols + j, lanes = a.cols - j;
        Crosspoints<f8> c = load_crosspoints<Device>(a, index, lanes);
        i8 touched = {};
        int64_t delivered = 0;
        for (int64_t s = first; s < last; ++s) {
            if (plan[s].bl == 0) continue;
            const f8 x = load_first(x_level + s * a.cols + j, lanes);
            f8 product = x * d_level[s * a.rows + i];
            if (u.raise_only) product = minimum(product, splat(0.0f));
            if (u.kind == PulseKind::ExactClipped) {
                const i8 moves = product != 0.0f;
                c.state = blend(moves, minimum(maximum(c.state - product, c.min_bound), c.max_bound), c.state);
                touched |= moves;
                continue;
            }
            const float bl = (float)plan[s].bl;
            const f8 exact = magnitude(product);
            f8 left = round_even(u.kind == PulseKind::MeanCount ? exact / bl : exact * bl);
            const i8 up = product < 0.0f;
            touched |= left > 0.0f;
            for (;;) {
                const i8 active = left > 0.0f;
                const uint32_t mask = lane_mask(active);
                if (mask == 0) break;
                f8 moved;
                if (a.cycle_noise > 0) moved = pulse<Device, Mult>(c, up, a.cycle_noise * noise.take(mask), a.shape);
                else moved = quiet_pulse<Device>(c, up, a.shape);
                c.state = blend(active, moved, c.state);
                left = left - 1.0f;
                delivered += __builtin_popcount(mask);
                if (u.counts) tally(index, lanes, mask, lane_mask(up));
            }
        }
        store_changed(c.state, touched, index, lanes, noise);
        return delivered;
    }

    void tally(int64_t index, int64_t lanes, uint32_t active, uint32_t up) const {
        for (int64_t l = 0; l < kLanes && l < lanes; ++l)
            if (active >> l & 1) u.counts[index + l] += up >> l & 1 ? kUpPulse : kDownPulse;
    }

    void store_changed(f8 state, i8 changed, int64_t index, int64_t lanes, NormalStream& noise) const {
        const uint32_t mask = lane_mask(changed);
        if (mask == 0) return;
        if (!a.persistent) {
            store_first(a.visible + index, state, lanes);
            return;
        }
        store_first(a.persistent + index, state, lanes);
        const f8 after = visible_weight(a, state, index, lanes, mask, noise);
        store_first(a.visible + index, blend(changed, after, load_first(a.visible + index, lanes)), lanes);
    }
};

// Levels of one side of the counted and exact updates: whole pulse numbers, probabilities, or plain values.
void write_levels(const UpdateArgs& u, const Side& side, const Schedule* plan, float* out) {
    const Key key = make_key(u.seed, side.rounding);
    const float res = resolution_width(u.kind == PulseKind::MeanCount ? u.res : side.errors ? u.d_res : u.x_res);
    for (int64_t s = 0; s < u.samples; ++s) {
        const float lr = u.lr[u.lr_uniform ? 0 : s];
        const float factor = side.errors ? plan[s].a : plan[s].b;
        for (int64_t j = 0; j < side.lines; j += kLanes) {
            const int64_t lanes = side.lines - j;
            f8 v;
            if (side.hot) {
                v = splat(0.0f);
                if (side.hot[s] >= j && side.hot[s] < j + kLanes) v[side.hot[s] - j] = 1.0f;
            } else {
                v = load_first(side.values + s * side.lines + j, lanes);
            }
            f8 level;
            if (u.kind == PulseKind::ExactClipped) {
                level = side.errors ? v * lr : v;
            } else {
                const u8 line = lane_index() + splat_u((uint32_t)j);
                f8 p = quantised(magnitude(v) * factor, res, u.sto_round, key, line, u.first_sample + (uint64_t)s);
                p = minimum(maximum(p, splat(0.0f)), splat(1.0f));
                if (u.kind == PulseKind::MeanCount) p = round_even(p * (float)plan[s].bl);
                const i8 negative = (side.errors && lr < 0) ? v > 0.0f : v < 0.0f;
                level = blend(negative, -p, p);
            }
            store_first(out + s * side.lines + j, level, lanes);
        }
    }
}

}  // namespace

// Samples up to each copy, the copy, and so on.
void counted_update(const DeviceArgs& a, const UpdateArgs& u, const Schedule* plan) {
    Scratch<float> x_level(u.samples * a.cols), d_level(u.samples * a.rows);
    write_levels(u, Side{u.x, u.x_hot, a.cols, kInputLine, kInputRound, false}, plan, x_level.data);
    write_levels(u, Side{u.d, u.d_hot, a.rows, kErrorLine, kErrorRound, true}, plan, d_level.data);
    if (u.kind != PulseKind::ExactClipped)
        for (int64_t s = 0; s < u.samples; ++s) u.stats->slots += plan[s].bl;
    int64_t first = 0;
    for (int64_t event = 0; event <= u.snapshots; ++event) {
        const int64_t last = event < u.snapshots ? u.snapshot_after[event] + 1 : u.samples;
        if (last > first)
            with_device(a, ApplyCounts{a, u, plan, x_level.data, d_level.data, first, last, (uint64_t)event, &u.stats->pulses});
        if (event < u.snapshots) copy_line(a, u, event);
        first = last;
    }
}

}  // namespace tilewright::TW_ISA
