// From learning rate to train length and pulse probabilities, sample by sample.
#pragma once
#include "kernel_table.hpp"
#include "lanes.hpp"

namespace tilewright::TW_ISA {

// Train length and the factors that turn errors (a) and inputs (b) into pulse probabilities.
struct Schedule {
    int bl = 0;
    float a = 0, b = 0;
    bool truncated = false;
};

namespace {

// The next whole number, where single-precision inputs that mean a whole number count as that number.
TW_INLINE double whole_pulses(double asked) { return __builtin_ceil(asked * (1 - 1e-6)); }

TW_INLINE Schedule schedule(const UpdateArgs& u, double lr, double x_max, double d_max) {
    Schedule s;
    lr = __builtin_fabs(lr);
    if (lr == 0) return s;
    const double g = u.granularity;
    double a = 1, b = 1;
    int64_t bl = u.desired_bl;
    if (u.fixed_bl || u.length_management || g * u.desired_bl >= lr) {
        a = b = __builtin_sqrt(lr / (g * (double)bl));
    } else {
        bl = (int64_t)whole_pulses(lr / g);
        if (bl < 1) bl = 1;
    }
    const double asked = lr * x_max * u.um_grad_scale * d_max / g;
    s.truncated = asked > u.desired_bl;
    if (u.length_management || u.balance) {
        if (x_max == 0 || d_max == 0) return s;
        double dv = u.um_grad_scale * d_max;
        if (u.length_management) {
            const double wanted = whole_pulses(asked);
            bl = wanted < u.desired_bl ? (int64_t)wanted : u.desired_bl;
            if (bl < 1) bl = 1;
            a = b = __builtin_sqrt(lr / (g * (double)bl));
        }
        if (asked > u.desired_bl) dv *= u.desired_bl / asked;
        a *= __builtin_sqrt(x_max / dv);
        b *= __builtin_sqrt(dv / x_max);
    }
    s.bl = (int)bl;
    s.a = (float)a;
    s.b = (float)b;
    return s;
}

}  // namespace
}  // namespace tilewright::TW_ISA
