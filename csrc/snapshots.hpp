// Copies of lines of an array that are taken while an update passes, and resets of what was copied.
#pragma once
#include "kernel_table.hpp"
#include "vector.hpp"

namespace tilewright::TW_ISA {
namespace {

// Copies of lines to be taken while the samples pass, by row or by column vector, each list in time order.
struct SnapshotIndex {
    const int64_t* start;   // list of group g: entries start[g] .. start[g + 1]
    const int64_t* event;
    const int64_t* boundary;  // slots applied before the copy
};

// Groups the copies of a chunk of samples by row or by column vector.
void index_snapshots(const UpdateArgs& u, const int64_t* slot, int64_t first, int64_t count, int64_t groups, int64_t* start,
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
