// The pulsed rank-one update: plans, trains, rows.
#include "entries.hpp"
#include "exact_rows.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kSharedWork = 1 << 17;  // work below which threads do not pay, see ApplyTrains
constexpr int64_t kFetchedWords = 4;     // words of a train up to which rows are fetched ahead
constexpr float kFetchedSpread = 0.25;   // coincidences of a pulse in each vector of a row from which they are
constexpr int64_t kLineWords = 1 << 17;  // words of pulse trains held at a time: they should stay in the second cache

struct ApplyTrains {
    const DeviceArgs& a;
    const UpdateArgs& u;
    const Trains& inputs;
    const Trains& errors;
    const SnapshotIndex* row_copies;
    const VectorSets& sets;
    const SlotLists* lists;
    float spread;
    int64_t work;  // pulses to come, and a quarter of the crosspoint words: about 2 ns each
    uint64_t part;
    int64_t* pulses;

    template <class Device, bool Mult>
    void run() const {
        *pulses += a.cycle_noise > 0 ? rows<Device, Mult, true>() : rows<Device, Mult, false>();
    }

    // The first row from i on that has pulses.
    int64_t next_row(int64_t i) const {
        for (; i < a.rows; ++i)
            for (int64_t w = 0; w < errors.words; ++w)
                if (errors.bits[((i / kLanes) * errors.words + w) * 16 + i % kLanes]) return i;
        return i;
    }

    template <class Device, bool Mult, bool Noisy>
    int64_t rows() const {
        const int64_t blocks = (a.rows + kRowBlock - 1) / kRowBlock;
        const int threads = threads_for(work, kSharedWork, u.threads);
        Scratch<RowWord> all_words(blocks * errors.words);
        // Where a row gets few pulses, but all over, waiting for memory takes long: the next row is on its way while one is
        // updated.
        const bool fetching = errors.words <= kFetchedWords && spread >= kFetchedSpread;
        const bool skipping = fetching && !row_copies && sets.n_copied == 0;
        return sum_blocks(blocks, threads, [&](int64_t block) {
            const int64_t begin = block * kRowBlock, end = begin + kRowBlock < a.rows ? begin + kRowBlock : a.rows;
            int64_t next = fetching ? next_row(begin) : begin;
            if (skipping && next >= end) return (int64_t)0;
            RowUpdater<Device, Mult, Noisy> updater(a, u, inputs, sets, lists, spread, part, block);
            RowWord* words = all_words.data + block * errors.words;
            for (int64_t i = begin; i < end; ++i) {
                if (skipping && i < next) continue;
                if (fetching && i >= next) {
                    next = next_row(i + 1);
                    if (next < a.rows) updater.fetch(next);
                }
                const int64_t n = row_words(errors, i, words);
                const bool copied = row_copies && row_copies->start[i] < row_copies->start[i + 1];
                if (n > 0 || copied || sets.n_copied > 0) updater.row(i, words, n, copied ? row_copies : nullptr);
            }
            return updater.pulses();
        });
    }
};

// Pulses on all lines of a side.
inline int64_t fired(const Trains& t, int64_t vectors) {
    int64_t n = 0;
    for (int64_t k = 0; k < vectors * t.words; ++k) {
        const u8 number = count_bits(load_u(t.bits + k * 16));
        for (int l = 0; l < kLanes; ++l) n += number[l];
    }
    return n;
}

void stochastic_update(const DeviceArgs& a, const UpdateArgs& u, const Schedule* plan) {
    Scratch<int64_t> slot(u.samples + 1);
    const int64_t col_vectors = (a.cols + kLanes - 1) / kLanes, row_vectors = (a.rows + kLanes - 1) / kLanes;
    const int64_t groups = u.snapshot_rows ? a.rows : col_vectors;
    const bool columns = u.snapshots && !u.snapshot_rows;
    Scratch<int64_t> start(groups + 1), event(u.snapshots), boundary(u.snapshots);
    Scratch<int64_t> phase_start(columns ? col_vectors + 1 : 0), copied(columns ? col_vectors : 0);
    Scratch<CopyPhase> phases(columns ? col_vectors + u.snapshots : 0);
    Scratch<VectorRange> plain(columns ? col_vectors : 1);
    const int64_t most_words = kLineWords / ((col_vectors + row_vectors) * 16) + 1;
    int64_t first = 0;
    for (uint64_t part = 0; first < u.samples; ++part) {
        int64_t count = 0;  // samples whose trains fit
        slot[0] = 0;
        while (first + count < u.samples && (count == 0 || slot[count] + plan[first + count].bl <= most_words * 32)) {
            slot[count + 1] = slot[count] + plan[first + count].bl;
            ++count;
        }
        if (slot[count] == 0 && u.snapshots == 0) {  // nothing is sent
            first += count;
            continue;
        }
        const int64_t words = (slot[count] + 31) / 32;
        Scratch<uint32_t> input_bits(col_vectors * words * 16), error_bits(row_vectors * words * 16);
        input_bits.clear(col_vectors * words * 16);
        error_bits.clear(row_vectors * words * 16);
        const Trains inputs{input_bits.data, words}, errors{error_bits.data, words};
        const Side x{u.x, u.x_hot, a.cols, kInputLine, kInputRound, false};
        const Side d{u.d, u.d_hot, a.rows, kErrorLine, kErrorRound, true};
        write_trains(inputs, u, x, plan + first, slot.data, first, count);
        write_trains(errors, u, d, plan + first, slot.data, first, count);
        SnapshotIndex index{start.data, event.data, boundary.data};
        if (u.snapshots) index_snapshots(u, slot.data, first, count, groups, start.data, event.data, boundary.data);
        VectorSets sets{plain.data, 1, col_vectors, copied.data, 0, ColumnCopies{phase_start.data, phases.data, nullptr, words}};
        plain[0] = {0, col_vectors};
        if (columns) {
            split_phases(u, index, col_vectors, phase_start.data, phases.data);
            part_vectors(col_vectors, plain.data, copied.data, sets);
        }
        const int64_t n_phases = columns ? phase_start[col_vectors] : 0;
        const bool tabulated = n_phases * words <= kTabulatedSlots;
        Scratch<uint32_t> phase_slots(tabulated ? n_phases * words * kLanes : 0);
        if (tabulated) sets.copies.tabulate(n_phases, phase_slots.data);
        const int64_t fired_x = fired(inputs, col_vectors), fired_d = fired(errors, row_vectors);
        // As if errors and inputs fired independently.
        const double met = (double)fired_x / (double)(slot[count] > 0 ? slot[count] : 1);  // inputs that a pulse of a row coincides with
        const double row_pulses = met * (double)fired_d / (double)a.rows;
        const int64_t work = (int64_t)(met * (double)fired_d) + a.rows * a.cols * words / 4;
        const bool sparse = row_pulses < 2 * sparse_below(a.kind, u.d_hot != nullptr) * (double)col_vectors && !u.raise_only;
        Scratch<int64_t> list_start(sparse ? words * 32 + 1 : 0);
        Scratch<uint32_t> list_entries(sparse ? fired_x + kWide - 1 : 0);
        const bool short_lists = sparse && fired_x < kShortList * slot[count];
        Scratch<int32_t> run(short_lists ? words * 32 : 0), seen(short_lists ? a.cols : 0);
        const SlotLists lists{list_start.data, list_entries.data, short_lists ? run.data : nullptr};
        if (sparse) list_slots(inputs, sets, slot[count], fired_x, list_start.data, list_entries.data);
        if (short_lists) number_runs(lists, words * 32, a.cols, seen.data, run.data);
        int64_t pulses = 0;
        with_device(a, ApplyTrains{a, u, inputs, errors, u.snapshots && u.snapshot_rows ? &index : nullptr, sets, sparse ? &lists : nullptr,
                                 (float)(met / (double)col_vectors), work, part, &pulses});
        u.stats->pulses += pulses;
        u.stats->slots += slot[count];
        first += count;
    }
}

}  // namespace

void update(const DeviceArgs& a, const UpdateArgs& u) {
    Scratch<Schedule> plan(u.samples);
    for (int64_t s = 0; s < u.samples; ++s) {
        const double x_max = u.x_hot ? 1.0 : absolute_maximum(u.x + s * a.cols, a.cols);
        const double d_max = u.d_hot ? 1.0 : absolute_maximum(u.d + s * a.rows, a.rows);
        const float lr = u.lr[u.lr_uniform ? 0 : s];
        if (u.kind == PulseKind::ExactClipped) {
            plan[s] = Schedule{};
            plan[s].bl = lr != 0 ? 1 : 0;
            continue;
        }
        plan[s] = schedule(u, lr, x_max, d_max);
        u.stats->truncated += plan[s].truncated;
        u.stats->empty += plan[s].bl == 0;
    }
    if (u.kind == PulseKind::Stochastic) stochastic_update(a, u, plan.data);
    else counted_update(a, u, plan.data);
}

}  // namespace tilewright::TW_ISA
