// The analog matrix-vector product: scale, DAC, array, noise, ADC, and repetition of saturated samples.
// Every sum runs in one fixed order, so results do not depend on threads, batch or build.
#pragma once
#include "kernel_table.hpp"
#include "parallel.hpp"
#include "random.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kParallelProducts = 1 << 20;  // multiplications below which threads do not pay

inline int64_t padded(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

// --- matrix products -------------------------------------------------------------------------------------------------

// R rows of the weight times S samples, inner sums in eight strands over the inputs.
template <int R, int S>
TW_INLINE void dot_block(const float* w, int64_t stride, const float* v, int64_t v_stride, int64_t n, float* y, int64_t y_stride) {
    f8 sum[R][S] = {};
    int64_t j = 0;
    for (; j + kLanes <= n; j += kLanes) {
        f8 vs[S];
        for (int s = 0; s < S; ++s) vs[s] = load(v + s * v_stride + j);
        for (int r = 0; r < R; ++r) {
            const f8 wr = load(w + r * stride + j);
            for (int s = 0; s < S; ++s) sum[r][s] += wr * vs[s];
        }
    }
    if (j < n) {
        f8 vs[S];
        for (int s = 0; s < S; ++s) vs[s] = load(v + s * v_stride + j);  // padded with zeros
        for (int r = 0; r < R; ++r) {
            const f8 wr = load_first(w + r * stride + j, n - j);
            for (int s = 0; s < S; ++s) sum[r][s] += wr * vs[s];
        }
    }
    for (int r = 0; r < R; ++r)
        for (int s = 0; s < S; ++s) y[s * y_stride + r] = sum_lanes(sum[r][s]);
}

template <int R>
TW_INLINE void dot_rows(const float* w, int64_t stride, const float* v, int64_t v_stride, int64_t n, float* y, int64_t y_stride,
                        int64_t samples) {
    int64_t s = 0;
    for (; s + 3 <= samples; s += 3) dot_block<R, 3>(w, stride, v + s * v_stride, v_stride, n, y + s * y_stride, y_stride);
    if (samples - s == 2) dot_block<R, 2>(w, stride, v + s * v_stride, v_stride, n, y + s * y_stride, y_stride);
    else if (samples - s == 1) dot_block<R, 1>(w, stride, v + s * v_stride, v_stride, n, y + s * y_stride, y_stride);
}

// y[s, i] = sum_j w[i, j] v[s, j]
void multiply(const float* w, int64_t rows, int64_t cols, const float* v, int64_t v_stride, float* y, int64_t y_stride,
              int64_t samples, int threads) {
    const int64_t blocks = (rows + 3) / 4;
    for_blocks(blocks, threads_for(rows * cols * samples, kParallelProducts, threads), [&](int64_t b) {
        const int64_t i = b * 4;
        if (i + 4 <= rows) dot_rows<4>(w + i * cols, cols, v, v_stride, cols, y + i, y_stride, samples);
        else for (int64_t r = i; r < rows; ++r) dot_rows<1>(w + r * cols, cols, v, v_stride, cols, y + r, y_stride, samples);
    });
}

// S samples, V vectors of columns: y[s, j] = sum_i d[s, i] w[i, j]
template <int V, int S>
TW_INLINE void axpy_block(const float* w, int64_t stride, int64_t rows, const float* d, int64_t d_stride, float* y, int64_t y_stride,
                          int64_t lanes) {
    f8 sum[S][V] = {};
    for (int64_t i = 0; i < rows; ++i) {
        f8 row[V];
        for (int c = 0; c < V; ++c) row[c] = load_first(w + i * stride + c * kLanes, V > 1 ? kLanes : lanes);
        for (int s = 0; s < S; ++s) {
            const f8 ds = splat(d[s * d_stride + i]);
            for (int c = 0; c < V; ++c) sum[s][c] += row[c] * ds;
        }
    }
    for (int s = 0; s < S; ++s)
        for (int c = 0; c < V; ++c) store(y + s * y_stride + c * kLanes, sum[s][c]);
}

template <int V>
TW_INLINE void axpy_columns(const float* w, int64_t stride, int64_t rows, const float* d, int64_t d_stride, float* y,
                            int64_t y_stride, int64_t lanes, int64_t samples) {
    int64_t s = 0;
    for (; s + 4 <= samples; s += 4)
        axpy_block<V, (V > 3 ? 1 : 4)>(w, stride, rows, d + s * d_stride, d_stride, y + s * y_stride, y_stride, lanes);
    for (; s < samples; ++s) axpy_block<V, 1>(w, stride, rows, d + s * d_stride, d_stride, y + s * y_stride, y_stride, lanes);
}

void multiply_transposed(const float* w, int64_t rows, int64_t cols, const float* d, int64_t d_stride, float* y,
                         int64_t y_stride, int64_t samples, int threads) {
    const int64_t vectors = (cols + kLanes - 1) / kLanes;
    const int64_t wide = samples == 1 ? 8 : 3;
    const int64_t blocks = (vectors + wide - 1) / wide;
    for_blocks(blocks, threads_for(rows * cols * samples, kParallelProducts, threads), [&](int64_t b) {
        int64_t vec = b * wide;
        const int64_t end = vec + wide < vectors ? vec + wide : vectors;
        const bool whole = end - vec == wide && end * kLanes <= cols;
        if (whole && wide == 8) {
            axpy_block<8, 1>(w + vec * kLanes, cols, rows, d, d_stride, y + vec * kLanes, y_stride, kLanes);
        } else if (whole) {
            axpy_columns<3>(w + vec * kLanes, cols, rows, d, d_stride, y + vec * kLanes, y_stride, kLanes, samples);
        } else {
            for (; vec < end; ++vec)
                axpy_columns<1>(w + vec * kLanes, cols, rows, d, d_stride, y + vec * kLanes, y_stride, cols - vec * kLanes, samples);
        }
    });
}

// --- one direction of the periphery ------------------------------------------------------------------------------------

class Product {
  public:
    explicit Product(const ProductArgs& p)
        : p_(p), io_(p.io), n_in_(p.transposed ? p.rows : p.cols), n_out_(p.transposed ? p.cols : p.rows),
          in_stride_(padded(n_in_)), out_stride_(padded(n_out_)) {}

    void run() {
        if (io_.mode == ProductMode::Perfect) perfect();
        else managed();
    }

  private:
    // Inputs are copied into rows padded with zeros, so that the inner loops need no tail.
    void perfect() {
        Scratch<float> v(p_.samples * in_stride_), y(p_.samples * out_stride_);
        v.clear(p_.samples * in_stride_);
        for (int64_t s = 0; s < p_.samples; ++s)
            std::memcpy(v.data + s * in_stride_, p_.x + s * n_in_, (size_t)n_in_ * sizeof(float));
        array(v.data, y.data, p_.samples);
        for (int64_t s = 0; s < p_.samples; ++s) {
            for (int64_t i = 0; i < n_out_; ++i) p_.y[s * n_out_ + i] = y[s * out_stride_ + i] * io_.out_scale;
        }
        if (p_.saturated) std::memset(p_.saturated, 0, (size_t)(p_.samples * n_out_));
        p_.stats->passes += p_.samples;
    }

    void managed() {
        Scratch<float> alpha(p_.samples), rho(p_.samples);
        Scratch<int64_t> active(p_.samples);
        Scratch<uint8_t> worst_case(p_.samples);
        int64_t n = 0;
        for (int64_t s = 0; s < p_.samples; ++s) {
            alpha[s] = scale(p_.x + s * n_in_, io_.noise_management);
            rho[s] = 1;
            worst_case[s] = 0;
            if (alpha[s] <= 0 && io_.inp_noise <= 0) silence(s);
            else active[n++] = s;
        }
        const bool split = io_.mode != ProductMode::OnePass;
        const int64_t parts = split ? 2 : 1;
        Scratch<float> v(n * parts * in_stride_), y(n * parts * out_stride_);
        for (uint32_t round = 0; n > 0; ++round) {
            v.clear(n * parts * in_stride_);
            for (int64_t k = 0; k < n; ++k) {
                const int64_t s = active[k];
                input(s, alpha[s], rho[s], round, v.data + k * parts * in_stride_);
                if (split) separate(v.data + k * 2 * in_stride_);
            }
            array(v.data, y.data, n * parts);
            p_.stats->passes += n;
            int64_t left = 0;
            for (int64_t k = 0; k < n; ++k) {
                const int64_t s = active[k];
                const bool clipped = output(s, round, v.data + k * parts * in_stride_, y.data + k * parts * out_stride_);
                if (clipped && io_.bound_management != BoundManagement::None && reduce(s, alpha[s], rho[s], worst_case[s]))
                    active[left++] = s;
                else finish(s, alpha[s] > 0 ? alpha[s] * rho[s] : rho[s], y.data + k * parts * out_stride_);
            }
            n = left;
        }
    }

    void silence(int64_t s) {
        std::memset(p_.y + s * n_out_, 0, (size_t)n_out_ * sizeof(float));
        if (p_.saturated) std::memset(p_.saturated + s * n_out_, 0, (size_t)n_out_);
    }

    // Whether the sample is to be repeated, with a smaller input.
    bool reduce(int64_t s, float& alpha, float& rho, uint8_t& worst_case) const {
        if (io_.bound_management == BoundManagement::IterativeWorstCase && !worst_case) {
            worst_case = 1;
            alpha = scale(p_.x + s * n_in_, NoiseManagement::AbsMaxNPSum);
            rho = 1;
            return true;
        }
        if (rho > io_.max_bm_factor) return false;
        if (io_.dac_step > 0 && rho > io_.max_bm_res / io_.dac_step) return false;
        rho *= 2;
        return true;
    }

    float scale(const float* x, NoiseManagement kind) const {
        if (kind == NoiseManagement::None) return 1;
        if (kind == NoiseManagement::Constant) return io_.nm_thres > 0 ? io_.nm_thres : 1;
        float most = 0, largest = x[0], positive = 0, negative = 0;
        for (int64_t j = 0; j < n_in_; ++j) {
            const float m = x[j] < 0 ? -x[j] : x[j];
            most = most < m ? m : most;
            largest = largest < x[j] ? x[j] : largest;
            if (kind == NoiseManagement::AbsMaxNPSum) (x[j] > 0 ? positive : negative) += x[j];
        }
        const float chosen = kind == NoiseManagement::Max ? largest : most;
        const float capped = io_.nm_thres > 0 && chosen > io_.nm_thres ? io_.nm_thres : chosen;
        if (kind != NoiseManagement::AbsMaxNPSum) return capped;
        const float sum = positive > -negative ? positive : -negative;
        float needed = sum * io_.nm_assumed_wmax / (io_.out_bound > 0 ? io_.out_bound : 1.0f);
        if (io_.dac_step > 0) {
            const float limit = capped * io_.max_bm_res / io_.dac_step;
            needed = needed < limit ? needed : limit;
        }
        return capped > needed ? capped : needed;
    }

    TW_INLINE f8 rounded(f8 v, float step, bool stochastic, Key key, int64_t index, uint32_t round, uint64_t sample) const {
        if (step <= 0) return v;
        f8 steps = v / step;
        if (stochastic) {
            const u8 bits = philox(key, lane_index() + splat_u((uint32_t)index), round, sample).w[0];
            steps = steps + (unit_uniform(bits) - 0.5f);
        }
        return round_even(steps) * step;
    }

    // Scale, DAC, noise and asymmetry of one sample.
    void input(int64_t s, float alpha, float rho, uint32_t round, float* v) const {
        const float factor = (alpha > 0 ? 1.0f / alpha : 1.0f) / rho;
        const uint64_t sample = p_.first_sample + (uint64_t)s;
        const Key rounding = make_key(p_.seed, kInputRounding), noise_key = make_key(p_.seed, kInputNoise);
        const float bound = io_.inp_bound > 0 ? io_.inp_bound : __builtin_inff();
        NormalBlock noise;
        for (int64_t j = 0; j < n_in_; j += kLanes) {
            const int64_t lanes = n_in_ - j;
            f8 a = load_first(p_.x + s * n_in_ + j, lanes) * factor;
            a = rounded(a, io_.dac_step, io_.inp_sto_round, rounding, j, round, sample);
            const f8 kept = minimum(maximum(a, splat(-bound)), splat(bound));
            p_.stats->clipped_inputs += __builtin_popcount(lane_mask(kept != a));
            a = kept;
            if (io_.inp_noise > 0) {
                if ((j & 31) == 0) noise = normal_block(noise_key, (uint32_t)(j / 32), round, sample);
                a = a + io_.inp_noise * noise.normals[(j & 31) / 8];
            }
            if (io_.inp_asymmetry != 0) a = blend(a < 0.0f, a * (1.0f - io_.inp_asymmetry), a);
            store_first(v + j, a, lanes);
        }
    }

    // Negative part into the first row, positive part into the second.
    void separate(float* v) const {
        float* positive = v + in_stride_;
        for (int64_t j = 0; j < n_in_; ++j) {
            positive[j] = v[j] > 0 ? v[j] : 0.0f;
            v[j] = v[j] < 0 ? v[j] : 0.0f;
        }
    }

    void array(const float* v, float* y, int64_t samples) const {
        if (io_.asymmetry_values == nullptr || io_.mode == ProductMode::OnePass || io_.mode == ProductMode::Perfect) {
            times(p_.weight, v, in_stride_, y, out_stride_, samples);
            return;
        }
        // Even rows hold the negative parts, which meet the asymmetric weights.
        Scratch<float> skewed(p_.rows * p_.cols);
        for (int64_t k = 0; k < p_.rows * p_.cols; ++k) skewed[k] = p_.weight[k] * io_.asymmetry_values[k];
        times(skewed.data, v, 2 * in_stride_, y, 2 * out_stride_, samples / 2);
        times(p_.weight, v + in_stride_, 2 * in_stride_, y + out_stride_, 2 * out_stride_, samples / 2);
    }
    void times(const float* w, const float* v, int64_t v_stride, float* y, int64_t y_stride, int64_t samples) const {
        if (p_.transposed) multiply_transposed(w, p_.rows, p_.cols, v, v_stride, y, y_stride, samples, p_.threads);
        else multiply(w, p_.rows, p_.cols, v, v_stride, y, y_stride, samples, p_.threads);
    }

    // Everything between the array and the digital result of one sample; true if an output asks for a smaller input.
    bool output(int64_t s, uint32_t round, const float* v, float* y) {
        const uint64_t sample = p_.first_sample + (uint64_t)s;
        uint8_t* saturated = p_.saturated ? p_.saturated + s * n_out_ : nullptr;
        if (saturated) std::memset(saturated, 0, (size_t)n_out_);
        if (io_.mode == ProductMode::OnePass) {
            analog_errors(v, y, round, sample, 0);
            return convert(y, round, sample, 0, saturated);
        }
        float* positive = y + out_stride_;
        analog_errors(v, y, round, sample, 0);
        analog_errors(v + in_stride_, positive, round, sample, 1);
        if (io_.mode == ProductMode::PosNegSeparate) {
            for (int64_t i = 0; i < n_out_; ++i) y[i] += positive[i];
            return convert(y, round, sample, 0, saturated);
        }
        const bool low = convert(y, round, sample, 0, saturated), high = convert(positive, round, sample, 1, saturated);
        for (int64_t i = 0; i < n_out_; ++i) y[i] += positive[i];
        return low || high;
    }

    TW_INLINE float weight_at(int64_t out, int64_t in) const {
        return p_.transposed ? p_.weight[in * p_.cols + out] : p_.weight[out * p_.cols + in];
    }

    // IR drop, offsets, series resistance and weight noise: referred to the output of the array.
    void analog_errors(const float* v, float* y, uint32_t round, uint64_t sample, uint32_t part) const {
        if (io_.ir_drop > 0) wire_drop(v, y);
        if (io_.offset_values || io_.r_series > 0) offsets(v, y);
        if (io_.w_noise_kind == WeightNoise::None || io_.w_noise <= 0) return;
        const Key key = make_key(p_.seed, kWeightNoise);
        float square = 0;
        if (io_.w_noise_kind == WeightNoise::AdditiveConstant) {
            f8 sum = splat(0.0f);
            for (int64_t j = 0; j < in_stride_; j += kLanes) sum += load(v + j) * load(v + j);
            square = sum_lanes(sum);
        }
        for (int64_t i = 0; i < n_out_; i += 32) {
            const NormalBlock noise = normal_block(key, (uint32_t)(i / 32), round * 2 + part, sample);
            for (int64_t o = i; o < i + 32 && o < n_out_; ++o) {
                float variance = square;
                if (io_.w_noise_kind == WeightNoise::PCMRead) variance = read_variance(v, o);
                y[o] += io_.w_noise * __builtin_sqrtf(variance) * noise.normals[(o - i) / 8][(o - i) % 8];
            }
        }
    }

    float read_variance(const float* v, int64_t out) const {
        float sum = 0;
        for (int64_t j = 0; j < n_in_; ++j) sum += __builtin_fabsf(weight_at(out, j)) * v[j] * v[j];
        return sum;
    }

    // Steady-state loss along the wire; the profile grows quadratically towards the far end.
    void wire_drop(const float* v, float* y) const {
        const float n = (float)n_in_;
        for (int64_t i = 0; i < n_out_; ++i) {
            float load_sum = 0, profile = 0;
            for (int64_t j = 0; j < n_in_; ++j) {
                const float w = weight_at(i, j);
                const float q = 1.0f - (float)(io_.ir_drop_first ? n_in_ - 1 - j : j) / n;
                load_sum += __builtin_fabsf(w) * __builtin_fabsf(v[j]);
                profile += w * v[j] * (1.0f - q * q);
            }
            const float h = n / io_.ir_drop_g_ratio * load_sum;
            const float c = h * (0.05f * h * h - 0.2f * h + 0.5f);
            y[i] -= io_.ir_drop * c * profile;
        }
    }

    void offsets(const float* v, float* y) const {
        const float rs = io_.r_series > 0 ? io_.r_series : 0;
        float sum = 0;
        for (int64_t j = 0; j < n_in_; ++j) sum += v[j];
        const float reference = -io_.v_offset_w_min * sum;
        for (int64_t i = 0; i < n_out_; ++i) {
            const float o = io_.offset_values ? io_.offset_values[i] : 0;
            if (io_.v_offset_w_min == 0) {
                y[i] = (1 - o) * y[i] / (1 + rs * __builtin_fabsf(y[i]));
            } else if (rs == 0) {
                y[i] = (1 - o) * y[i] - 2 * o * reference;
            } else {
                const float total = y[i] + reference;
                y[i] = (1 - o) * total / (1 + rs * __builtin_fabsf(total)) - (1 + o) * reference / (1 + rs * __builtin_fabsf(reference));
            }
        }
    }

    // Nonlinearity, asymmetry, noise and ADC.
    bool convert(float* y, uint32_t round, uint64_t sample, uint32_t part, uint8_t* saturated) const {
        const Key noise_key = make_key(p_.seed, kOutputNoise), rounding = make_key(p_.seed, kOutputRounding);
        const bool noisy = io_.out_noise > 0, bounded = io_.out_bound > 0;
        const uint32_t pass = round * 2 + part;
        bool over = false;
        NormalBlock noise;
        for (int64_t i = 0; i < n_out_; i += kLanes) {
            const int64_t lanes = n_out_ - i;
            f8 a = load(y + i);
            if (io_.nonlinearity_values)
                a = a * io_.nonlinearity_gain / (1.0f + load_first(io_.nonlinearity_values + i, lanes) * magnitude(a));
            if (io_.out_asymmetry > 0) a = blend(a < 0.0f, a * (1.0f - io_.out_asymmetry), a);
            if (noisy) {
                if ((i & 31) == 0) noise = normal_block(noise_key, (uint32_t)(i / 32), pass, sample);
                const f8 size = io_.out_noise_values ? load_first(io_.out_noise_values + i, lanes) : splat(io_.out_noise);
                a = a + size * noise.normals[(i & 31) / 8];
            }
            a = rounded(a, io_.adc_step, io_.out_sto_round, rounding, i, pass, sample);
            if (bounded) {
                const uint32_t valid = lanes >= kLanes ? 0xffu : (1u << lanes) - 1u;
                const uint32_t above = lane_mask(a > io_.out_bound) & valid, below = lane_mask(a < -io_.out_bound) & valid;
                if (above | below) {
                    over |= above || (io_.test_negative_bound && below);
                    p_.stats->clipped_outputs += __builtin_popcount(above | below);
                    if (saturated) for (int64_t l = 0; l < kLanes && l < lanes; ++l) saturated[i + l] |= (above | below) >> l & 1;
                }
                a = minimum(maximum(a, splat(-io_.out_bound)), splat(io_.out_bound));
            }
            store(y + i, a);
        }
        return over;
    }

    void finish(int64_t s, float factor, const float* y) const {
        const float scale = io_.out_scale * factor;
        for (int64_t i = 0; i < n_out_; ++i) p_.y[s * n_out_ + i] = y[i] * scale;
    }

    const ProductArgs& p_;
    const ReadArgs& io_;
    const int64_t n_in_, n_out_, in_stride_, out_stride_;
};

void product(const ProductArgs& p) { Product(p).run(); }

}  // namespace
}  // namespace tilewright::TW_ISA
