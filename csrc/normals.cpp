// Rows of random numbers that depend on seed, counter and position alone.
#include "entries.hpp"
#include "random.hpp"

namespace tilewright::TW_ISA {

void normals(const NormalArgs& a) {
    const Key key = make_key(a.seed, kField);
    for (int64_t r = 0; r < a.rows; ++r) {
        float* out = a.out + r * a.n;
        const uint64_t counter = a.counter + (uint64_t)r;
        for (int64_t i = 0; i < a.n; i += 32) {
            const uint32_t block = (uint32_t)(i / 32), high = (uint32_t)((uint64_t)i >> 37);
            if (a.uniform) {
                const Words w = philox(key, lane_index() + splat_u(block * 8), high, counter);
                for (int k = 0; k < 4 && i + k * 8 < a.n; ++k) store_first(out + i + k * 8, unit_uniform(w.w[k]), a.n - i - k * 8);
            } else {
                const NormalBlock block_of = normal_block(key, block, high, counter);
                for (int k = 0; k < 4 && i + k * 8 < a.n; ++k) store_first(out + i + k * 8, block_of.normals[k], a.n - i - k * 8);
            }
        }
    }
}

}  // namespace tilewright::TW_ISA
