// The second half of an update: crosspoints take the pulses of all samples in order. Each belongs to one thread, so that
// its state is loaded once; neighbouring threads take neighbouring columns.
#pragma once
#include "crosspoint.hpp"
#include "train_bodies.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int kBlockCols = 32, kBlockRows = 8;
constexpr int kGroups = 4, kItems = 32 * kGroups;  // of words of trains, or levels, that a block keeps at once
constexpr int kAtOnce = 8;                         // that a thread stages

// What is known of the words of a line, or of both lines of a crosspoint: which are not 0, and which are marked.
struct Masks {
    uint32_t any, mark;
};

// A word of a line in a sample is an item. Here it belongs to a train, and its sign is its mark.
struct TrainItems {
    UpdateJob u;

    TW_INLINE uint32_t kept(uint32_t word) const { return word & 0x7fffffffu; }
    TW_INLINE bool marked(uint32_t word) const { return word >> 31 != 0; }
    // Items that concern a crosspoint.
    TW_INLINE uint32_t hits(Masks x, Masks d) const { return x.any & d.any & (u.job.update.raise_only ? x.mark ^ d.mark : ~0u); }
    template <class Cell>
    TW_INLINE void take(Cell& cell, int64_t, int64_t, uint32_t x, uint32_t d, bool up, const CallNoise&) const {
        cell.send(bits_set(x & d), up);
    }
};

// Here it is a level. Those that are no finite numbers are marked: they count beside a level of 0 too.
struct LevelItems {
    UpdateJob u;

    TW_INLINE uint32_t kept(uint32_t word) const { return word; }
    TW_INLINE bool marked(uint32_t word) const { return (word & 0x7fffffffu) >= 0x7f800000u; }
    TW_INLINE uint32_t hits(Masks x, Masks d) const { return (x.any & d.any) | x.mark | d.mark; }
    template <class Cell>
    TW_INLINE void take(Cell& cell, int64_t index, int64_t sample, uint32_t x, uint32_t d, bool, const CallNoise& call) const {
        const UpdateArgs& s = u.job.update;
        float product = as_float(x) * as_float(d);
        if (s.raise_only) product = minimum(product, 0.0f);
        if (s.kind == PulseKind::ExactClipped) {
            if (product == 0.0f) return;
            cell.state() = minimum(maximum(cell.state() - product, cell.parameters().min_bound), cell.parameters().max_bound);
            cell.touch();
            return;
        }
        const float exact = magnitude(product), bl = u.memory.bl[sample];
        const bool up = product < 0.0f;
        for (float left = round_even(s.kind == PulseKind::MeanCount ? exact / bl : exact * bl); left > 0.0f;) {
            const float most = (float)Cell::kMostPulses, now = left < most ? left : most;
            cell.send((int)now, up);
            left -= now;
            if (left > 0.0f) cell.take(u.job.array, index, call, false);
        }
    }
};

// What blocks of crosspoints have in common, whatever the items.
template <class Items>
struct ArrayPart : Items {
    static constexpr int kThreads = kBlockCols * kBlockRows;
    using Items::u;

    // Pulses of a block, in halves: sums of 64 bits would make its threads take turns.
    struct Sum {
        int32_t low, high;
    };
    TW_INLINE void add(Sum& sum, uint32_t pulses) const {
        if (pulses & 0xffff) add_to(&sum.low, (int32_t)(pulses & 0xffff));
        if (pulses >> 16) add_to(&sum.high, (int32_t)(pulses >> 16));
    }
    TW_INLINE void end(Place at, const Sum& sum) const {
        if (at.thread == 0) u.count(kPulses, ((int64_t)sum.high << 16) + sum.low);
        if (at.index() == 0) u.end();
    }
    TW_INLINE CallNoise call() const { return {u.keys.pulses, u.keys.writes, u.call()}; }

    struct Corner {
        int64_t row, column;
    };
    TW_INLINE Corner corner(Place at, int rows) const {
        const uint32_t across = (uint32_t)blocks_for(u.job.array.cols, kBlockCols), block = (uint32_t)at.block;
        return {(int64_t)(block / across) * rows, (int64_t)(block % across) * kBlockCols};
    }

    // A thread puts items of one line, 32 at most, into shared memory, so many places apart.
    template <int Apart>
    TW_INLINE Masks stage(const uint32_t* words, int64_t line, int64_t lines, int64_t first, int64_t items, uint32_t* out) const {
        const int64_t left = line < lines ? items - first : 0;
        const int count = left > 32 ? 32 : (int)left;
        words += first * lines + line;
        Masks all{};
        // Several are on their way at once; those that there are not say nothing.
        for (int begin = 0; begin < count; begin += kAtOnce, words += kAtOnce * lines) {
            uint32_t word[kAtOnce];
            Masks some{};
#pragma unroll
            for (int k = 0; k < kAtOnce; ++k) word[k] = begin + k < count ? words[k * lines] : 0;
#pragma unroll
            for (int k = 0; k < kAtOnce; ++k) {
                const uint32_t kept = this->kept(word[k]);
                out[(begin + k) * Apart] = kept;
                some.any |= kept << 1 ? 1u << k : 0;
                some.mark |= (uint32_t)this->marked(word[k]) << k;
            }
            all.any |= some.any << begin;
            all.mark |= some.mark << begin;
        }
        return all;
    }

    // Stores a crosspoint; gives the number of its pulses.
    template <class Cell>
    TW_INLINE uint32_t close(Cell& cell, int64_t index, const CallNoise& noise) const {
        cell.show(u.job.array, index, noise);
        cell.count(u.job.update.counts, index);
        return cell.pulses();
    }
};

// A thread keeps a crosspoint through all samples, of which a block stages a part at a time. Threads of a warp, neighbours
// along a row, may be at different samples without waiting for each other's memory banks.
template <class Items, class Device, bool Mult>
struct ManyBody : ArrayPart<Items> {
    using Base = ArrayPart<Items>;
    using Base::u, typename Base::Corner;
    using Cell = Crosspoint<Device, Mult>;
    static constexpr int kResident = 4;
    struct Shared {
        uint32_t x[kItems][kBlockCols];
        uint32_t d[kBlockRows][kGroups][33];  // one place is left free, so that threads that fill it find a bank each
        Masks x_masks[kGroups][kBlockCols], d_masks[kGroups][kBlockRows];
        typename Base::Sum pulses;
    };
    struct Own {
        Cell cell;
        int32_t event;  // the next copy
    };
    explicit ManyBody(const UpdateJob& job) : Base{{job}} {}

    TW_INLINE bool phase(int p, Place at, Shared& shared, Own& own) const {
        at.block = held_anew(at.block);
        const int64_t items = u.samples() * u.memory.words, first = (int64_t)(p / 2) * kItems;
        if (p % 2 == 0) {
            if (p == 0) {
                own.cell = Cell{};
                own.event = 0;
                if (at.thread == 0) shared.pulses = {0, 0};
            } else if (first >= items) {
                this->end(at, shared.pulses);
                return false;
            }
            fill(at, shared, first, items);
            return true;
        }
        const bool last = first + kItems >= items;
        Corner spot = this->corner(at, kBlockRows);
        spot.row += at.thread / kBlockCols;
        spot.column += at.thread % kBlockCols;
        if (spot.column >= u.job.array.cols || spot.row >= u.job.array.rows) return true;
        const CallNoise call = this->call();
        work(spot, at, shared, own, first, last ? (int)(items - first) : kItems, last, call);
        if (last) this->add(shared.pulses, this->close(own.cell, spot.row * u.job.array.cols + spot.column, call));
        return true;
    }
    int64_t blocks() const { return blocks_for(u.job.array.rows, kBlockRows) * blocks_for(u.job.array.cols, kBlockCols); }

  private:
    // A thread takes a group of items of one line; first the inputs, then the errors.
    TW_INLINE void fill(Place at, Shared& shared, int64_t first, int64_t items) const {
        const Corner corner = this->corner(at, kBlockRows);
        const int inputs = kGroups * kBlockCols, place = at.thread - inputs;
        const DeviceArgs& a = u.job.array;
        if (place < 0) {
            const int group = at.thread / kBlockCols, line = at.thread % kBlockCols;
            shared.x_masks[group][line] =
                this->template stage<kBlockCols>(u.memory.x, corner.column + line, a.cols, first + group * 32, items, shared.x[group * 32] + line);
        } else if (place < kGroups * kBlockRows) {
            const int group = place / kBlockRows, line = place % kBlockRows;
            shared.d_masks[group][line] =
                this->template stage<1>(u.memory.d, corner.row + line, a.rows, first + group * 32, items, shared.d[line][group]);
        }
    }

    // The items of a part, and the copies that fall into it.
    TW_INLINE void work(Corner spot, Place at, const Shared& shared, Own& own, int64_t first, int count, bool last, const CallNoise& call) const {
        const UpdateArgs& s = u.job.update;
        const int64_t index = spot.row * u.job.array.cols + spot.column;
        for (int from = 0;;) {
            int to = count;
            bool copied = false;
            for (; own.event < s.snapshots; ++own.event) {
                const int64_t until = (s.snapshot_after[own.event] + (int64_t)1) * u.memory.words - first;
                if (until > count && !last) break;
                if (s.snapshot_line[own.event] != (s.snapshot_rows ? spot.row : spot.column)) continue;
                copied = true;
                to = until < count ? (int)until : count;
                break;
            }
            pass(at, index, shared, own.cell, first, from, to, copied || last, call);
            if (!copied) return;
            copy(own.cell, own.event++, spot, call);
            from = to;
        }
    }

    // Some items, after which no pulses may wait if what follows asks for that.
    TW_INLINE void pass(Place at, int64_t index, const Shared& shared, Cell& cell, int64_t first, int from, int to, bool all,
                        const CallNoise& call) const {
        const int row = at.thread / kBlockCols, column = at.thread % kBlockCols;
        uint32_t some = 0;
        for (int group = 0; group < kGroups; ++group) some |= this->hits(shared.x_masks[group][column], shared.d_masks[group][row]);
        if (some) cell.open(u.job.array, index);
        else if (!cell.waits()) return;
        for (int group = from / 32;; ++group) {
            uint32_t hits = 0, marks = 0;
            if (group * 32 < to) {
                const Masks x = shared.x_masks[group][column], d = shared.d_masks[group][row];
                hits = this->hits(x, d) & bits_from(from - group * 32) & ~bits_from(to - group * 32);
                marks = x.mark ^ d.mark;
            }
            const bool end = group * 32 + 32 >= to;
            do {
                for (; hits && !cell.full(); hits &= hits - 1) {
                    const int n = lowest_bit(hits), item = group * 32 + n;
                    this->take(cell, index, first + item, shared.x[item][column], shared.d[row][group][n], (marks >> n & 1) != 0, call);
                }
                // Sooner for some threads than they must, so that those of a warp take their pulses together.
                const bool rest = all && end && !hits;
                if (rest || any_of_warp(cell.full())) cell.take(u.job.array, index, call, rest);
            } while (hits);
            if (end) return;
        }
    }

    // The weight as it stands goes out; the device may be reset right after.
    TW_INLINE void copy(Cell& cell, int64_t event, Corner spot, const CallNoise& call) const {
        const DeviceArgs& a = u.job.array;
        const UpdateArgs& s = u.job.update;
        const int64_t index = spot.row * a.cols + spot.column;
        cell.show(a, index, call);
        s.snapshot_out[s.snapshot_rows ? event * a.cols + spot.column : event * a.rows + spot.row] = a.visible[index];
        if (!s.reset_state) return;
        const float state = s.reset_state[event * a.rows + spot.row];
        if (state != state) return;  // stays
        if (a.persistent) a.persistent[index] = state;
        a.visible[index] = s.reset_visible[event * a.rows + spot.row];
        cell.reload();
    }
};

constexpr int kFewItems = 16, kMostStrips = 8;
constexpr int64_t kEnoughBlocks = 256;

// Few samples, which reach few of the crosspoints: those are listed, and threads take one after the other from the list,
// so that none waits for neighbours that have something to do. A block has several strips of rows where the array is large.
template <class Items, class Device, bool Mult>
struct FewBody : ArrayPart<Items> {
    using Base = ArrayPart<Items>;
    using Base::u, Base::kThreads, typename Base::Corner;
    using Cell = Crosspoint<Device, Mult>;
    static constexpr int kResident = 4;
    static constexpr int kMostRows = kMostStrips * kBlockRows;
    struct Shared {
        uint32_t x[kFewItems][kBlockCols];
        uint32_t d[kMostRows][kFewItems + 1];  // one place is left free for the banks
        Masks x_masks[kBlockCols], d_masks[kMostRows];
        uint16_t list[kMostRows * kBlockCols];
        int32_t length;
        typename Base::Sum pulses;
    };
    int rows;  // of a block
    explicit FewBody(const UpdateJob& job) : Base{{job}} {
        const int64_t strips = blocks_for(job.job.array.rows, kBlockRows) * blocks_for(job.job.array.cols, kBlockCols) / kEnoughBlocks;
        rows = kBlockRows * (int)(strips < 1 ? 1 : strips > kMostStrips ? kMostStrips : strips);
    }

    TW_INLINE bool phase(int p, Place at, Shared& shared) const {
        if (p == 0) {
            if (at.thread == 0) {
                shared.pulses = {0, 0};
                shared.length = 0;
            }
            fill(at, shared);
        } else if (p == 1) {
            const Corner corner = this->corner(at, rows);
            const int64_t below = u.job.array.rows - corner.row;
            const int column = at.thread % kBlockCols, there = below < rows ? (int)below : rows;
            if (corner.column + column >= u.job.array.cols) return true;
            const Masks x = shared.x_masks[column];
            for (int row = at.thread / kBlockCols; row < there; row += kBlockRows)
                if (this->hits(x, shared.d_masks[row])) shared.list[next_place(&shared.length)] = (uint16_t)(row * kBlockCols + column);
        } else if (p == 2) {
            const Corner corner = this->corner(at, rows);
            uint32_t pulses = 0;
            for (int k = at.thread; k < shared.length; k += kThreads) pulses += pass(shared, corner, shared.list[k]);
            this->add(shared.pulses, pulses);
        } else {
            this->end(at, shared.pulses);
            return false;
        }
        return true;
    }
    int64_t blocks() const { return blocks_for(u.job.array.rows, rows) * blocks_for(u.job.array.cols, kBlockCols); }
    static bool takes(const UpdateJob& job) { return job.job.update.samples * job.memory.words <= kFewItems && job.job.update.snapshots == 0; }

  private:
    TW_INLINE void fill(Place at, Shared& shared) const {
        const Corner corner = this->corner(at, rows);
        const int64_t items = u.samples() * u.memory.words;
        const DeviceArgs& a = u.job.array;
        const int line = at.thread - kBlockCols;
        if (line < 0)
            shared.x_masks[at.thread] =
                this->template stage<kBlockCols>(u.memory.x, corner.column + at.thread, a.cols, 0, items, shared.x[0] + at.thread);
        else if (line < rows)
            shared.d_masks[line] = this->template stage<1>(u.memory.d, corner.row + line, a.rows, 0, items, shared.d[line]);
    }

    TW_INLINE uint32_t pass(const Shared& shared, Corner corner, int place) const {
        const int row = place / kBlockCols, column = place % kBlockCols;
        const int64_t index = (corner.row + row) * u.job.array.cols + corner.column + column;
        const CallNoise call = this->call();
        Cell cell;
        cell.open(u.job.array, index);
        const Masks x = shared.x_masks[column], d = shared.d_masks[row];
        uint32_t hits = this->hits(x, d);
        const uint32_t marks = x.mark ^ d.mark;
        do {
            for (; hits && !cell.full(); hits &= hits - 1) {
                const int n = lowest_bit(hits);
                this->take(cell, index, n, shared.x[n][column], shared.d[row][n], (marks >> n & 1) != 0, call);
            }
            cell.take(u.job.array, index, call, !hits);
        } while (hits);
        return this->close(cell, index, call);
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
