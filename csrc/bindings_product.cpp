// Bindings of the analog product: settings of one direction, and that direction of one tile.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <utility>
#include <vector>

#include "bindings_arrays.hpp"
#include "bindings_product.hpp"
#include "dispatch.hpp"
#include "tensor_view.hpp"

namespace py = pybind11;

namespace tilewright {
namespace {

// One direction of a tile, kept between calls so that a call passes only what changes.
class Reads {
  public:
    Reads(const ReadArgs& io, int64_t rows, int64_t cols, bool transposed, uint64_t seed, bool keep_saturated)
        : keep_saturated_(keep_saturated) {
        args_.io = io;
        args_.rows = rows;
        args_.cols = cols;
        args_.transposed = transposed;
        args_.seed = seed;
    }

    void freeze(const std::array<uintptr_t, 5>& values) { tilewright::freeze(args_, values); }

    // Number of outputs that ended at the bound of the ADC.
    int64_t run(uintptr_t weight, uintptr_t x, uintptr_t y, int64_t samples, uint64_t first_sample, int threads, bool learn) {
        return work(at<const float>(weight), at<const float>(x), at<float>(y), samples, first_sample, threads, learn, {0, 0, 0});
    }

    // The same straight from the tensors; -1, and nothing done, where they are not as the kernels take them.
    int64_t product(py::handle weight, py::handle x, py::handle y, uint64_t first_sample, int threads, bool learn) {
        TensorView matrix, in, out;
        const auto [inputs, outputs] = args_.transposed ? std::pair(args_.rows, args_.cols) : std::pair(args_.cols, args_.rows);
        if (!read_matrix(x.ptr(), inputs, in) || !read_matrix(y.ptr(), outputs, out) || in.shape[0] != out.shape[0]) return -1;
        if (!read_matrix(weight.ptr(), args_.cols, matrix) || matrix.shape[0] != args_.rows) return -1;
        return work(matrix.values(), in.values(), out.values(), in.shape[0], first_sample, threads, learn, {0, 0, 0});
    }

    ProductStats observe(uintptr_t weight, uintptr_t x, uintptr_t y, int64_t samples, uint64_t first_sample, int threads,
                         std::array<uintptr_t, 3> per_sample) {
        work(at<const float>(weight), at<const float>(x), at<float>(y), samples, first_sample, threads, false, per_sample);
        return stats_;
    }

    void copy_saturated(uintptr_t out) const { std::memcpy(at<uint8_t>(out), saturated_.data(), held_); }

    ProductStats stats() const { return stats_; }
    int64_t passes() const { return passes_; }

  private:
    int64_t work(const float* weight, const float* x, float* y, int64_t samples, uint64_t first_sample, int threads, bool learn,
                 std::array<uintptr_t, 3> per_sample) {
        py::gil_scoped_release release;
        stats_ = ProductStats();
        ProductArgs p = args_;
        p.weight = weight;
        p.x = x;
        p.y = y;
        p.samples = samples;
        p.first_sample = first_sample;
        p.threads = threads;
        p.learn_average = learn;
        p.alpha = at<float>(per_sample[0]);
        p.rho = at<float>(per_sample[1]);
        p.sample_passes = at<int32_t>(per_sample[2]);
        held_ = (size_t)(samples * (p.transposed ? p.cols : p.rows));
        if (keep_saturated_ && saturated_.size() < held_) saturated_.resize(held_);
        p.saturated = keep_saturated_ ? saturated_.data() : nullptr;
        p.stats = &stats_;
        active_table().product(p);
        passes_ += stats_.passes;
        return stats_.saturated_outputs;
    }

    ProductArgs args_;
    ProductStats stats_;
    int64_t passes_ = 0;  // of all products
    bool keep_saturated_;
    std::vector<uint8_t> saturated_;
    size_t held_ = 0;
};

}  // namespace

void bind_product(py::module_& m) {
    py::class_<ReadArgs>(m, "ReadSettings")
        .def(py::init<>())
        .def_readwrite("inp_bound", &ReadArgs::inp_bound)
        .def_readwrite("dac_step", &ReadArgs::dac_step)
        .def_readwrite("inp_noise", &ReadArgs::inp_noise)
        .def_readwrite("inp_asymmetry", &ReadArgs::inp_asymmetry)
        .def_readwrite("inp_sto_round", &ReadArgs::inp_sto_round)
        .def_readwrite("out_bound", &ReadArgs::out_bound)
        .def_readwrite("adc_step", &ReadArgs::adc_step)
        .def_readwrite("out_noise", &ReadArgs::out_noise)
        .def_readwrite("out_scale", &ReadArgs::out_scale)
        .def_readwrite("out_asymmetry", &ReadArgs::out_asymmetry)
        .def_readwrite("out_sto_round", &ReadArgs::out_sto_round)
        .def_readwrite("nonlinearity_gain", &ReadArgs::nonlinearity_gain)
        .def_readwrite("nm_thres", &ReadArgs::nm_thres)
        .def_readwrite("nm_assumed_wmax", &ReadArgs::nm_assumed_wmax)
        .def_readwrite("nm_decay", &ReadArgs::nm_decay)
        .def_readwrite("zero_silent", &ReadArgs::zero_silent)
        .def_readwrite("max_bm_factor", &ReadArgs::max_bm_factor)
        .def_readwrite("max_bm_res", &ReadArgs::max_bm_res)
        .def_readwrite("test_negative_bound", &ReadArgs::test_negative_bound)
        .def_readwrite("w_noise", &ReadArgs::w_noise)
        .def_readwrite("ir_drop", &ReadArgs::ir_drop)
        .def_readwrite("ir_drop_g_ratio", &ReadArgs::ir_drop_g_ratio)
        .def_readwrite("ir_drop_first", &ReadArgs::ir_drop_first)
        .def_readwrite("v_offset_w_min", &ReadArgs::v_offset_w_min)
        .def_readwrite("r_series", &ReadArgs::r_series)
        .def_readwrite("r_series_cap", &ReadArgs::r_series_cap)
        .def("set_kinds", [](ReadArgs& r, int mode, int noise_management, int bound_management, int weight_noise) {
            r.mode = static_cast<ProductMode>(mode);
            r.noise_management = static_cast<NoiseManagement>(noise_management);
            r.bound_management = static_cast<BoundManagement>(bound_management);
            r.w_noise_kind = static_cast<WeightNoise>(weight_noise);
        });

    py::class_<ProductStats>(m, "ProductStats")
        .def_readonly("passes", &ProductStats::passes)
        .def_readonly("clipped_outputs", &ProductStats::clipped_outputs)
        .def_readonly("clipped_inputs", &ProductStats::clipped_inputs)
        .def_readonly("saturated_outputs", &ProductStats::saturated_outputs)
        .def_readonly("lost_inputs", &ProductStats::lost_inputs);

    py::class_<Reads>(m, "Reads")
        .def(py::init<const ReadArgs&, int64_t, int64_t, bool, uint64_t, bool>())
        .def("freeze", &Reads::freeze)
        .def("run", &Reads::run)
        .def("product", &Reads::product)
        .def("observe", &Reads::observe)
        .def("copy_saturated", &Reads::copy_saturated)
        .def_property_readonly("stats", &Reads::stats)
        .def_property_readonly("passes", &Reads::passes);
}

}  // namespace tilewright
