// Takes the correlation out of residuals: a Kalman filter whose noise is what a noisy device and its read-out add.
#pragma once
#include <cstdint>

namespace tilewright {

// Noise of one record: a walk that every pulse kicks and the device damps, read noise with memory, and white noise.
struct RecordNoise {
    const double* damping;        // (n) part of the walk that outlives pulse k
    const double* kick_variance;  // (n) variance that pulse k adds to it
    double slow_memory;           // part of the slow read noise that outlives a pulse
    double slow_variance;
    double white_variance;
};

// Writes the scaled innovations of each column, (n, columns) row by row: the columns divided by a root of the covariance.
// Returns the logarithm of the determinant of that covariance. Room for 2 * columns numbers is needed at `state`.
double whiten(const RecordNoise& noise, int64_t n, const double* values, double* out, int64_t columns, double* state);

}  // namespace tilewright
