// The module of the kernels for graphics processors: addresses on the device, sizes and a stream in, nothing owned and
// nothing waited for. Built twice: around nvcc's kernels, and around the same kernels run by the host, for tests.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <stdexcept>

#include "entries.hpp"

namespace py = pybind11;
using namespace tilewright;
using namespace tilewright::TW_ISA;

namespace {

template <class T>
T* at(uintptr_t address) {
    return reinterpret_cast<T*>(address);
}

Plane plane(intptr_t address) { return {at<const float>((uintptr_t)(address < 0 ? -address : address)), address < 0}; }

// As in the module of the processor: (visible, persistent, up, down, max_bound, min_bound, slope_up, slope_down,
// reference), negative where one value stands for all; then the tables of the step, on the device too.
DeviceArgs with_arrays(const DeviceArgs& model, const std::array<intptr_t, 9>& p, const std::array<uintptr_t, 2>& tables,
                       int64_t rows, int64_t cols) {
    if ((model.shape.n_nodes > 0 && !tables[0]) || (model.shape.n_scores > 0 && !tables[1]))
        throw std::invalid_argument("the tables of this device are not on the graphics processor");
    DeviceArgs a = model;
    a.rows = rows;
    a.cols = cols;
    a.visible = at<float>((uintptr_t)p[0]);
    a.persistent = at<float>((uintptr_t)p[1]);
    a.up = plane(p[2]);
    a.down = plane(p[3]);
    a.max_bound = plane(p[4]);
    a.min_bound = plane(p[5]);
    a.slope_up = plane(p[6]);
    a.slope_down = plane(p[7]);
    a.reference = plane(p[8]);
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
    void bind(const std::array<intptr_t, 9>& arrays, const std::array<uintptr_t, 2>& tables, uintptr_t pulse_counts,
              uintptr_t clock, uintptr_t counts) {
        job_.array = with_arrays(model_, arrays, tables, rows_, cols_);
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

    // Addresses of output noise, nonlinearity, offsets, read asymmetry and the running mean of inputs; 0 when absent.
    void freeze(std::array<uintptr_t, 5> values) {
        ProductArgs& p = job_.product;
        p.io.out_noise_values = at<const float>(values[0]);
        p.io.nonlinearity_values = at<const float>(values[1]);
        p.io.offset_values = at<const float>(values[2]);
        p.io.asymmetry_values = at<const float>(values[3]);
        p.average = at<float>(values[4]);
    }

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
    m.def("devices", &device_names);
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

    m.def("trace", [](const DeviceArgs& model, const std::array<intptr_t, 9>& arrays, const std::array<uintptr_t, 2>& tables,
                      int64_t devices, uintptr_t pulses, int64_t n_pulses, uintptr_t out, uint64_t seed, int64_t first,
                      uintptr_t stream) {
        py::gil_scoped_release release;
        TraceArgs t;
        t.device = with_arrays(model, arrays, tables, 1, devices);
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

    m.def("next_lines", [](uintptr_t counters, int64_t lines, int64_t transfers, int64_t reads, int64_t soonest, int64_t period,
                           uintptr_t line, uintptr_t after, uintptr_t first, uintptr_t stream) {
        py::gil_scoped_release release;
        next_lines({at<int64_t>(counters), lines, transfers, reads, soonest, period, at<int32_t>(line), at<int32_t>(after),
                    at<int64_t>(first)}, at<void>(stream));
    });

    m.def("read_lines", [](const ReadArgs& io, float read_input, int64_t events, int64_t length, uintptr_t lines, uintptr_t out,
                           uint64_t seed, uint64_t first_event, uintptr_t first, uintptr_t stream) {
        py::gil_scoped_release release;
        BufferArgs b;
        b.io = io;
        b.read_input = read_input;
        b.events = events;
        b.length = length;
        b.lines = at<const float>(lines);
        b.pulses = at<float>(out);
        b.seed = seed;
        b.first_event = first_event;
        read_lines(b, at<const int64_t>(first), at<void>(stream));
    });

    m.def("follow", [](const ReadArgs& io, float read_input, int64_t events, int64_t length, uintptr_t lines, uintptr_t line,
                       uintptr_t mean, float mean_rate, int64_t line_stride, int64_t element_stride, uintptr_t frozen,
                       float threshold, uintptr_t out, uint64_t seed, uint64_t first_event, uintptr_t first, uintptr_t stream) {
        py::gil_scoped_release release;
        FollowArgs f;
        BufferArgs& b = f.reads;
        b.io = io;
        b.read_input = read_input;
        b.events = events;
        b.length = length;
        b.lines = at<const float>(lines);
        b.line = at<const int32_t>(line);
        b.mean = at<float>(mean);
        b.mean_rate = mean_rate;
        b.line_stride = line_stride;
        b.element_stride = element_stride;
        b.seed = seed;
        b.first_event = first_event;
        f.frozen = at<const float>(frozen);
        f.threshold = threshold;
        f.out = at<float>(out);
        follow(f, at<const int64_t>(first), at<void>(stream));
    });

    m.def("buffer", [](const ReadArgs& io, float read_input, int64_t events, int64_t length, uintptr_t lines, uintptr_t line,
                       std::array<uintptr_t, 2> signs, uintptr_t buffer_at, int64_t line_stride, int64_t element_stride,
                       uintptr_t gain, float momentum, bool forget, bool restart, int max_pulses, float cap,
                       std::array<uintptr_t, 4> relative, float mean_rate, uintptr_t pulses, uintptr_t sent_event,
                       uintptr_t live, uint64_t seed, uint64_t first_event, uintptr_t first, uintptr_t stream) {
        py::gil_scoped_release release;
        BufferArgs b;
        b.io = io;
        b.read_input = read_input;
        b.events = events;
        b.length = length;
        b.lines = at<const float>(lines);
        b.line = at<const int32_t>(line);
        b.buffer = at<float>(buffer_at);
        b.line_stride = line_stride;
        b.element_stride = element_stride;
        b.gain = at<const float>(gain);
        b.momentum = momentum;
        b.forget = forget;
        b.restart = restart;
        b.line_sign = at<const int8_t>(signs[0]);
        b.out_sign = at<const int8_t>(signs[1]);
        b.reference = at<float>(relative[0]);
        b.mean = at<float>(relative[1]);
        b.fresh = at<const int8_t>(relative[2]);
        b.writes = at<const int8_t>(relative[3]);
        b.mean_rate = mean_rate;
        b.max_pulses = max_pulses;
        b.cap = cap;
        b.pulses = at<float>(pulses);
        b.sent_event = at<int32_t>(sent_event);
        b.seed = seed;
        b.first_event = first_event;
        buffer(b, at<const int64_t>(first), at<int64_t>(live), at<void>(stream));
    });

    m.def("plan_transfers", [](const TransferPlanArgs& settings, uintptr_t x, uintptr_t d, int64_t samples, int64_t inputs,
                               int64_t outputs, int64_t period, double lr, uintptr_t rate, uint64_t seed,
                               std::array<uintptr_t, 5> state,
                               std::array<uintptr_t, 10> results, uintptr_t maxima, uintptr_t first_read, uintptr_t stream) {
        py::gil_scoped_release release;
        TransferPlanArgs t = settings;
        t.x = at<const float>(x);
        t.d = at<const float>(d);
        t.samples = samples;
        t.inputs = inputs;
        t.outputs = outputs;
        t.period = period;
        t.lr = lr;
        t.seed = seed;
        t.counters = at<int64_t>(state[0]);
        t.maxima = at<double>(state[1]);
        t.in_chop = at<int8_t>(state[2]);
        t.out_chop = at<int8_t>(state[3]);
        t.switched = at<int8_t>(state[4]);
        t.fast_lr = at<float>(results[0]);
        t.x_chopped = at<float>(results[1]);
        t.d_chopped = at<float>(results[2]);
        t.event_after = at<int32_t>(results[3]);
        t.event_line = at<int32_t>(results[4]);
        t.event_lr = at<float>(results[5]);
        t.event_sign = at<int8_t>(results[6]);
        t.event_out_sign = at<int8_t>(results[7]);
        t.event_fresh = at<int8_t>(results[8]);
        t.event_writes = at<int8_t>(results[9]);
        TW_ISA::plan_transfers(t, at<const double>(rate), at<float>(maxima), at<int64_t>(first_read), at<void>(stream));
    });

    m.def("carry_memory", [](int64_t rows, int64_t cols) {
        CarryArgs c;
        c.n_rows = rows;
        c.cols = cols;
        return carry_memory(c);
    });
    m.def("carry", [](uintptr_t accumulator, int64_t cols, uintptr_t rows, int64_t n_rows, float step, float most_steps,
                      uintptr_t steps, uintptr_t sent_row, uintptr_t live, uintptr_t memory, uintptr_t stream) {
        py::gil_scoped_release release;
        CarryArgs c;
        c.accumulator = at<float>(accumulator);
        c.cols = cols;
        c.rows = at<const int32_t>(rows);
        c.n_rows = n_rows;
        c.step = step;
        c.most_steps = most_steps;
        c.steps = at<float>(steps);
        c.sent_row = at<int32_t>(sent_row);
        carry(c, at<int64_t>(live), at<void>(memory), at<void>(stream));
    });

    m.def("advance", [](uintptr_t clock, int64_t samples, int64_t calls, uintptr_t live, uintptr_t stream) {
        py::gil_scoped_release release;
        advance({at<int64_t>(clock), at<int64_t>(clock) + 1}, samples, calls, at<const int64_t>(live), at<void>(stream));
    });
}
