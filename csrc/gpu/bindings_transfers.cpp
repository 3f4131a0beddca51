// Bindings of what transfer cells and mixed precision do on a graphics processor with single lines and rows.
#include "../bindings_transfers.hpp"

#include <pybind11/stl.h>

#include <array>

#include "../bindings_lines.hpp"
#include "entries.hpp"

namespace py = pybind11;

namespace tilewright {

using namespace TW_ISA;

void bind_transfers(py::module_& m) {
    m.def("next_lines", [](uintptr_t counters, int64_t array, int64_t vectors, int64_t lines, int64_t transfers, int64_t reads,
                           int64_t soonest, int64_t period, uintptr_t line, uintptr_t after, uintptr_t first, uintptr_t stream) {
        py::gil_scoped_release release;
        int64_t* const all = at<int64_t>(counters);
        next_lines({all, vectors, all + 1 + 3 * array, lines, transfers, reads, soonest, period, at<int32_t>(line),
                    at<int32_t>(after), at<int64_t>(first)}, at<void>(stream));
    });

    m.def("read_lines", [](const ReadArgs& io, float read_input, int64_t events, int64_t length, uintptr_t lines, uintptr_t out,
                           uint64_t seed, uint64_t first_event, uintptr_t first, uintptr_t stream) {
        py::gil_scoped_release release;
        BufferArgs b = read_lines_args(io, read_input, events, length, lines, seed, first_event);
        b.pulses = at<float>(out);
        read_lines(b, at<const int64_t>(first), at<void>(stream));
    });

    m.def("follow", [](const ReadArgs& io, float read_input, int64_t events, int64_t length, uintptr_t lines, uintptr_t line,
                       uintptr_t mean, float mean_rate, int64_t line_stride, int64_t element_stride, uintptr_t frozen,
                       float threshold, uintptr_t out, uint64_t seed, uint64_t first_event, uintptr_t first, uintptr_t stream) {
        py::gil_scoped_release release;
        follow(follow_args(read_lines_args(io, read_input, events, length, lines, seed, first_event),
                           {line, mean, line_stride, element_stride}, mean_rate, frozen, threshold, out),
               at<const int64_t>(first), at<void>(stream));
    });

    m.def("buffer_memory", [](int64_t events, int64_t length) { return buffer_memory(events, length); });
    m.def("buffer", [](const ReadArgs& io, float read_input, int64_t events, int64_t length, uintptr_t lines, uintptr_t line,
                       std::array<uintptr_t, 2> signs, uintptr_t buffer_at, int64_t line_stride, int64_t element_stride,
                       uintptr_t gain, float momentum, bool forget, bool restart, int max_pulses, float cap,
                       std::array<uintptr_t, 4> relative, float mean_rate, uintptr_t pulses, uintptr_t sent_event,
                       uintptr_t live, uint64_t seed, uint64_t first_event, uintptr_t first, uintptr_t memory, uintptr_t stream) {
        py::gil_scoped_release release;
        BufferArgs b = buffer_args(read_lines_args(io, read_input, events, length, lines, seed, first_event),
                                   {line, buffer_at, line_stride, element_stride}, gain, {momentum, forget, max_pulses, cap},
                                   pulses, sent_event);
        b.restart = restart;
        b.line_sign = at<const int8_t>(signs[0]);
        b.out_sign = at<const int8_t>(signs[1]);
        b.reference = at<float>(relative[0]);
        b.mean = at<float>(relative[1]);
        b.fresh = at<const int8_t>(relative[2]);
        b.writes = at<const int8_t>(relative[3]);
        b.mean_rate = mean_rate;
        buffer(b, at<const int64_t>(first), at<int64_t>(live), at<void>(memory), at<void>(stream));
    });

    m.def("plan_transfers", [](const TransferPlanArgs& settings, uintptr_t x, uintptr_t d, int64_t samples, int64_t inputs,
                               int64_t outputs, int64_t period, double lr, uintptr_t rate, uint64_t seed,
                               std::array<uintptr_t, 5> state,
                               std::array<uintptr_t, 10> results, int64_t events, uintptr_t maxima, uintptr_t before, uintptr_t stream) {
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
        TW_ISA::plan_transfers(t, at<const double>(rate), events, at<float>(maxima), at<int64_t>(before), at<void>(stream));
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
}

}  // namespace tilewright
