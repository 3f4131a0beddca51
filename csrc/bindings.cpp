// The compiled module: addresses and sizes in, nothing owned. Shapes and types are checked by tilewright.kernels.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "bindings_arrays.hpp"
#include "bindings_product.hpp"
#include "bindings_transfers.hpp"
#include "bindings_updates.hpp"
#include "dispatch.hpp"
#include "nominal.hpp"
#define TW_ISA portable
#include "random.hpp"
#include "whiten.hpp"

namespace py = pybind11;
using namespace tilewright;

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

    bind_updates(m);

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
