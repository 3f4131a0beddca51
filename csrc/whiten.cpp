#include "whiten.hpp"

#include <cmath>

namespace tilewright {

double whiten(const RecordNoise& noise, int64_t n, const double* values, double* out, int64_t columns, double* state) {
    double* walk = state;
    double* slow = state + columns;
    for (int64_t j = 0; j < 2 * columns; ++j) state[j] = 0;
    const double fresh = noise.slow_variance * (1 - noise.slow_memory * noise.slow_memory);
    double walk_walk = 0, walk_slow = 0, slow_slow = noise.slow_variance, log_determinant = 0;
    for (int64_t k = 0; k < n; ++k) {
        const double toward_walk = walk_walk + walk_slow, toward_slow = walk_slow + slow_slow;
        const double variance = toward_walk + toward_slow + noise.white_variance;
        const double gain_walk = toward_walk / variance, gain_slow = toward_slow / variance;
        const double scale = 1 / std::sqrt(variance), damping = noise.damping[k], memory = noise.slow_memory;
        log_determinant += std::log(variance);
        for (int64_t j = 0; j < columns; ++j) {
            const double innovation = values[k * columns + j] - walk[j] - slow[j];
            out[k * columns + j] = innovation * scale;
            walk[j] = damping * (walk[j] + gain_walk * innovation);
            slow[j] = memory * (slow[j] + gain_slow * innovation);
        }
        walk_walk = damping * damping * (walk_walk - gain_walk * toward_walk) + noise.kick_variance[k];
        walk_slow = damping * memory * (walk_slow - gain_walk * toward_slow);
        slow_slow = memory * memory * (slow_slow - gain_slow * toward_slow) + fresh;
    }
    return log_determinant;
}

}  // namespace tilewright
