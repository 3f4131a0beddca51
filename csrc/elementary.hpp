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

// e to the v. Arguments are limited to where the result is a normal number.
TW_INLINE f8 exponential(f8 v) {
    v = minimum(maximum(v, splat(-87.0f)), splat(88.0f));
    const f8 n = round_even(v * 1.442695041f);
    const f8 r = (v - n * 0.693145752f) - n * 1.428606820e-06f;  // within half of ln 2
    f8 p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    const f8 m = p * (r * r) + r + 1.0f;
    return as_float(as_bits(m) + ((u8)to_int(n) << 23));
}

// Base >= 0 to an exponent; 0 to a positive exponent is 0.
TW_INLINE f8 power(f8 base, f8 exponent) {
    const f8 value = exponential(exponent * natural_log(maximum(base, splat(1.17549435e-38f))));
    return blend((base <= 0.0f) & (exponent > 0.0f), splat(0.0f), value);
}

}  // namespace
}  // namespace tilewright::TW_ISA
