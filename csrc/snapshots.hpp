// Copies of lines of an array that are taken while an update passes.
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

// Copies one line of the array as it stands.
void copy_line(const DeviceArgs& a, const UpdateArgs& u, int64_t event) {
    const int64_t line = u.snapshot_line[event];
    if (u.snapshot_rows) {
        std::memcpy(u.snapshot_out + event * a.cols, a.visible + line * a.cols, (size_t)a.cols * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < a.rows; ++i) u.snapshot_out[event * a.rows + i] = a.visible[i * a.cols + line];
}

}  // namespace
}  // namespace tilewright::TW_ISA
