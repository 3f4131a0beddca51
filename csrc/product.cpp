// The analog matrix-vector product: scale, DAC, array, noise, ADC, and repetition of saturated samples.
// Samples pass in blocks that stay in the cache from the DAC to the digital result; noise belongs to a sample's number.
#include "array_errors.hpp"
#include "converter.hpp"
#include "entries.hpp"
#include "matmul.hpp"

namespace tilewright::TW_ISA {
namespace {

class Product {
  public:
    explicit Product(const ProductArgs& p)
        : p_(p), io_(p.io), n_in_(p.transposed ? p.rows : p.cols), n_out_(p.transposed ? p.cols : p.rows),
          in_stride_(padded(n_in_)), out_stride_(padded(n_out_)), split_(p.io.mode >= ProductMode::PosNegSeparate),
          parts_(split_ ? 2 : 1), array_(p, split_) {}

    void run() {
        const bool perfect = io_.mode == ProductMode::Perfect;
        if (!perfect && io_.noise_management == NoiseManagement::AverageAbsMax) average_ = settle_average();
        const int64_t size = block_size(), blocks = (p_.samples + size - 1) / size;
        const int workers = blocks > 1 ? threads() : 1;
        Scratch<ProductStats> stats(blocks);
        for_blocks(blocks, workers, [&](int64_t b) {
            stats[b] = ProductStats();
            const int64_t first = b * size, count = p_.samples - first < size ? p_.samples - first : size;
            const int inner = blocks > 1 ? 1 : p_.threads;
            if (perfect) exact(first, count, inner, stats[b]);
            else managed(first, count, inner, stats[b]);
        });
        for (int64_t b = 0; b < blocks; ++b) p_.stats->add(stats[b]);
    }

  private:
    static constexpr int64_t kBlockNumbers = 1 << 16;  // inputs and outputs of a block, together: they fit the second cache

    int threads() const { return threads_for(n_in_ * n_out_ * p_.samples, kParallelProducts, p_.threads); }

    int64_t block_size() const {
        int64_t most = kBlockNumbers / ((in_stride_ + out_stride_) * parts_) / 6 * 6;
        most = most < 12 ? 12 : most > 96 ? 96 : most;
        if (threads() > 1) {  // a share for each thread, unless there are too few samples to divide
            const int64_t share = (p_.samples + p_.threads - 1) / p_.threads;
            if (share >= 6 && share < most) most = share;
        }
        return most;
    }

    // --- exact ---------------------------------------------------------------------------------------------------------

    void exact(int64_t first, int64_t count, int threads, ProductStats& stats) const {
        Scratch<float> v(count * in_stride_), y(count * out_stride_);
        for (int64_t k = 0; k < count; ++k) {
            zero_tail(v.data + k * in_stride_, n_in_);
            std::memcpy(v.data + k * in_stride_, p_.x + (first + k) * n_in_, (size_t)n_in_ * sizeof(float));
        }
        array_.times(array_.plain(), v.data, in_stride_, y.data, out_stride_, count, threads);
        for (int64_t k = 0; k < count; ++k)
            for (int64_t i = 0; i < n_out_; ++i) p_.y[(first + k) * n_out_ + i] = y[k * out_stride_ + i] * io_.out_scale;
        if (p_.saturated) std::memset(p_.saturated + first * n_out_, 0, (size_t)(count * n_out_));
        stats.passes += count;
        for (int64_t s = first; s < first + count; ++s) report(s, 1, 1, 1);
    }

    static void zero_tail(float* row, int64_t n) {
        if (n % kWide) store_wide(row + n / kWide * kWide, splat_wide(0.0f));
    }

    void report(int64_t s, float alpha, float rho, int32_t passes) const {
        if (p_.alpha) p_.alpha[s] = alpha;
        if (p_.rho) p_.rho[s] = rho;
        if (p_.sample_passes) p_.sample_passes[s] = passes;
    }

    // --- through the converters ----------------------------------------------------------------------------------------

    struct Sample {
        int64_t number;
        float alpha, rho;
        bool worst_case;
        int32_t passes;
        float factor() const { return alpha > 0 ? alpha * rho : rho; }
    };

    void managed(int64_t first, int64_t count, int threads, ProductStats& stats) const {
        Scratch<Sample> active(count);
        int64_t n = 0;
        for (int64_t s = first; s < first + count; ++s) {
            if (holds_nan(p_.x + s * n_in_)) {
                lose(s);
                continue;
            }
            const float alpha = scale(p_.x + s * n_in_, io_.noise_management);
            if (alpha <= 0 && io_.zero_silent) silence(s, alpha, stats);
            else active[n++] = Sample{s, alpha, 1, false, 0};
        }
        Scratch<float> v(n * parts_ * in_stride_), y(n * parts_ * out_stride_);
        for (int64_t k = 0; k < n * parts_; ++k) {
            zero_tail(v.data + k * in_stride_, n_in_);
            zero_tail(y.data + k * out_stride_, n_out_);
        }
        for (uint32_t round = 0; n > 0; ++round) {
            for (int64_t k = 0; k < n; ++k) input(active[k], round, v.data + k * parts_ * in_stride_, stats);
            array_.times_parts(array_.seen(), v.data, y.data, n * parts_, threads);
            array_.add_errors(v.data, y.data, n * parts_, threads, [&](int64_t row) {
                return Draw{round * 2 + (uint32_t)(split_ ? row % 2 : 0), p_.first_sample + (uint64_t)active[row / parts_].number};
            });
            stats.passes += n;
            int64_t left = 0;
            for (int64_t k = 0; k < n; ++k) {
                Sample sample = active[k];
                ++sample.passes;
                int64_t clipped = 0;
                const bool over = output(sample, round, y.data + k * parts_ * out_stride_, clipped);
                stats.clipped_outputs += clipped;
                if (over && io_.bound_management != BoundManagement::None && reduce(sample)) {
                    active[left++] = sample;
                } else {
                    stats.saturated_outputs += clipped;
                    report(sample.number, sample.alpha, sample.rho, sample.passes);
                }
            }
            n = left;
        }
    }

    bool holds_nan(const float* x) const {
        i8 found = {};
        for (int64_t j = 0; j < n_in_; j += kLanes) {
            const f8 v = load_first(x + j, n_in_ - j);
            found |= v != v;
        }
        return lane_mask(found) != 0;
    }

    // No converter delivers nan; that an input went wrong upstream must not be hidden in a plausible number.
    void lose(int64_t s) const {
        for (int64_t i = 0; i < n_out_; ++i) p_.y[s * n_out_ + i] = __builtin_nanf("");
        if (p_.saturated) std::memset(p_.saturated + s * n_out_, 0, (size_t)n_out_);
        report(s, __builtin_nanf(""), 1, 0);
    }

    void silence(int64_t s, float alpha, ProductStats& stats) const {
        std::memset(p_.y + s * n_out_, 0, (size_t)n_out_ * sizeof(float));
        if (p_.saturated) std::memset(p_.saturated + s * n_out_, 0, (size_t)n_out_);
        stats.lost_inputs += absolute_maximum(p_.x + s * n_in_, n_in_) > 0;
        report(s, alpha, 1, 0);
    }

    // Whether the sample is to be repeated, with a smaller input.
    bool reduce(Sample& s) const {
        if (io_.bound_management == BoundManagement::IterativeWorstCase && !s.worst_case) {
            s.worst_case = true;
            s.alpha = scale(p_.x + s.number * n_in_, NoiseManagement::AbsMaxNPSum);
            s.rho = 1;
            return true;
        }
        if (s.rho > io_.max_bm_factor) return false;
        if (io_.dac_step > 0 && s.rho > io_.max_bm_res / io_.dac_step) return false;
        s.rho *= 2;
        return true;
    }

    // Moves the running mean of the largest inputs when learning, and returns the scale to use.
    float settle_average() const {
        if (p_.samples == 0) return 0;
        double sum = 0;
        for (int64_t s = 0; s < p_.samples; ++s) sum += absolute_maximum(p_.x + s * n_in_, n_in_);
        const float now = (float)(sum / (double)p_.samples);
        if (!p_.average) return now;
        const bool known = *p_.average >= 0;
        if (!p_.learn_average) return known ? *p_.average : now;
        *p_.average = known ? (1 - io_.nm_decay) * *p_.average + io_.nm_decay * now : now;
        return *p_.average;
    }

    float scale(const float* x, NoiseManagement kind) const {
        if (kind == NoiseManagement::None) return 1;
        if (kind == NoiseManagement::Constant) return io_.nm_thres > 0 ? io_.nm_thres : 1;
        if (kind == NoiseManagement::AverageAbsMax) return average_;
        float chosen = 0;
        if (kind == NoiseManagement::Max) {
            chosen = x[0];
            for (int64_t j = 1; j < n_in_; ++j) chosen = chosen < x[j] ? x[j] : chosen;
        } else {
            chosen = absolute_maximum(x, n_in_);
        }
        const float capped = io_.nm_thres > 0 && chosen > io_.nm_thres ? io_.nm_thres : chosen;
        if (kind != NoiseManagement::AbsMaxNPSum) return capped;
        f8 positive = splat(0.0f), negative = splat(0.0f);
        for (int64_t j = 0; j < n_in_; j += kLanes) {
            const f8 v = load_first(x + j, n_in_ - j);
            positive += maximum(v, splat(0.0f));
            negative -= minimum(v, splat(0.0f));
        }
        const float up = sum_lanes(positive), down = sum_lanes(negative);
        float needed = (up > down ? up : down) * io_.nm_assumed_wmax / (io_.out_bound > 0 ? io_.out_bound : 1.0f);
        if (io_.dac_step > 0) {
            const float limit = capped * io_.max_bm_res / io_.dac_step;
            needed = needed < limit ? needed : limit;
        }
        return capped > needed ? capped : needed;
    }

    // Scale, DAC, noise and asymmetry of one sample; negative and positive inputs into rows of their own when split.
    void input(const Sample& sample, uint32_t round, float* v, ProductStats& stats) const {
        const float factor = (sample.alpha > 0 ? 1.0f / sample.alpha : 1.0f) / sample.rho;
        const Draw draw{round, p_.first_sample + (uint64_t)sample.number};
        const Key rounding = make_key(p_.seed, kInputRounding), noise_key = make_key(p_.seed, kInputNoise);
        const float bound = io_.inp_bound > 0 ? io_.inp_bound : __builtin_inff();
        const float* x = p_.x + sample.number * n_in_;
        int64_t clipped = 0;
        NormalBlock noise;
        for (int64_t j = 0; j < n_in_; j += kLanes) {
            const int64_t lanes = n_in_ - j;
            f8 a = to_steps(load_first(x + j, lanes) * factor, io_.dac_step, io_.inp_sto_round, rounding, j, draw);
            const f8 kept = within(a, bound);
            clipped += __builtin_popcount(lane_mask(kept != a));
            a = kept;
            if (io_.inp_noise > 0) {
                if ((j & 31) == 0) noise = normal_block(noise_key, (uint32_t)(j / 32), draw.pass, draw.sample);
                a = a + io_.inp_noise * noise.normals[(j & 31) / 8];
            }
            a = weakened_if_negative(a, io_.inp_asymmetry);
            if (split_) {
                store_first(v + j, minimum(a, splat(0.0f)), lanes);
                store_first(v + in_stride_ + j, maximum(a, splat(0.0f)), lanes);
            } else {
                store_first(v + j, a, lanes);
            }
        }
        stats.clipped_inputs += clipped;
    }

    // Everything between the array and the digital result of one sample; true if an output asks for a smaller input.
    bool output(const Sample& sample, uint32_t round, float* y, int64_t& clipped) const {
        const uint64_t number = p_.first_sample + (uint64_t)sample.number;
        uint8_t* saturated = p_.saturated ? p_.saturated + sample.number * n_out_ : nullptr;
        if (saturated) std::memset(saturated, 0, (size_t)n_out_);
        float* result = p_.y + sample.number * n_out_;
        const float scale = io_.out_scale * sample.factor();
        const Draw first{round * 2, number}, second{round * 2 + 1, number};
        float* positive = y + out_stride_;
        if (io_.mode == ProductMode::OnePass) return convert(y, result, scale, first, saturated, clipped);
        if (io_.mode == ProductMode::PosNegSeparate) {
            for (int64_t i = 0; i < out_stride_; i += kLanes) store(y + i, load(y + i) + load(positive + i));
            return convert(y, result, scale, first, saturated, clipped);
        }
        const bool low = convert(y, y, 1, first, saturated, clipped), high = convert(positive, positive, 1, second, saturated, clipped);
        for (int64_t i = 0; i < n_out_; i += kLanes)
            store_first(result + i, (load(y + i) + load(positive + i)) * scale, n_out_ - i);
        return low || high;
    }

    // Nonlinearity, asymmetry, noise, ADC and its bound.
    bool convert(const float* y, float* result, float scale, Draw draw, uint8_t* saturated, int64_t& clipped) const {
        const Key noise_key = make_key(p_.seed, kOutputNoise), rounding = make_key(p_.seed, kOutputRounding);
        const bool noisy = io_.out_noise > 0, bounded = io_.out_bound > 0;
        bool over = false;
        NormalBlock normals;
        for (int64_t i = 0; i < n_out_; i += kLanes) {
            const int64_t lanes = n_out_ - i;
            f8 a = load(y + i), noise = splat(0.0f);
            if (io_.nonlinearity_values)
                a = a * io_.nonlinearity_gain / (1.0f + load_first(io_.nonlinearity_values + i, lanes) * magnitude(a));
            if (noisy) {
                if ((i & 31) == 0) normals = normal_block(noise_key, (uint32_t)(i / 32), draw.pass, draw.sample);
                const f8 size = io_.out_noise_values ? load_first(io_.out_noise_values + i, lanes) : splat(io_.out_noise);
                noise = size * normals.normals[(i & 31) / 8];
            }
            a = digitised(io_, a, noise, rounding, i, draw);
            if (bounded) {
                const uint32_t valid = lanes >= kLanes ? 0xffu : (1u << lanes) - 1u;
                const uint32_t beyond = lane_mask(magnitude(a) > io_.out_bound) & valid;
                if (beyond) {
                    over |= io_.test_negative_bound || (lane_mask(a > io_.out_bound) & valid);
                    clipped += __builtin_popcount(beyond);
                    if (saturated) for (int64_t l = 0; l < kLanes && l < lanes; ++l) saturated[i + l] |= beyond >> l & 1;
                    a = within(a, io_.out_bound);
                }
            }
            store_first(result + i, a * scale, lanes);
        }
        return over;
    }

    const ProductArgs& p_;
    const ReadArgs& io_;
    const int64_t n_in_, n_out_, in_stride_, out_stride_;
    const bool split_;
    const int64_t parts_;
    const AnalogArray array_;
    float average_ = 0;
};

}  // namespace

void product(const ProductArgs& p) { Product(p).run(); }

}  // namespace tilewright::TW_ISA
