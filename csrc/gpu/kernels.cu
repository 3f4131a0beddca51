// The kernels for graphics processors. The flags matter: no fused multiply-add, and IEEE division and square root.
#include "kernels.hpp"

namespace tilewright::TW_ISA {

std::vector<std::string> device_names() {
    std::vector<std::string> names;
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess) count = 0;
    for (int k = 0; k < count; ++k) {
        cudaDeviceProp properties;
        if (cudaGetDeviceProperties(&properties, k) != cudaSuccess) continue;
        names.push_back(std::string(properties.name) + " (compute capability " + std::to_string(properties.major) + "." +
                        std::to_string(properties.minor) + ")");
    }
    return names;
}

std::string why_no_device() {
    int count = 0;
    const cudaError_t failed = cudaGetDeviceCount(&count);
    if (failed != cudaSuccess) return cudaGetErrorString(failed);
    return count > 0 ? "" : "no CUDA-capable device is detected";
}

void run_backwards(bool) { throw std::logic_error("a graphics processor orders its threads itself"); }

}  // namespace tilewright::TW_ISA
