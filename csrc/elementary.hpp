// Logarithm, exponential and power of all lanes: polynomials in a fixed order, so that every build gives the same bits.
#pragma once
#include "lanes.hpp"

namespace tilewright::TW_ISA {
namespace {

// Natural logarithm of a positive normal number: exponent and a polynomial in the mantissa around 1.
template <class V>
TW_INLINE V natural_log(V v) {
    using Bits = typename LaneTypes<V>::Bits;
    using Whole = typename LaneTypes<V>::Whole;
    const Bits bits = as_bits(v);
    const Whole exponent = ((Whole)(bits - 0x3f3504f3u)) >> 23;  // splits at sqrt(1/2): the mantissa is in [0.707, 1.414)
    const V m = as_float(bits - ((Bits)exponent << 23)) - 1.0f;
    // ln(1 + m) = m - m^2/2 + m^3 p(m); p is a Chebyshev fit on the interval
    V p = V{} + 7.149753891e-02f;
    p = p * m + -1.157120073e-01f;
    p = p * m + 1.166151107e-01f;
    p = p * m + -1.241105068e-01f;
    p = p * m + 1.424993653e-01f;
    p = p * m + -1.666848024e-01f;
    p = p * m + 2.000070748e-01f;
    p = p * m + -2.499998905e-01f;
    p = p * m + 3.333333119e-01f;
    const V square = m * m;
    const V e = to_float(exponent);
    V y = p * m * square;
    y = y + e * 1.428606820e-06f;
    y = y - square * 0.5f;
    return (m + y) + e * 0.693145752f;
}

template <class V>
TW_INLINE V line_of(V v, float slope, float offset) {
    return fused(v, V{} + slope, V{} + offset);
}

// Binary logarithm of a positive normal number, right to 2e-7 of itself; of 0, -127. The terms pair up, which keeps the chain
// of dependence short.
template <class V>
TW_FUSED_INLINE V binary_log(V v) {
    using Bits = typename LaneTypes<V>::Bits;
    using Whole = typename LaneTypes<V>::Whole;
    const Bits bits = as_bits(v);
    const Whole exponent = ((Whole)(bits - 0x3f3504f3u)) >> 23;  // splits at sqrt(1/2): the mantissa is in [0.707, 1.414)
    const V m = as_float(bits - ((Bits)exponent << 23)) - 1.0f, m2 = m * m, m4 = m2 * m2;
    // log2(1 + m) / m, a minimax fit
    const V low = fused(m2, line_of(m, -3.602396250e-01f, 4.809232354e-01f), line_of(m, -7.213528156e-01f, 1.442694902e+00f));
    const V high = fused(m2, line_of(m, -1.458116174e-01f, 2.340423316e-01f), line_of(m, -2.488768697e-01f, 2.870987058e-01f));
    return fused(m, fused(m4, high, low), to_float(exponent));
}

// 2 to the v, right to 1e-7 of itself. Arguments are limited to where the result is a normal number.
template <class V>
TW_FUSED_INLINE V binary_power(V v) {
    using Bits = typename LaneTypes<V>::Bits;
    v = minimum(maximum(v, V{} + -126.0f), V{} + 127.0f);
    const V n = round_even(v), r = v - n, r2 = r * r;
    // a minimax fit within half a unit
    const V low = line_of(r, 6.931469440e-01f, 1.0f), middle = line_of(r, 5.550713092e-02f, 2.402212024e-01f);
    const V high = line_of(r, 1.327647129e-03f, 9.675540961e-03f);
    return as_float(as_bits(fused(r2, fused(r2, high, middle), low)) + ((Bits)to_int(n) << 23));
}

// Base >= 0 to an exponent; 0 to a positive exponent is 0.
template <class V>
TW_INLINE V power(V base, V exponent) {
    const V value = binary_power(exponent * binary_log(base));
    return blend((base <= 0.0f) & (exponent > 0.0f), V{}, value);
}

}  // namespace
}  // namespace tilewright::TW_ISA
