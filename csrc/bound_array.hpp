// The tensors of an array where its owner keeps them, a dictionary of Python: looked at before each call, since they may
// be replaced or moved at any time, yet without one call of Python.
#pragma once
#include <pybind11/pybind11.h>

#include <array>
#include <vector>

#include "bindings_arrays.hpp"
#include "tensor_view.hpp"

namespace tilewright {

class BoundArray {
  public:
    // Persistent state, the seven parameters in the order of Addresses, counted pulses.
    static constexpr int kTensors = 9;
    using Names = std::array<pybind11::str, kTensors>;

    BoundArray(const DeviceArgs& model, pybind11::dict tensors, Names names, int64_t rows, int64_t cols)
        : device_(with_arrays(model, Addresses{}, rows, cols)), tensors_(std::move(tensors)), names_(std::move(names)) {}

    // Whether the kernels can work on the array as it is: all of it on the CPU, in single precision, without gaps.
    bool look(PyObject* visible) {
        TensorView v;
        if (!read_matrix(visible, device_.cols, v) || v.shape[0] != device_.rows) return false;
        device_.visible = v.values();
        std::array<PyObject*, kTensors> found;
        if (!find(found) && !(locate() && find(found))) return false;
        for (int k = 0; k < kTensors; ++k)
            if (held_[k].ptr() != found[k]) held_[k] = pybind11::reinterpret_borrow<pybind11::object>(found[k]);
        Plane* const planes[] = {&device_.up,       &device_.down,       &device_.max_bound, &device_.min_bound,
                                 &device_.slope_up, &device_.slope_down, &device_.reference};
        for (int k = 0; k < 7; ++k)
            if (!parameter(found[k + 1], *planes[k])) return false;
        Plane state;
        if (!parameter(found[0], state) || (state.data && state.uniform && device_.rows * device_.cols > 1)) return false;
        device_.persistent = const_cast<float*>(state.data);
        return counters(found[kTensors - 1]);
    }

    const DeviceArgs& device() const { return device_; }
    int64_t* counts() const { return counts_; }

  private:
    // Takes the entries of the dictionary from where they were last time, which spares nine searches.
    bool find(std::array<PyObject*, kTensors>& found) const {
        PyObject *key, *value;
        Py_ssize_t place = 0;
        int missing = kTensors;
        for (size_t entry = 0; entry < tensor_at_.size() && PyDict_Next(tensors_.ptr(), &place, &key, &value); ++entry) {
            const int k = tensor_at_[entry];
            if (k < 0) continue;
            if (key != names_[k].ptr()) return false;
            found[k] = value;
            --missing;
        }
        return missing == 0;
    }

    bool locate() {
        PyObject *key, *value;
        Py_ssize_t place = 0;
        tensor_at_.clear();
        int missing = kTensors;
        while (missing > 0 && PyDict_Next(tensors_.ptr(), &place, &key, &value)) {
            tensor_at_.push_back(-1);
            for (int k = 0; k < kTensors; ++k) {
                if (!PyUnicode_Check(key) || PyUnicode_Compare(key, names_[k].ptr()) != 0) continue;
                names_[k] = pybind11::reinterpret_borrow<pybind11::str>(key);
                tensor_at_.back() = k;
                --missing;
            }
        }
        return missing == 0;
    }

    bool parameter(PyObject* tensor, Plane& plane) const {
        plane = Plane{};
        if (tensor == Py_None) return true;
        TensorView v;
        if (!tensors.read(tensor, v) || !v.single_on_cpu()) return false;
        plane.data = v.values();
        plane.uniform = v.numel() == 1;
        return plane.uniform || (v.matrix(device_.cols) && v.shape[0] == device_.rows);
    }

    bool counters(PyObject* tensor) {
        counts_ = nullptr;
        if (tensor == Py_None) return true;
        TensorView v;
        if (!tensors.read(tensor, v) || v.bits != 64 || !v.matrix(device_.cols) || v.shape[0] != device_.rows) return false;
        counts_ = reinterpret_cast<int64_t*>(v.values());
        return true;
    }

    DeviceArgs device_;
    pybind11::dict tensors_;
    Names names_;
    std::array<pybind11::object, kTensors> held_;  // what the kernels work on, should another thread replace it meanwhile
    std::vector<int> tensor_at_;  // of each entry: which tensor it is, or -1
    int64_t* counts_ = nullptr;
};

}  // namespace tilewright
