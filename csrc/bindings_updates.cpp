// Bindings of pulsed updates: a general call, and one for a mini-batch at a time that costs as little as a call can.
#include "bindings_updates.hpp"

#include <pybind11/stl.h>

#include <limits>

#include "array_progress.hpp"
#include "bindings_arrays.hpp"
#include "bound_array.hpp"
#include "dispatch.hpp"

namespace py = pybind11;

namespace tilewright {
namespace {

struct Snapshots {
    int64_t count = 0;
    uintptr_t line = 0, after = 0, out = 0;
    bool rows = false;
    uintptr_t reset_state = 0, reset_visible = 0;
};

UpdateStats run_update(const DeviceArgs& model, const Addresses& arrays, int64_t rows, int64_t cols, const UpdateArgs& settings,
                       uintptr_t x, bool x_hot, uintptr_t d, bool d_hot, int64_t samples, uintptr_t lr, bool lr_uniform,
                       uint64_t seed, uint64_t first_sample, uint64_t call, int threads, const Snapshots& snapshots,
                       uintptr_t counts) {
    py::gil_scoped_release release;
    const DeviceArgs device = with_arrays(model, arrays, rows, cols);
    UpdateArgs u = settings;
    (x_hot ? (void)(u.x_hot = at<const int32_t>(x)) : (void)(u.x = at<const float>(x)));
    (d_hot ? (void)(u.d_hot = at<const int32_t>(d)) : (void)(u.d = at<const float>(d)));
    u.samples = samples;
    u.lr = at<const float>(lr);
    u.lr_uniform = lr_uniform;
    u.seed = seed;
    u.first_sample = first_sample;
    u.call = call;
    u.threads = threads;
    u.snapshots = snapshots.count;
    u.snapshot_line = at<const int32_t>(snapshots.line);
    u.snapshot_after = at<const int32_t>(snapshots.after);
    u.snapshot_out = at<float>(snapshots.out);
    u.snapshot_rows = snapshots.rows;
    u.reset_state = at<const float>(snapshots.reset_state);
    u.reset_visible = at<const float>(snapshots.reset_visible);
    u.counts = at<int64_t>(counts);
    UpdateStats stats;
    u.stats = &stats;
    active_table().update(device, u);
    return stats;
}

// Updates of one array by dense vectors at one rate, straight from the tensors.
class Updates {
  public:
    Updates(const DeviceModel& model, const UpdateArgs& settings, py::dict tensors, BoundArray::Names names, int64_t rows,
            int64_t cols, uint64_t seed, std::shared_ptr<ArrayProgress> progress)
        : model_(model), settings_(settings), array_(model, std::move(tensors), std::move(names), rows, cols),
          progress_(std::move(progress)) {
        settings_.seed = seed;
    }

    // Samples taken; -1, and nothing done, where the tensors are not as the kernels take them.
    int64_t step(py::handle visible, py::handle x, py::handle d, double lr, int threads) {
        TensorView inputs, errors;
        if (!read_matrix(x.ptr(), array_.device().cols, inputs) || !read_matrix(d.ptr(), array_.device().rows, errors)) return -1;
        if (inputs.shape[0] != errors.shape[0] || !array_.look(visible.ptr())) return -1;
        const DeviceArgs device = array_.device();  // a copy: another thread may look next
        const float rate = (float)lr;
        UpdateStats stats;
        UpdateArgs u = settings_;
        u.x = inputs.values();
        u.d = errors.values();
        u.samples = inputs.shape[0];
        u.lr = &rate;
        u.first_sample = (uint64_t)progress_->samples;
        u.call = (uint64_t)progress_->calls + 1;
        u.threads = threads;
        u.counts = array_.counts();
        u.stats = &stats;
        {
            py::gil_scoped_release release;
            active_table().update(device, u);
        }
        progress_->took(stats, u.samples);
        return u.samples;
    }

    // The same for a parameter of torch that keeps in `trusted` what torch's count of changes (`_version`) has to be; -1
    // also where it is not, where the rate is not a positive number, and once the array has moved on to other objects.
    int64_t step_parameter(py::handle parameter, py::handle x, py::handle d, py::handle lr, int threads) {
        if (retired_ || !PyFloat_CheckExact(lr.ptr()) || !unwritten(parameter.ptr())) return -1;
        const double rate = PyFloat_AS_DOUBLE(lr.ptr());
        return rate > 0 && rate <= std::numeric_limits<double>::max() ? step(parameter, x, d, rate, threads) : -1;
    }

    void retire() { retired_ = true; }

  private:
    static bool unwritten(PyObject* parameter) {
        static PyObject* const trusted = PyUnicode_InternFromString("trusted");
        static PyObject* const version = PyUnicode_InternFromString("_version");
        const auto held = py::reinterpret_steal<py::object>(PyObject_GetAttr(parameter, trusted));
        const auto now = held ? py::reinterpret_steal<py::object>(PyObject_GetAttr(parameter, version)) : py::object();
        if (!now) {
            PyErr_Clear();
            return false;
        }
        return PyLong_AsLongLong(held.ptr()) == PyLong_AsLongLong(now.ptr());
    }

    bool retired_ = false;
    DeviceModel model_;  // keeps the tables that the array points to
    UpdateArgs settings_;
    BoundArray array_;
    std::shared_ptr<ArrayProgress> progress_;
};

}  // namespace

void bind_updates(py::module_& m) {
    m.def("read_tensors_through", [](py::capsule interface) { tensors.learn(interface.ptr()); });

    m.def("samples_of", [](py::handle x, int64_t inputs, py::handle d, int64_t outputs) -> int64_t {
        TensorView v, w;
        const bool fit = read_matrix(x.ptr(), inputs, v) && read_matrix(d.ptr(), outputs, w) && v.shape[0] == w.shape[0];
        return fit ? v.shape[0] : -1;
    });

    py::class_<UpdateArgs>(m, "UpdateSettings")
        .def(py::init([](double granularity, int desired_bl, bool fixed_bl, bool length_management, bool balance,
                         double um_grad_scale, float res, float x_res, float d_res, bool sto_round, int kind) {
                 UpdateArgs u;
                 u.granularity = granularity;
                 u.desired_bl = desired_bl;
                 u.fixed_bl = fixed_bl;
                 u.length_management = length_management;
                 u.balance = balance;
                 u.um_grad_scale = um_grad_scale;
                 u.res = res;
                 u.x_res = x_res;
                 u.d_res = d_res;
                 u.sto_round = sto_round;
                 u.kind = static_cast<PulseKind>(kind);
                 return u;
             }),
             py::kw_only(), py::arg("granularity"), py::arg("desired_bl"), py::arg("fixed_bl"), py::arg("length_management"),
             py::arg("balance"), py::arg("um_grad_scale"), py::arg("res"), py::arg("x_res"), py::arg("d_res"),
             py::arg("sto_round"), py::arg("kind"))
        .def_readwrite("raise_only", &UpdateArgs::raise_only);

    py::class_<UpdateStats>(m, "UpdateStats")
        .def_readonly("pulses", &UpdateStats::pulses)
        .def_readonly("truncated", &UpdateStats::truncated)
        .def_readonly("empty", &UpdateStats::empty)
        .def_readonly("slots", &UpdateStats::slots);

    py::class_<Snapshots>(m, "Snapshots")
        .def(py::init<>())
        .def(py::init([](int64_t count, uintptr_t line, uintptr_t after, uintptr_t out, bool rows, uintptr_t reset_state,
                         uintptr_t reset_visible) {
            return Snapshots{count, line, after, out, rows, reset_state, reset_visible};
        }));

    m.def("update", &run_update);

    py::class_<ArrayProgress, std::shared_ptr<ArrayProgress>>(m, "ArrayProgress")
        .def(py::init([](int64_t calls, int64_t samples, int64_t pulses, int64_t truncated, int64_t empty, int64_t slots) {
                 return ArrayProgress{calls, samples, pulses, truncated, empty, slots};
             }),
             py::arg("calls") = 0, py::arg("samples") = 0, py::arg("pulses") = 0, py::arg("truncated") = 0, py::arg("empty") = 0,
             py::arg("slots") = 0)
        .def_readwrite("calls", &ArrayProgress::calls)
        .def_readwrite("samples", &ArrayProgress::samples)
        .def_readonly("pulses", &ArrayProgress::pulses)
        .def_readonly("truncated", &ArrayProgress::truncated)
        .def_readonly("empty", &ArrayProgress::empty)
        .def_readonly("slots", &ArrayProgress::slots)
        .def("took", &ArrayProgress::took)
        .def("__eq__", [](const ArrayProgress& a, const ArrayProgress& b) { return a == b; })
        .def(py::pickle(
            [](const ArrayProgress& p) { return std::array{p.calls, p.samples, p.pulses, p.truncated, p.empty, p.slots}; },
            [](const std::array<int64_t, 6>& p) { return ArrayProgress{p[0], p[1], p[2], p[3], p[4], p[5]}; }));

    py::class_<Updates>(m, "Updates")
        .def(py::init<const DeviceModel&, const UpdateArgs&, py::dict, BoundArray::Names, int64_t, int64_t, uint64_t,
                      std::shared_ptr<ArrayProgress>>())
        .def("step", &Updates::step)
        .def("step_parameter", &Updates::step_parameter)
        .def("retire", &Updates::retire);
}

}  // namespace tilewright
