// Logarithm, exponential and power of eight numbers: polynomials in a fixed order, so that every build gives the same bits.
#pragma once
#include "vector.hpp"

namespace tilewright::TW_ISA {
namespace {

// Natural logarithm of a positive normal number: exponent and a polynomial in the mantissa around 1.
TW_INLINE f8 natural_log(f8 v) {
    const u8 bits = as_bits(v);
    const i8 exponent = ((i8)(bits - 0x3f3504f3u)) >> 23;  // splits at sqrt(1/2): the mantissa is in [0.707, 1.414)
    const f8 m = as_float(bits - ((u8)exponent << 23)) - 1.0f;
    // ln(1 + m) = m - m^2/2 + m^3 p(m); p is a Chebyshev fit on the interval
    f8 p = splat(7.149753891e-02f);
    p = p * m + -1.157120073e-01f;
    p = p * m + 1.166151107e-01f;
    p = p * m + -1.241105068e-01f;
    p = p * m + 1.424993653e-01f;
    p = p * m + -1.666848024e-01f;
    p = p * m + 2.000070748e-01f;
    p = p * m + -2.499998905e-01f;
    p = p * m + 3.333333119e-01f;
    const f8 square = m * m;
    const f8 e = to_float(exponent);
    f8 y = p * m * square;
    y = y + e * 1.428606820e-06f;
    y = y - square * 0.5f;
    return (m + y) + e * 0.693145752f;
}

// Binary logarithm of a positive normal number, right to 2e-7 of itself; the terms pair up, which keeps the chain of
// dependence short.
TW_INLINE f8 binary_log(f8 v) {
    const u8 bits = as_bits(v);
    const i8 exponent = ((i8)(bits - 0x3f3504f3u)) >> 23;  // splits at sqrt(1/2): the mantissa is in [0.707, 1.414)
    const f8 m = as_float(bits - ((u8)exponent << 23)) - 1.0f, m2 = m * m, m4 = m2 * m2;
    // log2(1 + m) / m, a minimax fit
    const f8 low = (m * -7.213528156e-01f + 1.442694902e+00f) + m2 * (m * -3.602396250e-01f + 4.809232354e-01f);
    const f8 high = (m * -2.488768697e-01f + 2.870987058e-01f) + m2 * (m * -1.458116174e-01f + 2.340423316e-01f);
    return m * (low + m4 * high) + to_float(exponent);
}

// 2 to the v, right to 1e-7 of itself. Arguments are limited to where the result is a normal number.
TW_INLINE f8 binary_power(f8 v) {
    v = minimum(maximum(v, splat(-126.0f)), splat(127.0f));
    const f8 n = round_even(v), r = v - n, r2 = r * r;
    // a minimax fit within half a unit
    const f8 low = r * 6.931469440e-01f + 1.0f, middle = r * 5.550713092e-02f + 2.402212024e-01f;
    const f8 high = r * 1.327647129e-03f + 9.675540961e-03f;
    return as_float(as_bits(low + r2 * (middle + r2 * high)) + ((u8)to_int(n) << 23));
}

// Base >= 0 to an exponent; 0 to a positive exponent is 0.
TW_INLINE f8 power(f8 base, f8 exponent) {
    const f8 value = binary_power(exponent * binary_log(maximum(base, splat(1.17549435e-38f))));
    return blend((base <= 0.0f) & (exponent > 0.0f), splat(0.0f), value);
}

}  // namespace
}  // namespace tilewright::TW_ISA
