#define TW_ISA portable
#include "nominal.hpp"

#include "devices.hpp"

namespace tilewright {
namespace {

template <class Device>
void respond(const TW_ISA::Crosspoints<double>& nominal, const StepShape<double>& shape, const int8_t* pulses, int64_t n,
             double start, double* out) {
    TW_ISA::Crosspoints<double> c = nominal;
    c.state = start;
    out[0] = start;
    for (int64_t k = 0; k < n; ++k) {
        const bool up = pulses[k] > 0;
        for (int count = up ? pulses[k] : -pulses[k]; count > 0; --count) c.state = TW_ISA::quiet_pulse<Device>(c, up, shape);
        out[k + 1] = c.state;
    }
}

}  // namespace

void nominal_response(const NominalDevice& d, const int8_t* pulses, int64_t n, double start, double* out) {
    const double range = d.max_bound - d.min_bound;
    TW_ISA::Crosspoints<double> c{start,        d.up,         d.down, d.max_bound, d.min_bound, d.slope_up,
                                  d.slope_down, range > 0 ? 1 / range : 0};
    switch (d.kind) {
        case DeviceKind::ConstantStep: return respond<TW_ISA::ConstantStep>(c, d.shape, pulses, n, start, out);
        case DeviceKind::ExpStep: return respond<TW_ISA::ExpStep>(c, d.shape, pulses, n, start, out);
        case DeviceKind::PowStep: return respond<TW_ISA::PowStep>(c, d.shape, pulses, n, start, out);
        case DeviceKind::TableStep: return respond<TW_ISA::TableStep<false>>(c, d.shape, pulses, n, start, out);
        case DeviceKind::SoftBounds:
            c.slope_up = d.max_bound > 0 ? 1 / d.max_bound : 0;
            c.slope_down = d.min_bound < 0 ? 1 / d.min_bound : 0;
            [[fallthrough]];
        case DeviceKind::LinearStep: return respond<TW_ISA::LinearStep>(c, d.shape, pulses, n, start, out);
    }
}

}  // namespace tilewright
