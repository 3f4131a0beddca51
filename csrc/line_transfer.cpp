#include "line_transfer.hpp"

#include <cstring>
#include <vector>

#include "dispatch.hpp"

namespace tilewright {
namespace {

void copy_line(const DeviceArgs& a, bool column, int64_t line, float* out) {
    if (!column) {
        std::memcpy(out, a.visible + line * a.cols, (size_t)a.cols * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < a.rows; ++i) out[i] = a.visible[i * a.cols + line];
}

}  // namespace

void line_transfer(const LineTransferArgs& t) {
    const KernelTable& kernels = active_table();
    kernels.update(t.fast, t.fast_update);
    const int64_t length = t.columns ? t.fast.rows : t.fast.cols;
    std::vector<float> lines((size_t)(t.events * length)), errors(lines.size());
    for (int64_t e = 0; e < t.events; ++e) copy_line(t.fast, t.columns, t.line[e], lines.data() + e * length);
    BufferArgs reads = t.reads;
    reads.events = t.events;
    reads.length = length;
    reads.lines = lines.data();
    reads.pulses = errors.data();
    kernels.read_lines(reads);
    for (float& error : errors) error = -error;
    UpdateArgs slow = t.slow_update;
    (t.columns ? slow.x_hot : slow.d_hot) = t.line;
    (t.columns ? slow.d : slow.x) = errors.data();
    slow.samples = t.events;
    slow.lr = &t.slow_lr;
    slow.lr_uniform = true;
    kernels.update(t.slow, slow);
}

}  // namespace tilewright
