// The module of the kernels for graphics processors: addresses on the device, sizes and a stream in, nothing owned and
// nothing waited for. Built twice: around nvcc's kernels, and around the same kernels run by the host, for tests.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "../bindings_arrays.hpp"
#include "../bindings_transfers.hpp"
#include "entries.hpp"

namespace py = pybind11;
using namespace tilewright;
using namespace tilewright::TW_ISA;

namespace {

// The tables of the step are on the device too.
DeviceArgs on_device(const DeviceArgs& model, const Addresses& arrays, const std::array<uintptr_t, 2>& tables, int64_t rows,
                     int64_t cols) {
    if ((model.shape.n_nodes > 0 && !tables[0]) || (model.shape.n_scores > 0 && !tables[1]))
        throw std::invalid_argument("the tables of this device are not on the graphics processor");
    DeviceArgs a = with_arrays(model, arrays, rows, cols);
    a.shape.nodes = at<const float>(tables[0]);
    a.shape.jumps = at<const float>(tables[1]);
    return a;
}

// One array and one pulse scheme, kept between calls so that a call passes only what changes.
class Updates {
  public:
    Updates(const DeviceArgs& model, const UpdateArgs& settings, int64_t rows, int64_t cols)
        : model_(model), settings_(settings), rows_(rows), cols_(cols) {}

    // Addresses of the array, of its tables, of its pulse counters, of its clock (samples, calls) and of the sums of what
    // was sent.
    void bind(const Addresses& arrays, const std::array<uintptr_t, 2>& tables, uintptr_t pulse_counts,
              uintptr_t clock, uintptr_t counts) {
        job_.array = on_device(model_, arrays, tables, rows_, cols_);
        job_.clock = {at<int64_t>(clock), clock ? at<int64_t>(clock) + 1 : nullptr};
        job_.counts = at<int64_t>(counts);
        settings_.counts = at<int64_t>(pulse_counts);
    }

    // Whether the length of trains depends on the rate.
    bool grows() const { return longest_train(settings_, std::nan("")) == 0; }

    int64_t memory(int64_t samples, double lr) const {
        UpdateArgs u = settings_;
        u.samples = samples;
        return update_memory(u, rows_, cols_, train(lr));
    }

    // `rates` are on the device, one for each sample or one for all; `lr` is then the largest of them, nan where that is not known.
    void run(uintptr_t x, bool x_hot, uintptr_t d, bool d_hot, int64_t samples, uintptr_t rates, bool one_rate, double lr,
             uint64_t seed, const std::array<uintptr_t, 5>& snapshots, int64_t events, bool snapshot_rows, uintptr_t live, uintptr_t memory,
             uintptr_t stream) const {
        py::gil_scoped_release release;
        DeviceUpdate job = job_;
        UpdateArgs& u = job.update = settings_;
        (x_hot ? (void)(u.x_hot = at<const int32_t>(x)) : (void)(u.x = at<const float>(x)));
        (d_hot ? (void)(u.d_hot = at<const int32_t>(d)) : (void)(u.d = at<const float>(d)));
        u.samples = samples;
        u.lr = at<const float>(rates);
        u.lr_uniform = one_rate;
        u.seed = seed;
        u.first_sample = u.call = 0;  // the clock has them
        u.snapshots = events;
        u.snapshot_line = at<const int32_t>(snapshots[0]);
        u.snapshot_after = at<const int32_t>(snapshots[1]);
        u.snapshot_out = at<float>(snapshots[2]);
        u.snapshot_rows = snapshot_rows;
        u.reset_state = at<const float>(snapshots[3]);
        u.reset_visible = at<const float>(snapshots[4]);
        job.lr_value = (float)lr;
        job.live = at<const int64_t>(live);
        job.memory = at<void>(memory);
        update(job, train(lr), at<void>(stream));
    }

  private:
    int64_t train(double lr) const {
        const int64_t longest = longest_train(settings_, lr);
        if (longest == 0)
            throw std::invalid_argument(
                "trains that grow with the learning rate need one rate for all samples on a graphics processor; turn "
                "update_bl_management or fixed_bl on");
        return longest;
    }

    DeviceArgs model_;
    UpdateArgs settings_;
    DeviceUpdate job_;
    int64_t rows_, cols_;
};

// One direction of a tile.
class Reads {
  public:
    Reads(const ReadArgs& io, int64_t rows, int64_t cols, bool transposed, uint64_t seed) {
        ProductArgs& p = job_.product;
        p.io = io;
        p.rows = rows;
        p.cols = cols;
        p.transposed = transposed;
        p.seed = seed;
    }

    void freeze(const std::array<uintptr_t, 5>& values) { tilewright::freeze(job_.product, values); }

    void bind(uintptr_t clock, uintptr_t counts) {
        job_.clock = {at<int64_t>(clock), nullptr};
        job_.counts = at<int64_t>(counts);
    }

    int64_t memory(int64_t samples) const {
        ProductArgs p = job_.product;
        p.samples = samples;
        return product_memory(p);
    }

    void run(uintptr_t weight, uintptr_t x, uintptr_t y, uintptr_t saturated, int64_t samples, bool learn,
             std::array<uintptr_t, 3> per_sample, uintptr_t memory, uintptr_t stream) const {
        py::gil_scoped_release release;
        DeviceProduct job = job_;
        ProductArgs& p = job.product;
        p.weight = at<const float>(weight);
        p.x = at<const float>(x);
        p.y = at<float>(y);
        p.saturated = at<uint8_t>(saturated);
        p.samples = samples;
        p.learn_average = learn;
        p.alpha = at<float>(per_sample[0]);
        p.rho = at<float>(per_sample[1]);
        p.sample_passes = at<int32_t>(per_sample[2]);
        job.memory = at<void>(memory);
        product(job, at<void>(stream));
    }

  private:
    DeviceProduct job_;
};

}  // namespace

PYBIND11_MODULE(TW_MODULE, m) {
    m.doc() = "Kernels for graphics processors; use them through tilewright.kernels.";
    py::module_::import("tilewright._cpu");  // its settings and models are taken here too

    m.def("toolkit", [] { return std::string(TW_TOOLKIT); });
    m.def("architectures", [] { return std::string(TW_ARCHITECTURES); });
    m.def("devices", [] {
        std::vector<std::tuple<std::string, int, int>> found;
        for (const DeviceSeen& device : devices_seen()) found.emplace_back(device.name, device.major, device.minor);
        return found;
    });
    m.def("versions", [] { return std::make_pair(toolkit_version(), driver_version()); });
    m.def("why_no_device", &why_no_device);
    m.def("use_device", &use_device);
    m.def("run_backwards", &run_backwards);

    py::class_<Updates>(m, "Updates", py::module_local())
        .def(py::init<const DeviceArgs&, const UpdateArgs&, int64_t, int64_t>())
        .def("bind", &Updates::bind)
        .def("grows", &Updates::grows)
        .def("memory", &Updates::memory)
        .def("run", &Updates::run);

    py::class_<Reads>(m, "Reads", py::module_local())
        .def(py::init<const ReadArgs&, int64_t, int64_t, bool, uint64_t>())
        .def("freeze", &Reads::freeze)
        .def("bind", &Reads::bind)
        .def("memory", &Reads::memory)
        .def("run", &Reads::run);

    m.def("trace", [](const DeviceArgs& model, const Addresses& arrays, const std::array<uintptr_t, 2>& tables,
                      int64_t devices, uintptr_t pulses, int64_t n_pulses, uintptr_t out, uint64_t seed, int64_t first,
                      uintptr_t stream) {
        py::gil_scoped_release release;
        TraceArgs t;
        t.device = on_device(model, arrays, tables, 1, devices);
        t.pulses = at<const int8_t>(pulses);
        t.n_pulses = n_pulses;
        t.out = at<float>(out);
        t.seed = seed;
        t.first = first;
        trace(t, at<void>(stream));
    });

    m.def("accumulate", [](uintptr_t accumulator, int64_t rows, int64_t cols, uintptr_t x, uintptr_t d, int64_t samples, float lr,
                           uintptr_t rate, uintptr_t stream) {
        py::gil_scoped_release release;
        AccumulateArgs a;
        a.accumulator = at<float>(accumulator);
        a.rows = rows;
        a.cols = cols;
        a.samples = samples;
        a.x = at<const float>(x);
        a.d = at<const float>(d);
        a.lr = lr;
        accumulate(a, at<const float>(rate), at<void>(stream));
    });

    m.def("field", [](uintptr_t out, int64_t rows, int64_t n, uint64_t seed, uint64_t counter, bool uniform, uintptr_t more,
                      uintptr_t stream) {
        py::gil_scoped_release release;
        DeviceField f;
        f.normals = {at<float>(out), rows, n, seed, counter, uniform};
        f.counter = at<const int64_t>(more);
        field(f, at<void>(stream));
    });

    bind_transfers(m);

    m.def("advance", [](uintptr_t clock, int64_t samples, int64_t calls, uintptr_t live, uintptr_t stream) {
        py::gil_scoped_release release;
        advance({at<int64_t>(clock), at<int64_t>(clock) + 1}, samples, calls, at<const int64_t>(live), at<void>(stream));
    });
}
