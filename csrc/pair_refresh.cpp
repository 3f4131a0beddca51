// The refresh of a one-sided pair: which crosspoints have come high, their reset, and their difference written anew.
#include "entries.hpp"
#include "random.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kNoiseBlock = 32;  // crosspoints whose noise is drawn together

float value_at(const Plane& p, int64_t index) { return p.data[p.uniform ? 0 : index]; }

float clipped(const DeviceArgs& a, float state, int64_t index) {
    const float low = value_at(a.min_bound, index), high = value_at(a.max_bound, index);
    const float raised = state < low ? low : state;
    return raised > high ? high : raised;
}

// Marks the pairs whose higher device has passed the upper threshold and whose lower one the lower; returns how many.
int64_t choose(const RefreshArgs& r, int64_t rows, int64_t cols) {
    int64_t count = 0;
    for (int64_t j = 0; j < cols; ++j)
        for (int64_t i = 0; i < rows; ++i) {
            const float minus = r.member[0].reads[j * rows + i], plus = r.member[1].reads[j * rows + i];
            const float low = minus / r.member[0].w_max, high = plus / r.member[1].w_max;
            const bool past = plus > minus ? (high > r.upper && low > r.lower) : (high > r.lower && low > r.upper);
            r.chosen[i * cols + j] = past;
            count += past;
        }
    return count;
}

// Resets the devices that are chosen. Their noise is that of fields over the whole array, of which only the blocks that
// are needed are drawn.
void reset(const RefreshedMember& m, const bool* chosen) {
    const DeviceArgs& a = m.array;
    const Key key = make_key(m.noise_seed, kField);
    const int64_t n = a.rows * a.cols;
    float* states = a.persistent ? a.persistent : a.visible;
    for (int64_t first = 0; first < n; first += kNoiseBlock) {
        const int64_t last = first + kNoiseBlock < n ? first + kNoiseBlock : n;
        bool any_chosen = false;
        for (int64_t k = first; k < last; ++k) any_chosen |= chosen[k];
        // Whoever keeps states of its own keeps all of them within their bounds.
        if (a.persistent) for (int64_t k = first; k < last; ++k) a.persistent[k] = clipped(a, a.persistent[k], k);
        if (!any_chosen) continue;
        const uint32_t block = (uint32_t)(first / kNoiseBlock), high = (uint32_t)((uint64_t)first >> 37);
        float noise[kNoiseBlock], write_noise[kNoiseBlock];
        const NormalBlock drawn = normal_block(key, block, high, m.call);
        std::memcpy(noise, drawn.normals, sizeof noise);
        if (a.write_noise > 0) {
            const NormalBlock more = normal_block(key, block, high, m.call + 1);
            std::memcpy(write_noise, more.normals, sizeof write_noise);
        }
        for (int64_t k = first; k < last; ++k) {
            if (!chosen[k]) continue;
            float level = value_at(m.reset_level, k);
            if (m.to_reference) level = level + value_at(a.reference, k);
            const float state = clipped(a, level + m.reset_std * noise[k - first], k);
            states[k] = state;
            float shown = a.reference.data ? state - value_at(a.reference, k) : state;
            if (a.write_noise > 0) shown = shown + a.write_noise * write_noise[k - first];
            a.visible[k] = shown;
        }
    }
}

// Writes what one member lacks to the other where that is more than nothing, a column at a time; returns how many.
int64_t rewrite(const RefreshArgs& r, int which) {
    const RefreshedMember& m = r.member[which];
    const float* more = r.member[which].reads;
    const float* less = r.member[1 - which].reads;
    const int64_t rows = m.array.rows, cols = m.array.cols;
    const Scratch<float> errors(rows * cols);
    const Scratch<int32_t> column(cols);
    int64_t n = 0;
    for (int64_t j = 0; j < cols; ++j) {
        bool wanted = false;
        float* error = errors.data + n * rows;
        for (int64_t i = 0; i < rows; ++i) {
            const float lack = r.chosen[i * cols + j] ? more[j * rows + i] - less[j * rows + i] : 0.0f;
            error[i] = lack > 0 ? -lack : 0.0f;
            wanted |= lack > 0;
        }
        if (wanted) column[n++] = (int32_t)j;
    }
    if (n == 0) return 0;
    const float rate = 1;
    UpdateArgs u = m.rewrite;
    u.x_hot = column.data;
    u.d = errors.data;
    u.samples = n;
    u.lr = &rate;
    u.lr_uniform = true;
    update(m.array, u);
    return n;
}

}  // namespace

int64_t refresh(const RefreshArgs& r) {
    const int64_t count = choose(r, r.member[0].array.rows, r.member[0].array.cols);
    for (int which = 0; which < 2; ++which) {
        r.written[which] = 0;
        if (count == 0) continue;
        reset(r.member[which], r.chosen);
        r.written[which] = rewrite(r, which);
    }
    return count;
}

}  // namespace tilewright::TW_ISA
