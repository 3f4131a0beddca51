// Bindings of reads of single lines, and of what transfer cells do with them.
#include "bindings_transfers.hpp"

#include <pybind11/stl.h>

#include <tuple>

#include "bindings_lines.hpp"
#include "dispatch.hpp"
#include "line_transfer.hpp"

namespace py = pybind11;

namespace tilewright {
namespace {

// Seed, number of the next vector and number of the next call of an array.
using Place = std::array<uint64_t, 3>;

void put_at(UpdateArgs& u, const Place& place, int threads, UpdateStats& stats) {
    u.seed = place[0];
    u.first_sample = place[1];
    u.call = place[2];
    u.threads = threads;
    u.stats = &stats;
}

// One cell with a fast array, a buffer and a slow array, kept between calls so that a call passes only what changes.
class BufferedTransfers {
  public:
    BufferedTransfers(const TransferPlanArgs& plan, bool chopped, int64_t rows, int64_t cols, const DeviceModel& fast,
                      const DeviceModel& slow, const UpdateArgs& fast_settings, const UpdateArgs& slow_settings, float slow_lr,
                      const ReadArgs& io, float read_input, float momentum, bool forget, bool restart, int max_pulses,
                      float cap, float mean_rate)
        : fast_(fast), slow_(slow), rows_(rows), cols_(cols) {
        args_.plan = plan;
        args_.plan.inputs = cols;
        args_.plan.outputs = rows;
        args_.chopped = chopped;
        args_.fast_update = fast_settings;
        args_.slow_update = slow_settings;
        args_.slow_lr = slow_lr;
        BufferArgs& reads = args_.reads;
        reads.io = io;
        reads.read_input = read_input;
        reads.momentum = momentum;
        reads.forget = forget;
        reads.restart = restart;
        reads.max_pulses = max_pulses;
        reads.cap = cap;
        reads.mean_rate = mean_rate;
    }

    // Addresses of both arrays and of their counters, then of (counters, maxima, in_chop, out_chop, switched, buffer,
    // reference, mean); 0 for what there is not.
    void bind(const Addresses& fast, uintptr_t fast_counts, const Addresses& slow, uintptr_t slow_counts,
              const std::array<uintptr_t, 8>& state) {
        args_.fast = with_arrays(fast_, fast, rows_, cols_);
        args_.slow = with_arrays(slow_, slow, rows_, cols_);
        args_.fast_update.counts = at<int64_t>(fast_counts);
        args_.slow_update.counts = at<int64_t>(slow_counts);
        args_.plan.counters = at<int64_t>(state[0]);
        args_.plan.maxima = at<double>(state[1]);
        args_.plan.in_chop = at<int8_t>(state[2]);
        args_.plan.out_chop = at<int8_t>(state[3]);
        args_.plan.switched = at<int8_t>(state[4]);
        args_.reads.buffer = at<float>(state[5]);
        args_.reads.reference = at<float>(state[6]);
        args_.reads.mean = at<float>(state[7]);
    }

    std::tuple<UpdateStats, UpdateStats, int64_t> run(uintptr_t x, uintptr_t d, int64_t samples, int64_t batch, int64_t period,
                                                      double lr, std::array<float, 3> gain, uint64_t seed, const Place& fast,
                                                      const Place& slow, int threads) const {
        py::gil_scoped_release release;
        BufferedTransferArgs t = args_;
        t.plan.x = at<const float>(x);
        t.plan.d = at<const float>(d);
        t.plan.samples = samples;
        t.plan.batch = batch;
        t.plan.period = period;
        t.plan.lr = lr;
        t.plan.seed = t.reads.seed = seed;
        t.gain = gain[0];
        t.gain_per_rate = gain[1];
        t.most_seen = gain[2];
        UpdateStats fast_stats, slow_stats;
        put_at(t.fast_update, fast, threads, fast_stats);
        put_at(t.slow_update, slow, threads, slow_stats);
        const int64_t sent = active_table().buffered_transfers(t);
        return {fast_stats, slow_stats, sent};
    }

  private:
    DeviceModel fast_, slow_;
    int64_t rows_, cols_;
    BufferedTransferArgs args_;
};

// One cell with a fast array that is read onto a slow one, kept between calls so that a call passes only what changes.
class LineTransfers {
  public:
    LineTransfers(bool columns, int64_t rows, int64_t cols, const DeviceModel& fast, const DeviceModel& slow,
                  const UpdateArgs& fast_settings, const UpdateArgs& slow_settings, const ReadArgs& io, float read_input)
        : fast_(fast), slow_(slow), rows_(rows), cols_(cols) {
        args_.columns = columns;
        args_.fast_update = fast_settings;
        args_.slow_update = slow_settings;
        args_.reads.io = io;
        args_.reads.read_input = read_input;
    }

    // Addresses of both arrays and of their counters.
    void bind(const Addresses& fast, uintptr_t fast_counts, const Addresses& slow, uintptr_t slow_counts) {
        args_.fast = with_arrays(fast_, fast, rows_, cols_);
        args_.slow = with_arrays(slow_, slow, rows_, cols_);
        args_.fast_update.counts = at<int64_t>(fast_counts);
        args_.slow_update.counts = at<int64_t>(slow_counts);
    }

    std::pair<UpdateStats, UpdateStats> run(uintptr_t x, uintptr_t d, int64_t samples, float lr, uintptr_t line, int64_t events,
                                            float slow_lr, uint64_t read_seed, uint64_t first_read, const Place& fast,
                                            const Place& slow, int threads) const {
        py::gil_scoped_release release;
        LineTransferArgs t = args_;
        t.fast_update.x = at<const float>(x);
        t.fast_update.d = at<const float>(d);
        t.fast_update.samples = samples;
        t.fast_update.lr = &lr;
        t.line = at<const int32_t>(line);
        t.events = events;
        t.slow_lr = slow_lr;
        t.reads.seed = read_seed;
        t.reads.first_event = first_read;
        std::pair<UpdateStats, UpdateStats> stats;
        put_at(t.fast_update, fast, threads, stats.first);
        put_at(t.slow_update, slow, threads, stats.second);
        line_transfer(t);
        return stats;
    }

  private:
    DeviceModel fast_, slow_;
    int64_t rows_, cols_;
    LineTransferArgs args_;
};

// One member of a pair, see refresh_pair.
using Refreshed = std::tuple<const DeviceModel*, Addresses, const UpdateArgs*, uintptr_t, uintptr_t, std::array<float, 2>,
                             intptr_t, bool, Place>;

}  // namespace

void bind_transfers(py::module_& m) {
    py::class_<TransferPlanArgs>(m, "TransferPlan")
        .def(py::init([](bool columns, bool auto_scale, double auto_momentum, double largest_step, double in_chop_prob,
                         double out_chop_prob, bool in_chop_random, bool dynamic) {
                 TransferPlanArgs t;
                 t.columns = columns;
                 t.auto_scale = auto_scale;
                 t.auto_momentum = auto_momentum;
                 t.largest_step = largest_step;
                 t.in_chop_prob = in_chop_prob;
                 t.out_chop_prob = out_chop_prob;
                 t.in_chop_random = in_chop_random;
                 t.dynamic = dynamic;
                 return t;
             }),
             py::kw_only(), py::arg("columns"), py::arg("auto_scale"), py::arg("auto_momentum"), py::arg("largest_step"),
             py::arg("in_chop_prob"), py::arg("out_chop_prob"), py::arg("in_chop_random"), py::arg("dynamic"));

    // The learning rate of each vector alone: a plan that reads nothing.
    m.def("scaled_rates", [](const TransferPlanArgs& settings, uintptr_t x, uintptr_t d, int64_t samples, int64_t inputs,
                             int64_t outputs, double lr, uintptr_t maxima, uintptr_t rates) {
        py::gil_scoped_release release;
        TransferPlanArgs t = settings;
        int64_t counters[4] = {};
        t.x = at<const float>(x);
        t.d = at<const float>(d);
        t.samples = samples;
        t.inputs = inputs;
        t.outputs = outputs;
        t.period = samples + 1;
        t.lr = lr;
        t.counters = counters;
        t.maxima = at<double>(maxima);
        t.fast_lr = at<float>(rates);
        active_table().plan_transfers(t);
    });

    py::class_<BufferedTransfers>(m, "BufferedTransfers")
        .def(py::init<const TransferPlanArgs&, bool, int64_t, int64_t, const DeviceModel&, const DeviceModel&, const UpdateArgs&,
                      const UpdateArgs&, float, const ReadArgs&, float, float, bool, bool, int, float, float>(),
             py::kw_only(), py::arg("plan"), py::arg("chopped"), py::arg("rows"), py::arg("cols"), py::arg("fast"),
             py::arg("slow"), py::arg("fast_settings"), py::arg("slow_settings"), py::arg("slow_lr"), py::arg("io"),
             py::arg("read_input"), py::arg("momentum"), py::arg("forget"), py::arg("restart"), py::arg("max_pulses"),
             py::arg("cap"), py::arg("mean_rate"))
        .def("bind", &BufferedTransfers::bind)
        .def("run", &BufferedTransfers::run);

    m.def("buffer", [](const ReadArgs& io, float read_input, int64_t events, int64_t length, uintptr_t lines, uintptr_t line,
                       uintptr_t buffer, int64_t line_stride, int64_t element_stride, uintptr_t gain, float momentum,
                       bool forget, int max_pulses, float cap, uintptr_t pulses, uintptr_t sent_event, uint64_t seed,
                       uint64_t first_event) {
        py::gil_scoped_release release;
        return active_table().buffer(buffer_args(read_lines_args(io, read_input, events, length, lines, seed, first_event),
                                                 {line, buffer, line_stride, element_stride}, gain,
                                                 {momentum, forget, max_pulses, cap}, pulses, sent_event));
    });

    py::class_<LineTransfers>(m, "LineTransfers")
        .def(py::init<bool, int64_t, int64_t, const DeviceModel&, const DeviceModel&, const UpdateArgs&, const UpdateArgs&,
                      const ReadArgs&, float>(),
             py::kw_only(), py::arg("columns"), py::arg("rows"), py::arg("cols"), py::arg("fast"), py::arg("slow"),
             py::arg("fast_settings"), py::arg("slow_settings"), py::arg("io"), py::arg("read_input"))
        .def("bind", &LineTransfers::bind)
        .def("run", &LineTransfers::run);

    // Of both members: model, addresses, pulse scheme, counters, reads, (w_max, reset_std), reset level, whether it counts
    // from the reference, and place of the next call. Returns pairs refreshed, and columns written of each member with
    // what they took.
    m.def("refresh_pair", [](std::array<Refreshed, 2> members, int64_t rows, int64_t cols, float upper, float lower,
                             uintptr_t chosen, int threads) {
        py::gil_scoped_release release;
        RefreshArgs r;
        std::array<UpdateStats, 2> stats;
        std::array<int64_t, 2> written{};
        for (size_t k = 0; k < 2; ++k) {
            const auto& [model, addresses, settings, counts, reads, numbers, level, to_reference, place] = members[k];
            RefreshedMember& m = r.member[k];
            m.array = with_arrays(*model, addresses, rows, cols);
            m.rewrite = *settings;
            m.rewrite.counts = at<int64_t>(counts);
            m.reads = at<const float>(reads);
            m.w_max = numbers[0];
            m.reset_std = numbers[1];
            m.reset_level = plane(level);
            m.to_reference = to_reference;
            m.noise_seed = place[0];
            m.call = place[2];
            const Place after{place[0], place[1], place[2] + (m.array.write_noise > 0 ? 2 : 1)};
            put_at(m.rewrite, after, threads, stats[k]);
        }
        r.upper = upper;
        r.lower = lower;
        r.chosen = at<bool>(chosen);
        r.written = written.data();
        const int64_t count = active_table().refresh(r);
        return std::make_tuple(count, written, stats);
    });

    m.def("read_lines", [](const ReadArgs& io, float read_input, int64_t events, int64_t length, uintptr_t lines, uintptr_t out,
                           uint64_t seed, uint64_t first_event) {
        py::gil_scoped_release release;
        BufferArgs b = read_lines_args(io, read_input, events, length, lines, seed, first_event);
        b.pulses = at<float>(out);
        active_table().read_lines(b);
    });

    m.def("follow", [](const ReadArgs& io, float read_input, int64_t events, int64_t length, uintptr_t lines, uintptr_t line,
                       uintptr_t mean, float mean_rate, int64_t line_stride, int64_t element_stride, uintptr_t frozen,
                       float threshold, uintptr_t out, uint64_t seed, uint64_t first_event) {
        py::gil_scoped_release release;
        active_table().follow(follow_args(read_lines_args(io, read_input, events, length, lines, seed, first_event),
                                          {line, mean, line_stride, element_stride}, mean_rate, frozen, threshold, out));
    });
}

}  // namespace tilewright
