// What happens when in a mini-batch of a transfer cell.
#include "entries.hpp"
#include "random.hpp"

namespace tilewright::TW_ISA {
namespace {

enum Counter { kVectors = 0, kNextLine = 1, kSweeps = 2, kReads = 3 };

void follow_maximum(double& mean, double value, double rate) {
    if (mean <= 0) mean = value;
    else if (value > 0) mean = (1 - rate) * mean + rate * value;
}

bool drawn(Key key, uint64_t read, uint32_t which, double probability) {
    return (double)philox_single(key, which, 1, read) * 0x1p-32 < probability;
}

void write_chopped(const float* from, const float* signs, int64_t n, float* to) {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i] * signs[i];
}

void as_factors(const int8_t* signs, int64_t n, float* factors) {
    for (int64_t i = 0; i < n; ++i) factors[i] = (float)signs[i];
}

}  // namespace

int64_t plan_transfers(const TransferPlanArgs& a) {
    const int64_t lines = a.columns ? a.inputs : a.outputs, length = a.columns ? a.outputs : a.inputs;
    const int64_t batch = a.batch > 0 ? a.batch : a.samples > 0 ? a.samples : 1;
    const double rate = (1 - a.auto_momentum) / (double)batch;
    const int64_t shortest = a.in_chop_prob > 0 ? (int64_t)__builtin_ceil(1 / a.in_chop_prob) : 0;
    const int64_t chop_period = a.in_chop_prob > 0 && shortest < 2 ? 2 : shortest;
    const Key key = make_key(a.seed, kField);
    // The choppers as factors, where there are any: a plan that never reads may come without.
    Scratch<float> in_sign(a.x_chopped ? lines : 0), out_sign(a.x_chopped ? length : 0);
    if (a.x_chopped) {
        as_factors(a.in_chop, lines, in_sign.data);
        as_factors(a.out_chop, length, out_sign.data);
    }
    const float* x_sign = a.columns ? in_sign.data : out_sign.data;
    const float* d_sign = a.columns ? out_sign.data : in_sign.data;
    int64_t events = 0;
    for (int64_t s = 0; s < a.samples; ++s) {
        const float* x = a.x + s * a.inputs;
        const float* d = a.d + s * a.outputs;
        double lr = a.lr;
        if (a.auto_scale) {
            follow_maximum(a.maxima[0], absolute_maximum(x, a.inputs), rate);
            follow_maximum(a.maxima[1], absolute_maximum(d, a.outputs), rate);
            lr *= a.largest_step;
            if (a.maxima[0] > 0 && a.maxima[1] > 0) lr /= a.maxima[0] * a.maxima[1];
        }
        a.fast_lr[s] = (float)lr;
        if (a.x_chopped) {
            write_chopped(x, x_sign, a.inputs, a.x_chopped + s * a.inputs);
            write_chopped(d, d_sign, a.outputs, a.d_chopped + s * a.outputs);
        }
        if (++a.counters[kVectors] % a.period != 0) continue;

        const int64_t line = a.counters[kNextLine];
        a.event_after[events] = (int32_t)s;
        a.event_line[events] = (int32_t)line;
        a.event_lr[events] = (float)lr;
        a.event_sign[events] = a.in_chop[line];
        std::memcpy(a.event_out_sign + events * length, a.out_chop, (size_t)length);
        const int64_t phase = chop_period > 0 ? a.counters[kSweeps] % chop_period + 1 : 0;
        if (a.dynamic) {
            a.event_fresh[events] = a.switched[line];
            a.event_writes[events] = a.counters[kSweeps] > chop_period;
            a.switched[line] = 0;
        }
        ++events;

        const uint64_t read = (uint64_t)a.counters[kReads]++;
        if (chop_period > 0) {
            const bool by_chance = a.in_chop_random && drawn(key, read, 0, a.in_chop_prob);
            const bool by_rule = (a.dynamic || !a.in_chop_random) && phase == chop_period;
            if (by_chance || by_rule) {
                a.in_chop[line] = (int8_t)-a.in_chop[line];
                if (a.x_chopped) in_sign[line] = (float)a.in_chop[line];
                if (a.dynamic) a.switched[line] = 1;
            }
        }
        a.counters[kNextLine] = (line + 1) % lines;
        if (line + 1 < lines) continue;
        ++a.counters[kSweeps];
        if (a.out_chop_prob <= 0) continue;
        for (int64_t i = 0; i < length; ++i)
            if (drawn(key, read, (uint32_t)(i + 1), a.out_chop_prob)) {
                a.out_chop[i] = (int8_t)-a.out_chop[i];
                if (a.x_chopped) out_sign[i] = (float)a.out_chop[i];
            }
    }
    return events;
}

}  // namespace tilewright::TW_ISA
