// The pulsed rank-one update. Given the pulse trains, crosspoints do not depend on each other: eight of them are loaded
// once and take the pulses of all samples in order, which is exact and spares the memory traffic of one pass a sample.
#pragma once
#include "devices.hpp"
#include "parallel.hpp"
#include "random.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kRowBlock = 16;              // rows that share a stream of cycle noise
constexpr int64_t kLineWords = 1 << 20;        // words of pulse trains held at a time
constexpr int64_t kParallelWork = 1 << 19;     // crosspoint words below which threads do not pay

// The next whole number, where single-precision inputs that mean a whole number count as that number.
inline double whole_pulses(double asked) { return __builtin_ceil(asked * (1 - 1e-6)); }

// Train length and the factors that turn errors (a) and inputs (b) into pulse probabilities.
struct Schedule {
    int bl = 0;
    float a = 0, b = 0;
    bool truncated = false;
};

inline Schedule schedule(const UpdateArgs& u, double lr, double x_max, double d_max) {
    Schedule s;
    lr = __builtin_fabs(lr);
    if (lr == 0) return s;
    const double g = u.granularity;
    double a = 1, b = 1;
    int64_t bl = u.desired_bl;
    if (u.fixed_bl || u.length_management || g * u.desired_bl >= lr) {
        a = b = __builtin_sqrt(lr / (g * (double)bl));
    } else {
        bl = (int64_t)whole_pulses(lr / g);
        if (bl < 1) bl = 1;
    }
    const double asked = lr * x_max * u.um_grad_scale * d_max / g;
    s.truncated = asked > u.desired_bl;
    if (u.length_management || u.balance) {
        if (x_max == 0 || d_max == 0) return s;
        double dv = u.um_grad_scale * d_max;
        if (u.length_management) {
            const double wanted = whole_pulses(asked);
            bl = wanted < u.desired_bl ? (int64_t)wanted : u.desired_bl;
            if (bl < 1) bl = 1;
            a = b = __builtin_sqrt(lr / (g * (double)bl));
        }
        if (asked > u.desired_bl) dv *= u.desired_bl / asked;
        a *= __builtin_sqrt(x_max / dv);
        b *= __builtin_sqrt(dv / x_max);
    }
    s.bl = (int)bl;
    s.a = (float)a;
    s.b = (float)b;
    return s;
}

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

// One word of a row's train that holds pulses.
struct RowWord {
    int64_t word;
    uint32_t pulses, signs;
};

// Copies of lines to be taken while the samples pass, by row or by column vector, each list in time order.
struct SnapshotIndex {
    const int64_t* start;   // list of group g: entries start[g] .. start[g + 1]
    const int64_t* event;
    const int64_t* boundary;  // slots applied before the copy
};

template <class Device, bool Mult>
class RowUpdater {
  public:
    RowUpdater(const DeviceArgs& a, const UpdateArgs& u, const Trains& inputs, uint64_t part, int64_t block)
        : a_(a), u_(u), inputs_(inputs), noise_(u.seed, (uint32_t)block, (uint32_t)part, u.call), noisy_(a.cycle_noise > 0) {}

    int64_t pulses = 0;

    void row(int64_t i, const RowWord* words, int64_t n_words, const SnapshotIndex* snapshots) {
        const int64_t vectors = (a_.cols + kLanes - 1) / kLanes;
        for (int64_t vec = 0; vec < vectors; ++vec) {
            const int64_t group = u_.snapshot_rows ? i : vec;
            const bool copies = snapshots && snapshots->start[group] < snapshots->start[group + 1];
            if (copies) with_copies(i, vec, words, n_words, *snapshots, group);
            else plain(i, vec, words, n_words);
        }
    }

  private:
    TW_INLINE u8 coincidences(int64_t vec, const RowWord& w) const {
        const uint32_t* at = inputs_.bits + (vec * inputs_.words + w.word) * 16;
        const u8 hit = load_u(at) & w.pulses;
        return u_.raise_only ? hit & (load_u(at + 8) ^ w.signs) : hit;
    }

    TW_INLINE void plain(int64_t i, int64_t vec, const RowWord* words, int64_t n_words) {
        int64_t k = 0;
        u8 hit = {};
        for (; k < n_words; ++k) {
            hit = coincidences(vec, words[k]);
            if (any(hit)) break;
        }
        if (k == n_words) return;
        const int64_t index = i * a_.cols + vec * kLanes, lanes = a_.cols - vec * kLanes;
        Crosspoints<f8> c = load_crosspoints<Device>(a_, index, lanes);
        u8 touched = {};
        for (;;) {
            apply(c, hit, vec, words[k], index, lanes);
            touched |= hit;
            do {
                if (++k == n_words) goto done;
                hit = coincidences(vec, words[k]);
            } while (!any(hit));
        }
    done:
        finish(c, touched, index, lanes);
    }

    void with_copies(int64_t i, int64_t vec, const RowWord* words, int64_t n_words, const SnapshotIndex& s, int64_t group) {
        const int64_t index = i * a_.cols + vec * kLanes, lanes = a_.cols - vec * kLanes;
        Crosspoints<f8> c = load_crosspoints<Device>(a_, index, lanes);
        u8 touched = {};
        int64_t k = 0, low = 0;
        for (int64_t e = s.start[group]; e <= s.start[group + 1]; ++e) {
            const bool last = e == s.start[group + 1];
            const int64_t high = last ? INT64_MAX : s.boundary[e];
            while (k < n_words && words[k].word * 32 < high) {
                const int64_t base = words[k].word * 32;
                uint32_t mask = ~0u;
                if (low > base) mask &= low - base >= 32 ? 0u : ~0u << (low - base);
                const bool partial = high - base < 32;
                if (partial) mask &= ~(~0u << (high - base));
                const u8 hit = coincidences(vec, words[k]) & mask;
                if (any(hit)) {
                    apply(c, hit, vec, words[k], index, lanes);
                    touched |= hit;
                }
                if (partial) break;
                ++k;
            }
            low = high;
            if (last) break;
            finish(c, touched, index, lanes);
            touched = u8{};
            copy_out(i, vec, index, lanes, s.event[e]);
        }
        finish(c, touched, index, lanes);
    }

    void copy_out(int64_t i, int64_t vec, int64_t index, int64_t lanes, int64_t event) {
        if (u_.snapshot_rows) {
            store_first(u_.snapshot_out + event * a_.cols + vec * kLanes, load_first(a_.visible + index, lanes), lanes);
        } else {
            const int64_t lane = u_.snapshot_line[event] - vec * kLanes;
            u_.snapshot_out[event * a_.rows + i] = a_.visible[index + lane];
        }
    }

    // Applies the coincidences of a word, slot by slot in each lane.
    TW_INLINE void apply(Crosspoints<f8>& c, u8 hit, int64_t vec, const RowWord& w, int64_t index, int64_t lanes) {
        const u8 raises = load_u(inputs_.bits + (vec * inputs_.words + w.word) * 16 + 8) ^ w.signs;
        if (u_.up_counts) tally(hit, raises, index, lanes);
        const f8 sigma = splat(a_.cycle_noise);
        do {
            const u8 lowest = hit & (0u - hit);
            const i8 active = lowest != 0u;
            const i8 up = (raises & lowest) != 0u;
            const uint32_t mask = lane_mask(active);
            pulses += __builtin_popcount(mask);
            f8 moved;
            if (noisy_) moved = pulse<Device, Mult>(c, up, sigma * noise_.take(mask), a_.shape);
            else moved = quiet_pulse<Device>(c, up, a_.shape);
            c.state = blend(active, moved, c.state);
            hit ^= lowest;
        } while (any(hit));
    }

    void tally(u8 hit, u8 raises, int64_t index, int64_t lanes) const {
        for (int64_t l = 0; l < kLanes && l < lanes; ++l) {
            u_.up_counts[index + l] += __builtin_popcount(hit[l] & raises[l]);
            u_.down_counts[index + l] += __builtin_popcount(hit[l] & ~raises[l]);
        }
    }

    TW_INLINE void finish(const Crosspoints<f8>& c, u8 touched, int64_t index, int64_t lanes) {
        const i8 changed = touched != 0u;
        const uint32_t mask = lane_mask(changed);
        if (mask == 0) return;
        if (a_.persistent) {
            store_first(a_.persistent + index, c.state, lanes);
            const f8 before = load_first(a_.visible + index, lanes);
            const f8 after = visible_weight(a_, c.state, index, lanes, mask, noise_);
            store_first(a_.visible + index, blend(changed, after, before), lanes);
        } else {
            store_first(a_.visible + index, c.state, lanes);
        }
    }

    const DeviceArgs& a_;
    const UpdateArgs& u_;
    const Trains& inputs_;
    NormalStream noise_;
    const bool noisy_;
};

// The words of row i that hold pulses; returns how many.
inline int64_t row_words(const Trains& errors, int64_t i, RowWord* out) {
    const uint32_t* base = errors.bits + (i / kLanes) * errors.words * 16 + i % kLanes;
    int64_t n = 0;
    for (int64_t w = 0; w < errors.words; ++w) {
        const uint32_t pulses = base[w * 16];
        if (pulses) out[n++] = {w, pulses, base[w * 16 + 8]};
    }
    return n;
}

struct ApplyTrains {
    const DeviceArgs& a;
    const UpdateArgs& u;
    const Trains& inputs;
    const Trains& errors;
    const SnapshotIndex* snapshots;
    uint64_t part;
    int64_t* pulses;

    template <class Device, bool Mult>
    void run() const {
        const int64_t blocks = (a.rows + kRowBlock - 1) / kRowBlock;
        const int threads = threads_for(a.rows * a.cols * inputs.words, kParallelWork, u.threads);
        *pulses += sum_blocks(blocks, threads, [&](int64_t block) {
            RowUpdater<Device, Mult> updater(a, u, inputs, part, block);
            Scratch<RowWord> words(errors.words);
            const int64_t end = (block + 1) * kRowBlock < a.rows ? (block + 1) * kRowBlock : a.rows;
            for (int64_t i = block * kRowBlock; i < end; ++i) {
                const int64_t n = row_words(errors, i, words.data);
                const bool copies = snapshots && (!u.snapshot_rows || snapshots->start[i] < snapshots->start[i + 1]);
                if (n > 0 || copies) updater.row(i, words.data, n, snapshots);
            }
            return updater.pulses;
        });
    }
};

// Groups the copies of a chunk of samples by row or by column vector.
void index_snapshots(const UpdateArgs& u, const int64_t* slot, int64_t first, int64_t count, int64_t groups, int64_t* start,
                     int64_t* event, int64_t* boundary) {
    std::memset(start, 0, (size_t)(groups + 1) * sizeof(int64_t));
    const int64_t width = u.snapshot_rows ? 1 : kLanes;
    const auto in_chunk = [&](int64_t e) { return u.snapshot_after[e] >= first && u.snapshot_after[e] < first + count; };
    for (int64_t e = 0; e < u.snapshots; ++e)
        if (in_chunk(e)) ++start[u.snapshot_line[e] / width + 1];
    for (int64_t g = 0; g < groups; ++g) start[g + 1] += start[g];
    Scratch<int64_t> next(groups);
    std::memcpy(next.data, start, (size_t)groups * sizeof(int64_t));
    for (int64_t e = 0; e < u.snapshots; ++e) {
        if (!in_chunk(e)) continue;
        const int64_t at = next[u.snapshot_line[e] / width]++;
        event[at] = e;
        boundary[at] = slot[u.snapshot_after[e] - first + 1];
    }
}

void stochastic_update(const DeviceArgs& a, const UpdateArgs& u, const Schedule* plan) {
    Scratch<int64_t> slot(u.samples + 1);
    const int64_t col_vectors = (a.cols + kLanes - 1) / kLanes, row_vectors = (a.rows + kLanes - 1) / kLanes;
    const int64_t groups = u.snapshot_rows ? a.rows : col_vectors;
    Scratch<int64_t> start(groups + 1), event(u.snapshots), boundary(u.snapshots);
    const int64_t most_words = kLineWords / ((col_vectors + row_vectors) * 16) + 1;
    int64_t first = 0;
    for (uint64_t part = 0; first < u.samples; ++part) {
        int64_t count = 0;  // samples whose trains fit
        slot[0] = 0;
        while (first + count < u.samples && (count == 0 || slot[count] + plan[first + count].bl <= most_words * 32)) {
            slot[count + 1] = slot[count] + plan[first + count].bl;
            ++count;
        }
        const int64_t words = (slot[count] + 31) / 32;
        Scratch<uint32_t> input_bits(col_vectors * words * 16), error_bits(row_vectors * words * 16);
        input_bits.clear(col_vectors * words * 16);
        error_bits.clear(row_vectors * words * 16);
        const Trains inputs{input_bits.data, words}, errors{error_bits.data, words};
        const Side x{u.x, u.x_hot, a.cols, kInputLine, kInputRound, false};
        const Side d{u.d, u.d_hot, a.rows, kErrorLine, kErrorRound, true};
        write_trains(inputs, u, x, plan + first, slot.data, first, count);
        write_trains(errors, u, d, plan + first, slot.data, first, count);
        SnapshotIndex index{start.data, event.data, boundary.data};
        if (u.snapshots) index_snapshots(u, slot.data, first, count, groups, start.data, event.data, boundary.data);
        int64_t pulses = 0;
        with_device(a, ApplyTrains{a, u, inputs, errors, u.snapshots ? &index : nullptr, part, &pulses});
        u.stats->pulses += pulses;
        u.stats->slots += slot[count];
        first += count;
    }
}

// Updates without random trains: counted pulses, or the exact product clipped to the bounds.
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
                if (u.up_counts) tally(index, lanes, mask, lane_mask(up));
            }
        }
        store_changed(c.state, touched, index, lanes, noise);
        return delivered;
    }

    void tally(int64_t index, int64_t lanes, uint32_t active, uint32_t up) const {
        for (int64_t l = 0; l < kLanes && l < lanes; ++l)
            if (active >> l & 1) ++(up >> l & 1 ? u.up_counts : u.down_counts)[index + l];
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

// Copies one line of the array as it stands.
void copy_line(const DeviceArgs& a, const UpdateArgs& u, int64_t event) {
    const int64_t line = u.snapshot_line[event];
    if (u.snapshot_rows) {
        std::memcpy(u.snapshot_out + event * a.cols, a.visible + line * a.cols, (size_t)a.cols * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < a.rows; ++i) u.snapshot_out[event * a.rows + i] = a.visible[i * a.cols + line];
}

// Samples up to each copy, the copy, and so on.
void counted_update(const DeviceArgs& a, const UpdateArgs& u, const Schedule* plan) {
    Scratch<float> x_level(u.samples * a.cols), d_level(u.samples * a.rows);
    write_levels(u, Side{u.x, u.x_hot, a.cols, kInputLine, kInputRound, false}, plan, x_level.data);
    write_levels(u, Side{u.d, u.d_hot, a.rows, kErrorLine, kErrorRound, true}, plan, d_level.data);
    int64_t first = 0;
    for (int64_t event = 0; event <= u.snapshots; ++event) {
        const int64_t last = event < u.snapshots ? u.snapshot_after[event] + 1 : u.samples;
        if (last > first)
            with_device(a, ApplyCounts{a, u, plan, x_level.data, d_level.data, first, last, (uint64_t)event, &u.stats->pulses});
        if (event < u.snapshots) copy_line(a, u, event);
        first = last;
    }
}

void update(const DeviceArgs& a, const UpdateArgs& u) {
    Scratch<Schedule> plan(u.samples);
    for (int64_t s = 0; s < u.samples; ++s) {
        const double x_max = u.x_hot ? 1.0 : absolute_maximum(u.x + s * a.cols, a.cols);
        const double d_max = u.d_hot ? 1.0 : absolute_maximum(u.d + s * a.rows, a.rows);
        const float lr = u.lr[u.lr_uniform ? 0 : s];
        if (u.kind == PulseKind::ExactClipped) {
            plan[s] = Schedule{};
            plan[s].bl = lr != 0 ? 1 : 0;
            continue;
        }
        plan[s] = schedule(u, lr, x_max, d_max);
        u.stats->truncated += plan[s].truncated;
        u.stats->empty += plan[s].bl == 0;
    }
    if (u.kind == PulseKind::Stochastic) stochastic_update(a, u, plan.data);
    else counted_update(a, u, plan.data);
}

}  // namespace
}  // namespace tilewright::TW_ISA
