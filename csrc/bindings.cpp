// The compiled module: addresses and sizes in, nothing owned. Shapes and types are checked by tilewright.kernels.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "bindings_arrays.hpp"
#include "bindings_product.hpp"
#include "bindings_transfers.hpp"
#include "dispatch.hpp"
#include "nominal.hpp"
#define TW_ISA portable
#include "random.hpp"
#include "whiten.hpp"

namespace py = pybind11;
using namespace tilewright;

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

// One array and one pulse scheme, kept between calls so that a call passes only what changes.
class Updates {
  public:
    Updates(const DeviceModel& model, const UpdateArgs& settings, int64_t rows, int64_t cols)
        : model_(model), settings_(settings), device_(with_arrays(model, Addresses{}, rows, cols)) {}

    // Addresses as for run_update, then of the counters.
    void bind(const Addresses& arrays, uintptr_t counts) {
        device_ = with_arrays(model_, arrays, device_.rows, device_.cols);
        settings_.counts = at<int64_t>(counts);
    }

    UpdateStats run(uintptr_t x, uintptr_t d, int64_t samples, float lr, uint64_t seed, uint64_t first_sample, uint64_t call,
                    int threads) const {
        py::gil_scoped_release release;
        UpdateArgs u = settings_;
        u.x = at<const float>(x);
        u.d = at<const float>(d);
        u.samples = samples;
        u.lr = &lr;
        u.seed = seed;
        u.first_sample = first_sample;
        u.call = call;
        u.threads = threads;
        UpdateStats stats;
        u.stats = &stats;
        active_table().update(device_, u);
        return stats;
    }

  private:
    DeviceModel model_;
    UpdateArgs settings_;
    DeviceArgs device_;
};

}  // namespace

PYBIND11_MODULE(_cpu, m) {
    m.doc() = "Compiled kernels; use them through tilewright.kernels.";

    m.def("instruction_sets", [] {
        std::vector<std::string> names;
        for (const KernelTable* table : runnable_tables()) names.emplace_back(table->name);
        return names;
    });
    m.def("instruction_set", [] { return std::string(active_table().name); });
    m.def("compiler", [] { return std::string(TW_COMPILER); });
    m.def("openmp", [] {
#if defined(_OPENMP)
        return true;
#else
        return false;
#endif
    });
    m.def("mix", [](uint64_t a, uint64_t b) { return portable::mix(a ^ portable::mix(b)); });

    py::class_<Shape, std::shared_ptr<Shape>>(m, "StepShape")
        .def(py::init([](double slope, double offset, double amplitude_up, double amplitude_down, double rate_up,
                         double rate_down, double noise_add, double noise_slope, std::vector<double> nodes,
                         std::vector<float> jumps, int n_scores, double score_span) {
                 auto s = std::make_shared<Shape>();
                 s->nodes = std::move(nodes);
                 s->node_values.assign(s->nodes.begin(), s->nodes.end());
                 s->jumps = std::move(jumps);
                 s->exact = {slope, offset, amplitude_up, amplitude_down, rate_up, rate_down, noise_add, noise_slope};
                 s->exact.nodes = s->nodes.data();
                 s->exact.n_nodes = (int)(s->nodes.size() / 2);
                 s->exact.n_scores = n_scores;
                 s->exact.score_span = score_span;
                 if (s->nodes.size() % 2 || s->jumps.size() != s->nodes.size() * (size_t)n_scores || n_scores == 1 ||
                     s->nodes.size() == 2)
                     throw std::invalid_argument("tables need at least two nodes each way, and none or two scores for each");
                 return s;
             }),
             py::kw_only(), py::arg("slope") = 0, py::arg("offset") = 0, py::arg("amplitude_up") = 0,
             py::arg("amplitude_down") = 0, py::arg("rate_up") = 0, py::arg("rate_down") = 0, py::arg("noise_add") = 0,
             py::arg("noise_slope") = 0, py::arg("nodes") = std::vector<double>{}, py::arg("jumps") = std::vector<float>{},
             py::arg("n_scores") = 0, py::arg("score_span") = 1);

    py::class_<DeviceArgs>(m, "DeviceArguments");
    py::class_<DeviceModel, DeviceArgs>(m, "DeviceModel")
        .def(py::init([](int kind, bool mult_noise, float cycle_noise, float write_noise, std::shared_ptr<Shape> shape) {
                 DeviceModel a;
                 a.kind = static_cast<DeviceKind>(kind);
                 a.mult_noise = mult_noise;
                 a.cycle_noise = cycle_noise;
                 a.write_noise = write_noise;
                 a.shape = shape->single();
                 a.tables = std::move(shape);
                 if (a.kind == DeviceKind::TableStep && a.shape.n_nodes < 2)
                     throw std::invalid_argument("a tabulated step needs a table");
                 return a;
             }),
             py::kw_only(), py::arg("kind"), py::arg("mult_noise"), py::arg("cycle_noise"), py::arg("write_noise"),
             py::arg("shape"))
        .def("tables", [](const DeviceModel& a) { return std::make_pair(a.tables->node_values, a.tables->jumps); });

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

    py::class_<Updates>(m, "Updates")
        .def(py::init<const DeviceModel&, const UpdateArgs&, int64_t, int64_t>())
        .def("bind", &Updates::bind)
        .def("run", &Updates::run);

    m.def("trace", [](const DeviceArgs& model, const Addresses& arrays, int64_t devices, uintptr_t pulses, int64_t n_pulses,
                      uintptr_t out, uint64_t seed, int64_t first, int threads) {
        py::gil_scoped_release release;
        TraceArgs t;
        t.device = with_arrays(model, arrays, 1, devices);
        t.pulses = at<const int8_t>(pulses);
        t.n_pulses = n_pulses;
        t.out = at<float>(out);
        t.seed = seed;
        t.first = first;
        t.threads = threads;
        active_table().trace(t);
    });

    m.def("nominal_response", [](int kind, const Shape& shape, double up, double down, double max_bound, double min_bound,
                                 double slope_up, double slope_down, uintptr_t pulses, int64_t n, double start, uintptr_t out) {
        py::gil_scoped_release release;
        const NominalDevice device{static_cast<DeviceKind>(kind), up,         down,       max_bound, min_bound,
                                   slope_up,                      slope_down, shape.exact};
        nominal_response(device, at<const int8_t>(pulses), n, start, at<double>(out));
    });

    m.def("whiten", [](uintptr_t damping, uintptr_t kick_variance, double slow_memory, double slow_variance, double white_variance,
                       int64_t n, uintptr_t values, uintptr_t out, int64_t columns) {
        py::gil_scoped_release release;
        std::vector<double> state((size_t)(2 * columns));
        const RecordNoise noise{at<const double>(damping), at<const double>(kick_variance), slow_memory, slow_variance, white_variance};
        return whiten(noise, n, at<const double>(values), at<double>(out), columns, state.data());
    });

    bind_product(m);

    bind_transfers(m);

    m.def("accumulate", [](uintptr_t accumulator, int64_t rows, int64_t cols, uintptr_t x, uintptr_t d, int64_t samples, float lr,
                          int threads) {
        py::gil_scoped_release release;
        AccumulateArgs a;
        a.accumulator = at<float>(accumulator);
        a.rows = rows;
        a.cols = cols;
        a.samples = samples;
        a.x = at<const float>(x);
        a.d = at<const float>(d);
        a.lr = lr;
        a.threads = threads;
        active_table().accumulate(a);
    });

    m.def("carry", [](uintptr_t accumulator, int64_t cols, uintptr_t rows, int64_t n_rows, float step, float most_steps,
                      uintptr_t steps, uintptr_t sent_row) {
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
        return active_table().carry(c);
    });

    m.def("rate", [](int kind, uintptr_t buffer, int64_t n) {
        py::gil_scoped_release release;
        return active_table().rate({(RateKind)kind, at<float>(buffer), n});
    });

    m.def("normals", [](uintptr_t out, int64_t rows, int64_t n, uint64_t seed, uint64_t counter, bool uniform) {
        py::gil_scoped_release release;
        NormalArgs a;
        a.out = at<float>(out);
        a.rows = rows;
        a.n = n;
        a.seed = seed;
        a.counter = counter;
        a.uniform = uniform;
        active_table().normals(a);
    });
}
