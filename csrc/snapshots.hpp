// Copies of lines of an array that are taken while an update passes, and resets of what was copied.
#pragma once
#include "kernel_table.hpp"
#include "lanes.hpp"

namespace tilewright::TW_ISA {
namespace {

// Copies of rows to be taken while the samples pass, each list in time order.
struct SnapshotIndex {
    const int64_t* start;   // list of row i: entries start[i] .. start[i + 1]
    const int64_t* event;
    const int64_t* boundary;  // slots applied before the copy
};

constexpr int32_t kNever = INT32_MAX;

// Slots in which eight columns take pulses without being copied, each up to its own next copy. Crosspoints do not depend
// on each other, so a vector with copies passes the slots once for every copy of a column, not for every copy in it.
struct CopyPhase {
    int32_t from[kLanes], to[kLanes];  // slots of each lane
    int64_t event[kLanes];                         // copies that follow, -1 where a lane has no more
    int64_t earliest, latest;                      // slots of any lane

    // Which bits of a word are slots of each lane.
    TW_INLINE u8 slots(int64_t word) const {
        const int32_t base = (int32_t)(word * 32);
        return since(from, base) & ~since(to, base);
    }

  private:
    static TW_INLINE u8 since(const int32_t* limit, int32_t base) {
        i8 v;
        std::memcpy(&v, limit, sizeof v);
        v = v > base ? v - base : splat_i(0);
        return (~0u << (u8)(v > 31 ? splat_i(31) : v)) & (u8)(v < 32);
    }
};

// Copies of columns: phases of vector v are start[v] .. start[v + 1]; vectors without copies have none.
struct ColumnCopies {
    const int64_t* start;
    const CopyPhase* phases;
    const uint32_t* slots_of;  // what `slots` gives, for each phase and word; null where that is much
    int64_t words;

    void tabulate(int64_t n_phases, uint32_t* table) {
        for (int64_t k = 0; k < n_phases; ++k)
            for (int64_t w = 0; w < words; ++w) store_u(table + (k * words + w) * kLanes, phases[k].slots(w));
        slots_of = table;
    }
    TW_INLINE u8 slots(const CopyPhase* phase, int64_t word) const {
        if (!slots_of) return phase->slots(word);
        return load_u(slots_of + ((phase - phases) * words + word) * kLanes);
    }
};

constexpr int64_t kTabulatedSlots = 1 << 12;  // words of all phases up to which their slots are tabulated

// Vectors of a row: a run of neighbours.
struct VectorRange {
    int64_t first, last;
};

// The vectors of every row, apart: those that are not copied in the middle of an update, and those that are.
struct VectorSets {
    const VectorRange* plain;
    int64_t n_plain, vectors;  // vectors: in these
    const int64_t* copied;
    int64_t n_copied;
    ColumnCopies copies;
};

// Groups the copies of a chunk of samples by row or by column vector.
inline void index_snapshots(const UpdateArgs& u, const int64_t* slot, int64_t first, int64_t count, int64_t groups, int64_t* start,
                     int64_t* event, int64_t* boundary) {
    std::memset(start, 0, (size_t)(groups + 1) * sizeof(int64_t));
    const int64_t width = u.snapshot_rows ? 1 : kLanes;
    // Copies after sample -1 are taken before the first.
    const auto in_chunk = [&](int64_t e) {
        return u.snapshot_after[e] < first + count && (u.snapshot_after[e] >= first || first == 0);
    };
    for (int64_t e = 0; e < u.snapshots; ++e)
        if (in_chunk(e)) ++start[u.snapshot_line[e] / width + 1];
    for (int64_t g = 0; g < groups; ++g) start[g + 1] += start[g];
    Scratch<int64_t> next(groups);
    std::memcpy(next.data, start, (size_t)groups * sizeof(int64_t));
    for (int64_t e = 0; e < u.snapshots; ++e) {
        if (!in_chunk(e)) continue;
        const int64_t at = next[u.snapshot_line[e] / width]++;
        event[at] = e;
        boundary[at] = u.snapshot_after[e] < 0 ? 0 : slot[u.snapshot_after[e] - first + 1];
    }
}

// Turns copies grouped by column vector into phases; there must be room for one more of them for each vector than it has
// copies.
inline void split_phases(const UpdateArgs& u, const SnapshotIndex& index, int64_t vectors, int64_t* start, CopyPhase* phases) {
    start[0] = 0;
    for (int64_t vec = 0; vec < vectors; ++vec) {
        CopyPhase* mine = phases + start[vec];
        int64_t taken[kLanes] = {}, most = -1;
        const auto open = [&](int64_t number) {
            for (; most < number; ++most)
                for (int64_t l = 0; l < kLanes; ++l) {
                    CopyPhase& p = mine[most + 1];
                    p.from[l] = most + 1 == 0 ? 0 : mine[most].to[l];
                    p.to[l] = kNever;
                    p.event[l] = -1;
                }
        };
        for (int64_t e = index.start[vec]; e < index.start[vec + 1]; ++e) {
            const int64_t lane = u.snapshot_line[index.event[e]] - vec * kLanes, number = taken[lane]++;
            open(number);
            mine[number].to[lane] = (int32_t)index.boundary[e];
            mine[number].event[lane] = index.event[e];
            open(number + 1);
            mine[number + 1].from[lane] = (int32_t)index.boundary[e];
        }
        for (int64_t k = 0; k <= most; ++k) {
            mine[k].earliest = kNever, mine[k].latest = 0;
            for (int64_t l = 0; l < kLanes; ++l) {
                if (mine[k].from[l] >= mine[k].to[l]) continue;
                mine[k].earliest = mine[k].from[l] < mine[k].earliest ? mine[k].from[l] : mine[k].earliest;
                mine[k].latest = mine[k].to[l] > mine[k].latest ? mine[k].to[l] : mine[k].latest;
            }
        }
        start[vec + 1] = start[vec] + most + 1;
    }
}

// Tells vectors with phases from those without.
inline void part_vectors(int64_t vectors, VectorRange* plain, int64_t* copied, VectorSets& sets) {
    sets.n_plain = sets.n_copied = sets.vectors = 0;
    for (int64_t vec = 0; vec < vectors; ++vec) {
        if (sets.copies.start[vec] < sets.copies.start[vec + 1]) {
            copied[sets.n_copied++] = vec;
            continue;
        }
        if (sets.n_plain > 0 && plain[sets.n_plain - 1].last == vec) ++plain[sets.n_plain - 1].last;
        else plain[sets.n_plain++] = {vec, vec + 1};
        ++sets.vectors;
    }
}

// Resets one device of a column that was just copied, if it is to be; says whether it was.
inline bool reset_after_copy(const DeviceArgs& a, const UpdateArgs& u, int64_t event, int64_t row) {
    if (!u.reset_state) return false;
    const float state = u.reset_state[event * a.rows + row];
    if (state != state) return false;
    const int64_t index = row * a.cols + u.snapshot_line[event];
    if (a.persistent) a.persistent[index] = state;
    a.visible[index] = u.reset_visible[event * a.rows + row];
    return true;
}

// Copies one line of the array as it stands.
void copy_line(const DeviceArgs& a, const UpdateArgs& u, int64_t event) {
    const int64_t line = u.snapshot_line[event];
    if (u.snapshot_rows) {
        std::memcpy(u.snapshot_out + event * a.cols, a.visible + line * a.cols, (size_t)a.cols * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < a.rows; ++i) {
        u.snapshot_out[event * a.rows + i] = a.visible[i * a.cols + line];
        reset_after_copy(a, u, event, i);
    }
}

}  // namespace
}  // namespace tilewright::TW_ISA
