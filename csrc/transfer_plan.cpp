#define TW_ISA portable
#include "transfer_plan.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "random.hpp"

namespace tilewright {
namespace {

enum Counter { kVectors = 0, kNextLine = 1, kSweeps = 2, kReads = 3 };

void follow(double& mean, double value, double rate) {
    if (mean <= 0) mean = value;
    else if (value > 0) mean = (1 - rate) * mean + rate * value;
}

bool drawn(uint64_t seed, uint64_t read, uint32_t which, double probability) {
    const auto key = TW_ISA::make_key(seed, TW_ISA::kField);
    return (double)TW_ISA::philox_single(key, which, 1, read) * 0x1p-32 < probability;
}

void write_chopped(const float* from, const std::vector<float>& signs, float* to) {
    for (size_t i = 0; i < signs.size(); ++i) to[i] = from[i] * signs[i];
}

}  // namespace

int64_t plan_transfers(const TransferPlanArgs& a) {
    const int64_t lines = a.columns ? a.inputs : a.outputs, length = a.columns ? a.outputs : a.inputs;
    const double rate = (1 - a.auto_momentum) / (double)(a.samples > 0 ? a.samples : 1);
    const int64_t chop_period = a.in_chop_prob > 0 ? std::max<int64_t>((int64_t)std::ceil(1 / a.in_chop_prob), 2) : 0;
    // The choppers as factors, where there are any: a plan that never reads may come without.
    std::vector<float> in_sign, out_sign;
    if (a.x_chopped) {
        in_sign.assign(a.in_chop, a.in_chop + lines);
        out_sign.assign(a.out_chop, a.out_chop + length);
    }
    int64_t events = 0;
    for (int64_t s = 0; s < a.samples; ++s) {
        const float* x = a.x + s * a.inputs;
        const float* d = a.d + s * a.outputs;
        double lr = a.lr;
        if (a.auto_scale) {
            follow(a.maxima[0], TW_ISA::absolute_maximum(x, a.inputs), rate);
            follow(a.maxima[1], TW_ISA::absolute_maximum(d, a.outputs), rate);
            lr *= a.largest_step;
            if (a.maxima[0] > 0 && a.maxima[1] > 0) lr /= a.maxima[0] * a.maxima[1];
        }
        a.fast_lr[s] = (float)lr;
        if (a.x_chopped) {
            write_chopped(x, a.columns ? in_sign : out_sign, a.x_chopped + s * a.inputs);
            write_chopped(d, a.columns ? out_sign : in_sign, a.d_chopped + s * a.outputs);
        }
        if (++a.counters[kVectors] % a.period != 0) continue;

        const int64_t line = a.counters[kNextLine];
        a.event_after[events] = (int32_t)s;
        a.event_line[events] = (int32_t)line;
        a.event_lr[events] = (float)lr;
        a.event_sign[events] = a.in_chop[line];
        for (int64_t i = 0; i < length; ++i) a.event_out_sign[events * length + i] = a.out_chop[i];
        const int64_t phase = chop_period > 0 ? a.counters[kSweeps] % chop_period + 1 : 0;
        if (a.dynamic) {
            a.event_fresh[events] = a.switched[line];
            a.event_writes[events] = a.counters[kSweeps] > chop_period;
            a.switched[line] = 0;
        }
        ++events;

        const uint64_t read = (uint64_t)a.counters[kReads]++;
        if (chop_period > 0) {
            const bool by_chance = a.in_chop_random && drawn(a.seed, read, 0, a.in_chop_prob);
            const bool by_rule = (a.dynamic || !a.in_chop_random) && phase == chop_period;
            if (by_chance || by_rule) {
                a.in_chop[line] = (int8_t)-a.in_chop[line];
                if (a.x_chopped) in_sign[(size_t)line] = (float)a.in_chop[line];
                if (a.dynamic) a.switched[line] = 1;
            }
        }
        a.counters[kNextLine] = (line + 1) % lines;
        if (line + 1 < lines) continue;
        ++a.counters[kSweeps];
        if (a.out_chop_prob <= 0) continue;
        for (int64_t i = 0; i < length; ++i)
            if (drawn(a.seed, read, (uint32_t)(i + 1), a.out_chop_prob)) {
                a.out_chop[i] = (int8_t)-a.out_chop[i];
                if (a.x_chopped) out_sign[(size_t)i] = (float)a.out_chop[i];
            }
    }
    return events;
}

}  // namespace tilewright
