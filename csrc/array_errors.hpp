// The array inside a product: the weights that each polarity of the inputs meets, and what wires, references and read
// noise add to the currents.
#pragma once
#include "converter.hpp"
#include "matmul.hpp"
#include "random.hpp"

namespace tilewright::TW_ISA {
namespace {

// Weights as the inputs meet them: rows of negative inputs may see other ones than all the rest.
struct SeenWeights {
    const float* rest = nullptr;
    const float* negative = nullptr;  // null when there is no difference
};

class AnalogArray {
  public:
    AnalogArray(const ProductArgs& p, bool split)
        : p_(p), io_(p.io), n_in_(p.transposed ? p.rows : p.cols), n_out_(p.transposed ? p.cols : p.rows),
          in_stride_(padded(n_in_)), out_stride_(padded(n_out_)), skewed_(split && io_.asymmetry_values != nullptr),
          reads_(io_.w_noise_kind == WeightNoise::PCMRead && io_.w_noise > 0), drops_(io_.ir_drop > 0),
          sized_(io_.mode != ProductMode::Perfect && (reads_ || drops_)), negative_(skewed_ ? p.rows * p.cols : 0),
          sizes_(sized_ ? p.rows * p.cols : 0), negative_sizes_(sized_ && skewed_ ? p.rows * p.cols : 0) {
        const int64_t n = p.rows * p.cols;
        if (skewed_) for (int64_t k = 0; k < n; ++k) negative_[k] = p.weight[k] * io_.asymmetry_values[k];
        if (sized_) for (int64_t k = 0; k < n; ++k) sizes_[k] = __builtin_fabsf(p.weight[k]);
        if (sized_ && skewed_) for (int64_t k = 0; k < n; ++k) negative_sizes_[k] = __builtin_fabsf(negative_[k]);
    }

    SeenWeights plain() const { return {p_.weight, nullptr}; }
    SeenWeights seen() const { return {p_.weight, skewed_ ? negative_.data : nullptr}; }

    void times(SeenWeights w, const float* v, int64_t v_stride, float* y, int64_t y_stride, int64_t rows, int threads) const {
        if (p_.transposed) multiply_transposed(w.rest, p_.rows, p_.cols, v, v_stride, y, y_stride, rows, threads);
        else multiply(w.rest, p_.rows, p_.cols, v, v_stride, y, y_stride, rows, threads);
    }

    // Rows of inputs; where negative ones meet other weights, they are the even rows.
    void times_parts(SeenWeights w, const float* v, float* y, int64_t rows, int threads) const {
        if (!w.negative) return times(w, v, in_stride_, y, out_stride_, rows, threads);
        times({w.negative, nullptr}, v, 2 * in_stride_, y, 2 * out_stride_, rows / 2, threads);
        times(w, v + in_stride_, 2 * in_stride_, y + out_stride_, 2 * out_stride_, rows / 2, threads);
    }

    // IR drop, offsets, series resistance and weight noise, in this order; draw(row) says which random numbers.
    template <class DrawOf>
    void add_errors(const float* v, float* y, int64_t rows, int threads, const DrawOf& draw) const {
        if (drops_) drop_along_wires(v, y, rows, threads);
        if (io_.offset_values || io_.r_series > 0)
            for (int64_t r = 0; r < rows; ++r) offset(v + r * in_stride_, y + r * out_stride_);
        if (reads_) {
            Scratch<float> squares(rows * in_stride_), variance(rows * out_stride_);
            for (int64_t k = 0; k < rows * in_stride_; ++k) squares[k] = v[k] * v[k];
            times_parts(magnitudes(), squares.data, variance.data, rows, threads);
            for (int64_t r = 0; r < rows; ++r) add_noise(y + r * out_stride_, variance.data + r * out_stride_, 0, draw(r));
        } else if (io_.w_noise_kind == WeightNoise::AdditiveConstant && io_.w_noise > 0) {
            for (int64_t r = 0; r < rows; ++r) {
                f8 square = splat(0.0f);
                for (int64_t j = 0; j < in_stride_; j += kLanes) square += load(v + r * in_stride_ + j) * load(v + r * in_stride_ + j);
                add_noise(y + r * out_stride_, nullptr, sum_lanes(square), draw(r));
            }
        }
    }

  private:
    SeenWeights magnitudes() const { return {sizes_.data, skewed_ ? negative_sizes_.data : nullptr}; }

    // Steady-state loss along the wire; the profile grows quadratically towards the far end.
    void drop_along_wires(const float* v, float* y, int64_t rows, int threads) const {
        Scratch<float> inputs(rows * in_stride_), currents(rows * out_stride_), lost(rows * out_stride_), profile(in_stride_);
        const float n = (float)n_in_;
        for (int64_t j = 0; j < in_stride_; ++j) {
            const float q = 1.0f - (float)(io_.ir_drop_first ? n_in_ - 1 - j : j) / n;
            profile[j] = 1.0f - q * q;
        }
        for (int64_t k = 0; k < rows * in_stride_; ++k) inputs[k] = __builtin_fabsf(v[k]);
        times_parts(magnitudes(), inputs.data, currents.data, rows, threads);
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t j = 0; j < in_stride_; ++j) inputs[r * in_stride_ + j] = v[r * in_stride_ + j] * profile[j];
        times_parts(seen(), inputs.data, lost.data, rows, threads);
        const float load_of_wire = n / io_.ir_drop_g_ratio;
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t i = r * out_stride_; i < r * out_stride_ + n_out_; ++i) {
                const float h = load_of_wire * currents[i];
                y[i] -= io_.ir_drop * (h * (0.05f * h * h - 0.2f * h + 0.5f)) * lost[i];
            }
    }

    void offset(const float* v, float* y) const {
        const float rs = io_.r_series > 0 ? io_.r_series : 0, cap = io_.r_series_cap > 0 ? io_.r_series_cap : __builtin_inff();
        f8 strands = splat(0.0f);
        for (int64_t j = 0; j < in_stride_; j += kLanes) strands += load(v + j);
        const f8 reference = splat(-io_.v_offset_w_min * sum_lanes(strands));
        const auto loaded = [&](f8 a) { return a / (1.0f + minimum(rs * magnitude(a), splat(cap))); };
        for (int64_t i = 0; i < n_out_; i += kLanes) {
            const f8 o = io_.offset_values ? load_first(io_.offset_values + i, n_out_ - i) : splat(0.0f);
            const f8 a = load(y + i);
            if (io_.v_offset_w_min == 0) store(y + i, (1.0f - o) * loaded(a));
            else if (rs == 0) store(y + i, (1.0f - o) * a - 2.0f * o * reference);
            else store(y + i, (1.0f - o) * loaded(a + reference) - (1.0f + o) * loaded(reference));
        }
    }

    void add_noise(float* y, const float* variances, float variance, Draw draw) const {
        const Key key = make_key(p_.seed, kWeightNoise);
        NormalBlock noise;
        for (int64_t i = 0; i < n_out_; i += kLanes) {
            if ((i & 31) == 0) noise = normal_block(key, (uint32_t)(i / 32), draw.pass, draw.sample);
            const f8 spread = square_root(variances ? load_first(variances + i, n_out_ - i) : splat(variance));
            store(y + i, load(y + i) + io_.w_noise * spread * noise.normals[(i & 31) / 8]);
        }
    }

    const ProductArgs& p_;
    const ReadArgs& io_;
    const int64_t n_in_, n_out_, in_stride_, out_stride_;
    const bool skewed_, reads_, drops_, sized_;
    Scratch<float> negative_, sizes_, negative_sizes_;
};

}  // namespace
}  // namespace tilewright::TW_ISA
