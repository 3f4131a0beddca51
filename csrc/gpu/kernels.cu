// The kernels for graphics processors. The flags matter: no fused multiply-add, and IEEE division and square root.
#include "kernels.hpp"

namespace tilewright::TW_ISA {
namespace {

// An error that is answered here must not be taken for one of the next launch.
bool failed(cudaError_t answer) {
    if (answer != cudaSuccess) cudaGetLastError();
    return answer != cudaSuccess;
}

}  // namespace

std::vector<DeviceSeen> devices_seen() {
    std::vector<DeviceSeen> devices;
    int count = 0;
    if (failed(cudaGetDeviceCount(&count))) count = 0;
    for (int k = 0; k < count; ++k) {
        cudaDeviceProp properties;
        if (!failed(cudaGetDeviceProperties(&properties, k))) devices.push_back({properties.name, properties.major, properties.minor});
    }
    return devices;
}

int toolkit_version() { return CUDART_VERSION; }

int driver_version() {
    int version = 0;
    return failed(cudaDriverGetVersion(&version)) ? 0 : version;
}

std::string why_no_device() {
    int count = 0;
    const cudaError_t answer = cudaGetDeviceCount(&count);
    if (failed(answer)) return cudaGetErrorString(answer);
    return count > 0 ? "" : "no CUDA-capable device is detected";
}

void use_device(int device) {
    const cudaError_t answer = cudaSetDevice(device);
    if (failed(answer)) throw std::runtime_error(std::string("cuda:") + std::to_string(device) + ": " + cudaGetErrorString(answer));
}

void run_backwards(bool) { throw std::logic_error("a graphics processor orders its threads itself"); }

}  // namespace tilewright::TW_ISA
