// The kernels in the order they run. Compiled by nvcc for graphics processors, and by the host's compiler for tests that
// run the same bodies without one.
#pragma once
#include "digital_bodies.hpp"
#include "line_bodies.hpp"
#include "plan_body.hpp"
#include "product_bodies.hpp"
#include "pulse_bodies.hpp"
#include "sums_body.hpp"

namespace tilewright::TW_ISA {
namespace {

// Deals out the memory of a call, piece by piece; with a null start it only counts.
class Pieces {
  public:
    explicit Pieces(void* memory) : start_((char*)memory) {}
    template <class T>
    T* take(int64_t n) {
        T* piece = start_ ? (T*)(start_ + used_) : nullptr;
        used_ += (n * (int64_t)sizeof(T) + 63) / 64 * 64;
        return piece;
    }
    int64_t used() const { return used_; }

  private:
    char* start_;
    int64_t used_ = 0;
};

UpdateMemory deal(Pieces& pieces, const UpdateArgs& u, int64_t rows, int64_t cols, int64_t longest) {
    UpdateMemory m{};
    const bool trains = u.kind == PulseKind::Stochastic;
    m.words = trains ? (int)blocks_for(longest, kWordSlots) : 1;
    m.start = pieces.take<int64_t>(1);
    m.x = pieces.take<uint32_t>(u.samples * m.words * cols);
    m.d = pieces.take<uint32_t>(u.samples * m.words * rows);
    if (!trains) m.bl = pieces.take<float>(u.samples);
    return m;
}

ProductMemory deal(Pieces& pieces, const ProductArgs& p) {
    ProductMemory m{};
    if (p.io.mode == ProductMode::Perfect) return m;
    const int64_t n_in = p.transposed ? p.rows : p.cols, n_out = p.transposed ? p.cols : p.rows;
    const int64_t vectors = p.samples * (p.io.mode >= ProductMode::PosNegSeparate ? 2 : 1);
    m.inputs = pieces.take<float>(vectors * n_in);
    m.state = pieces.take<SampleState>(p.samples);
    m.input_sums = pieces.take<InputSums>(p.samples);
    m.clipped = pieces.take<int32_t>(p.samples);
    m.over = pieces.take<int32_t>(p.samples);
    m.start = pieces.take<int64_t>(1);
    const bool drops = p.io.ir_drop > 0, reads = p.io.w_noise_kind == WeightNoise::PCMRead && p.io.w_noise > 0;
    const bool needed[4] = {false, reads, drops, drops};
    for (int kind = 0; kind < 4; ++kind)
        if (needed[kind]) m.sums[kind] = pieces.take<float>(vectors * n_out);
    if (p.io.noise_management == NoiseManagement::AverageAbsMax) {
        m.average = pieces.take<float>(1);
        m.maxima = pieces.take<float>(p.samples);
    }
    return m;
}

template <class Items>
struct LaunchPulses {
    const UpdateJob& job;
    void* stream;
    template <class Device, bool Mult>
    void run() const {
        using Few = FewBody<Items, Device, Mult>;
        if (Few::takes(job)) go(Few(job));
        else go(ManyBody<Items, Device, Mult>(job));
    }

  private:
    template <class Body>
    void go(const Body& body) const {
        launch(body, body.blocks(), stream);
    }
};

struct LaunchTrace {
    const TraceArgs& t;
    void* stream;
    template <class Device, bool Mult>
    void run() const {
        launch(TraceBody<Device, Mult>(t), blocks_for(t.device.cols, 64), stream);
    }
};

// So many blocks fill the multiprocessors even where each thread has many sums.
constexpr int64_t kManyBlocks = 256;
// Inputs of which a sample has so many are shared out among more threads.
constexpr int64_t kLongVector = 1024;

template <class Sums>
SumsBody<Sums> sums_body(const Operands& of, float* out) {
    SumsBody<Sums> body;
    body.of = of;
    body.out = out;
    return body;
}

// The small body where samples are few, and the large one where its blocks are many; the last one for all that is not plain.
template <class One, class Some, class Many, class Other>
void launch_sums(const Operands& of, float* out, bool plain, void* stream) {
    const auto go = [&](auto body) { launch(body, body.blocks(), stream); };
    const auto many = sums_body<Many>(of, out);
    if (!plain) go(sums_body<Other>(of, out));
    else if (of.rows == 1) go(sums_body<One>(of, out));
    else if (many.blocks() >= kManyBlocks) go(many);
    else go(sums_body<Some>(of, out));
}

// `out` is for sums that are no currents.
void launch_sums(const Operands& of, float* out, void* stream) {
    const bool plain = of.sum == Sum::Current && !(of.p.split() && of.p.io().asymmetry_values);
    if (of.p.args().transposed)
        launch_sums<ColumnSums<256, 1, 1, true>, ColumnSums<256, 4, 1, true>, ColumnSums<256, 16, 2, true>,
                    ColumnSums<256, 2, 1, false>>(of, out, plain, stream);
    else
        launch_sums<RowSums<128, 1, 1, 1, true>, RowSums<128, 4, 2, 1, true>, RowSums<128, 8, 8, 2, true>,
                    RowSums<128, 2, 1, 1, false>>(of, out, plain, stream);
}

template <class Sums>
void launch_repeats(const Operands& of, void* stream) {
    RepeatBody<Sums> body;
    body.of = of;
    launch(body, of.p.args().samples, stream);
}

// A block has a sample, and its sums the parts of it. Products backward have no bound management.
void launch_repeats(const Operands& of, void* stream) {
    if (of.p.args().transposed) throw std::logic_error("a product of columns is not repeated");
    if (!of.p.split()) launch_repeats<RowSums<512, 1, 8, 1, true>>(of, stream);
    else if (of.p.io().asymmetry_values) launch_repeats<RowSums<512, 2, 8, 1, false>>(of, stream);
    else launch_repeats<RowSums<512, 2, 8, 1, true>>(of, stream);
}

}  // namespace

int64_t longest_train(const UpdateArgs& u, double lr) {
    if (u.fixed_bl || u.length_management) return u.desired_bl;
    if (!(lr == lr)) return 0;
    const int64_t grown = (int64_t)whole_pulses(__builtin_fabs(lr) / u.granularity);
    return grown > u.desired_bl ? grown : u.desired_bl;
}

int64_t update_memory(const UpdateArgs& u, int64_t rows, int64_t cols, int64_t longest) {
    Pieces pieces(nullptr);
    deal(pieces, u, rows, cols, longest);
    return pieces.used();
}

int64_t product_memory(const ProductArgs& p) {
    Pieces pieces(nullptr);
    deal(pieces, p);
    return pieces.used();
}

void update(const DeviceUpdate& job, int64_t longest, void* stream) {
    if (job.update.samples == 0) return launch(AdvanceBody(job.clock, 0, 1, job.live), 1, stream);
    Pieces pieces(job.memory);
    const UpdateJob work{job, deal(pieces, job.update, job.array.rows, job.array.cols, longest), UpdateKeys(job.update.seed)};
    if (job.update.kind == PulseKind::Stochastic) {
        const TrainsBody trains(work);
        launch(trains, trains.blocks(), stream);
        with_device(job.array, LaunchPulses<TrainItems>{work, stream});
    } else {
        const LevelsBody levels(work);
        launch(levels, levels.blocks(), stream);
        with_device(job.array, LaunchPulses<LevelItems>{work, stream});
    }
}

void trace(const TraceArgs& t, void* stream) { with_device(t.device, LaunchTrace{t, stream}); }

void product(const DeviceProduct& job, void* stream) {
    const ProductArgs& p = job.product;
    if (p.samples == 0) return;
    Pieces pieces(job.memory);
    const ProductMemory m = deal(pieces, p);
    const ProductJob first{job, m, job.clock.samples}, then{job, m, m.start};
    if (p.io.mode == ProductMode::Perfect) return launch_sums(Operands{then, Sum::Current, p.x, p.samples}, nullptr, stream);
    if (m.average) {
        launch(MaximaBody{first}, p.samples, stream);
        launch(AverageBody(first), 1, stream);
    }
    if (then.n_in() < kLongVector) launch(PrepareBody<128>{first}, p.samples, stream);
    else launch(PrepareBody<512>{first}, p.samples, stream);
    Operands of{then, Sum::Current, m.inputs, p.samples * then.parts()};
    for (const Sum kind : {Sum::Variance, Sum::Load, Sum::Loss}) {
        of.sum = kind;
        if (m.sums[(int)kind]) launch_sums(of, m.sums[(int)kind], stream);
    }
    of.sum = Sum::Current;
    launch_sums(of, nullptr, stream);
    if (then.bounded()) launch_repeats(of, stream);
}

void accumulate(const AccumulateArgs& a, const float* rate, void* stream) {
    const OuterBody body(a, rate);
    launch(body, body.blocks(), stream);
}

void field(const DeviceField& f, void* stream) {
    const FieldBody body(f);
    launch(body, body.blocks(), stream);
}

void next_lines(const LinesArgs& a, void* stream) { launch(NextLinesBody{a}, 1, stream); }

void read_lines(const BufferArgs& b, const int64_t* first, void* stream) {
    const ReadLinesBody body(b, first);
    launch(body, body.blocks(), stream);
}

void follow(const FollowArgs& f, const int64_t* first, void* stream) {
    const FollowBody body(f, first);
    launch(body, body.blocks(), stream);
}

int64_t buffer_memory(int64_t events, int64_t length) {
    Pieces pieces(nullptr);
    pieces.take<float>(events * length);
    pieces.take<int32_t>(events);
    return pieces.used();
}

void buffer(const BufferArgs& b, const int64_t* first, int64_t* live, void* memory, void* stream) {
    constexpr int64_t kMostGroups = 128;
    if (b.events <= 1) return launch(BufferBody{b, first, 1, b.pulses, nullptr, live}, 1, stream);
    Pieces pieces(memory);
    float* steps = pieces.take<float>(b.events * b.length);
    int32_t* holds = pieces.take<int32_t>(b.events);
    const int64_t groups = b.events < kMostGroups ? b.events : kMostGroups;
    launch(BufferBody{b, first, groups, steps, holds, nullptr}, groups, stream);
    launch(PackBody{steps, holds, nullptr, b.events, b.length, b.pulses, b.sent_event, live}, b.events, stream);
}

void plan_transfers(const TransferPlanArgs& a, const double* rate, int64_t events, float* maxima, int64_t* before, void* stream) {
    float *x_max = maxima, *d_max = maxima + a.samples;
    if (a.auto_scale) launch(LargestBody{a, x_max, d_max}, a.samples, stream);
    launch(TransferPlanBody{a, rate, x_max, d_max, before}, 1, stream);
    const ChopBody chop(a, before, events);
    launch(chop, chop.blocks(), stream);
}

int64_t carry_memory(const CarryArgs& c) {
    Pieces pieces(nullptr);
    pieces.take<float>(c.n_rows * c.cols);
    pieces.take<int32_t>(c.n_rows);
    return pieces.used();
}

void carry(const CarryArgs& c, int64_t* live, void* memory, void* stream) {
    Pieces pieces(memory);
    float* steps = pieces.take<float>(c.n_rows * c.cols);
    int32_t* holds = pieces.take<int32_t>(c.n_rows);
    launch(CarryBody{c, steps, holds}, c.n_rows, stream);
    launch(PackBody{steps, holds, c.rows, c.n_rows, c.cols, c.steps, c.sent_row, live}, c.n_rows, stream);
}

void advance(Clock clock, int64_t samples, int64_t calls, const int64_t* live, void* stream) {
    launch(AdvanceBody(clock, samples, calls, live), 1, stream);
}

}  // namespace tilewright::TW_ISA
