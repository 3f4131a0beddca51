// What a torch tensor holds, without linking torch: by the C interface for exchanging tensors, DLPack 1.x, that torch
// offers as `torch.Tensor.__dlpack_c_exchange_api__` from release 2.10 on.
#pragma once
#include <Python.h>

#include <cstdint>

namespace tilewright {

// Laid out as the interface says (dmlc.github.io/dlpack, "C API").
struct TensorView {
    void* data = nullptr;
    int32_t device_type = 0, device_id = 0;
    int32_t dimensions = 0;
    uint8_t type_code = 0, bits = 0;
    uint16_t lanes = 0;
    int64_t* shape = nullptr;
    int64_t* strides = nullptr;
    uint64_t byte_offset = 0;

    float* values() const { return reinterpret_cast<float*>(static_cast<char*>(data) + byte_offset); }

    bool single_on_cpu() const {
        constexpr int32_t kCpu = 1;
        constexpr uint8_t kFloat = 2;
        return device_type == kCpu && type_code == kFloat && bits == 32 && lanes == 1;
    }

    int64_t numel() const {
        int64_t n = 1;
        for (int32_t k = 0; k < dimensions; ++k) n *= shape[k];
        return n;
    }

    // (rows, cols) without gaps; the stride of a dimension of one element says nothing.
    bool matrix(int64_t cols) const {
        return dimensions == 2 && shape[1] == cols && (cols == 1 || strides[1] == 1) && (shape[0] <= 1 || strides[0] == cols);
    }
};

class TensorReader {
  public:
    // `capsule`: what torch offers; without it, or where it is of another major version, no tensor can be read.
    void learn(PyObject* capsule) {
        struct Interface {
            uint32_t major, minor;
            Interface* older;
            void *allocate, *take, *give;
            int (*look)(void*, TensorView*);
        };
        auto* found = static_cast<Interface*>(PyCapsule_GetPointer(capsule, "dlpack_exchange_api"));
        if (found == nullptr) PyErr_Clear();
        while (found && found->major != 1) found = found->older;
        look_ = found ? found->look : nullptr;
    }

    bool ready() const { return look_ != nullptr; }

    // Looks at a tensor without holding it; false where it is no tensor with memory of its own.
    bool read(PyObject* tensor, TensorView& out) const {
        if (look_(tensor, &out) == 0) return true;
        PyErr_Clear();
        return false;
    }

  private:
    int (*look_)(void*, TensorView*) = nullptr;
};

inline TensorReader tensors;  // learnt once, when the package is imported

// Looks at a matrix of single numbers on the CPU, (any, cols) without gaps; false where it is none.
inline bool read_matrix(PyObject* tensor, int64_t cols, TensorView& out) {
    return tensors.ready() && tensors.read(tensor, out) && out.single_on_cpu() && out.matrix(cols);
}

}  // namespace tilewright
