// What the bindings and the per-instruction-set builds agree on: plain argument structures and a table of functions.
// Nothing here owns memory; every pointer belongs to a tensor of the caller.
#pragma once
#include <cstdint>

#include "transfer_plan.hpp"

namespace tilewright {

// A per-crosspoint parameter: one value for each crosspoint, or one for all of them.
struct Plane {
    const float* data = nullptr;
    bool uniform = true;
};

enum class DeviceKind : int { ConstantStep = 0, LinearStep = 1, SoftBounds = 2, ExpStep = 3, PowStep = 4, TableStep = 5 };

// What a step model needs beyond the planes of its crosspoints; in doubles for the nominal response.
template <class S>
struct StepShape {
    // Exponential step: 1 - amplitude exp(rate z), z = slope * (w in units of the range) + offset.
    S slope = 0, offset = 0, amplitude_up = 0, amplitude_down = 0, rate_up = 0, rate_down = 0;
    S noise_add = 0, noise_slope = 0;  // parts of the cycle noise that do not follow the step
    // Tabulated step: up nodes, then down nodes, from the lower to the upper bound of each device.
    const S* nodes = nullptr;
    int n_nodes = 0;
    // Deviation of a jump from its mean against node and normal score: [up, down][node][score].
    const S* jumps = nullptr;
    int n_scores = 0;
    S score_span = 0;  // scores run from minus to plus this
};

// An array of pulsed devices, row-major (rows = outputs, cols = inputs).
struct DeviceArgs {
    DeviceKind kind = DeviceKind::ConstantStep;
    bool mult_noise = true;
    int64_t rows = 0, cols = 0;
    float* visible = nullptr;     // what the network reads
    float* persistent = nullptr;  // what pulses act on; null when it is the visible weight itself
    Plane up, down, max_bound, min_bound, slope_up, slope_down, reference;
    StepShape<float> shape;
    float cycle_noise = 0;  // relative to the step
    float write_noise = 0;  // in weight units
};

enum class PulseKind : int { Stochastic = 0, MeanCount = 1, DeterministicImplicit = 2, ExactClipped = 3 };

constexpr int64_t kUpPulse = 1, kDownPulse = int64_t{1} << 32;  // in the word that counts a crosspoint's pulses

struct UpdateStats {
    int64_t pulses = 0;            // coincidences delivered
    int64_t truncated = 0;         // samples whose strongest crosspoint asked for more pulses than the train holds
    int64_t empty = 0;             // samples that sent no train at all
    int64_t slots = 0;             // train slots spent
};

// Rank-one updates of a device array, samples in order.
struct UpdateArgs {
    const float* x = nullptr;        // (samples, cols), or null when x_hot is given
    const float* d = nullptr;        // (samples, rows), or null when d_hot is given
    const int32_t* x_hot = nullptr;  // index of the single active line of each sample
    const int32_t* d_hot = nullptr;
    int64_t samples = 0;
    const float* lr = nullptr;  // (samples) or a single value
    bool lr_uniform = true;
    double granularity = 0;
    int desired_bl = 31;
    bool fixed_bl = true, length_management = true, balance = true;
    double um_grad_scale = 1;
    float res = 0, x_res = 0, d_res = 0;
    bool sto_round = false;
    PulseKind kind = PulseKind::Stochastic;
    bool raise_only = false;  // coincidences that would lower the weight send nothing
    uint64_t seed = 0, first_sample = 0, call = 0;
    int threads = 1;
    // Lines of the array copied out after a given sample, in time order.
    int64_t snapshots = 0;
    const int32_t* snapshot_line = nullptr;
    const int32_t* snapshot_after = nullptr;
    bool snapshot_rows = false;
    float* snapshot_out = nullptr;  // (snapshots, cols) or (snapshots, rows)
    // Devices of a copied column that are reset right after the copy, (snapshots, rows): their new state, nan where they
    // stay, and what is then visible. Null when copies leave the array as it is.
    const float* reset_state = nullptr;
    const float* reset_visible = nullptr;
    int64_t* counts = nullptr;  // (rows, cols), optional: pulses up in the low half of the word, down in the high one
    UpdateStats* stats = nullptr;
};

struct TraceArgs {
    DeviceArgs device;  // rows = 1, cols = number of devices
    const int8_t* pulses = nullptr;
    int64_t n_pulses = 0;
    float* out = nullptr;  // (n_pulses + 1, cols), or null for the final state only
    uint64_t seed = 0;
    int64_t first = 0;  // number of the first device, a multiple of the lanes: noise belongs to device numbers
    int threads = 1;
};

enum class NoiseManagement : int { None = 0, AbsMax = 1, Max = 2, Constant = 3, AbsMaxNPSum = 4, AverageAbsMax = 5 };
enum class BoundManagement : int { None = 0, Iterative = 1, IterativeWorstCase = 2 };
enum class ProductMode : int { Perfect = 0, OnePass = 1, PosNegSeparate = 2, PosNegSeparateDigitalSum = 3 };
enum class WeightNoise : int { None = 0, AdditiveConstant = 1, PCMRead = 2 };

struct ReadArgs {  // one direction of the periphery
    ProductMode mode = ProductMode::OnePass;
    float inp_bound = 1, dac_step = 0, inp_noise = 0, inp_asymmetry = 0;
    bool inp_sto_round = false;
    float out_bound = 12, adc_step = 0, out_noise = 0, out_scale = 1, out_asymmetry = 0;
    bool out_sto_round = false;
    float nonlinearity_gain = 1;
    NoiseManagement noise_management = NoiseManagement::AbsMax;
    float nm_thres = 0, nm_assumed_wmax = 0.6f, nm_decay = 1e-3f;
    bool zero_silent = true;  // a scale of 0 gives exactly 0, without noise
    BoundManagement bound_management = BoundManagement::None;
    float max_bm_factor = 1000, max_bm_res = 0.25f;
    bool test_negative_bound = true;
    WeightNoise w_noise_kind = WeightNoise::None;
    float w_noise = 0;
    float ir_drop = 0, ir_drop_g_ratio = 571428.57f;
    bool ir_drop_first = false;
    float v_offset_w_min = -1, r_series = 0, r_series_cap = 0;
    // Frozen draws, one value per output (matrix for the last); null when all are equal.
    const float* out_noise_values = nullptr;
    const float* nonlinearity_values = nullptr;
    const float* offset_values = nullptr;
    const float* asymmetry_values = nullptr;
};

struct ProductStats {
    int64_t passes = 0;
    int64_t clipped_outputs = 0, clipped_inputs = 0;  // in all passes
    int64_t saturated_outputs = 0;                    // in the last pass of each sample
    int64_t lost_inputs = 0;                          // samples other than zero whose scale was 0
    void add(const ProductStats& o) {
        passes += o.passes;
        clipped_outputs += o.clipped_outputs;
        clipped_inputs += o.clipped_inputs;
        saturated_outputs += o.saturated_outputs;
        lost_inputs += o.lost_inputs;
    }
};

// Rows whose sums a product of columns takes by themselves; those of all stretches are then added in order.
constexpr int64_t kStretch = 128;

struct ProductArgs {
    const float* weight = nullptr;  // (rows, cols)
    int64_t rows = 0, cols = 0;
    bool transposed = false;  // false: y = W x, true: y = W^T x
    const float* x = nullptr;
    float* y = nullptr;
    uint8_t* saturated = nullptr;  // optional, same shape as y
    int64_t samples = 0;
    ReadArgs io;
    uint64_t seed = 0, first_sample = 0;
    int threads = 1;
    float* average = nullptr;  // running mean of the largest inputs, negative before the first
    bool learn_average = false;
    float* alpha = nullptr;  // (samples), optional: scale, reduction and passes of each sample
    float* rho = nullptr;
    int32_t* sample_passes = nullptr;
    ProductStats* stats = nullptr;
};

// Reads of single lines, the buffer they pass, and the pulses that leave it.
struct BufferArgs {
    int64_t events = 0, length = 0;
    const float* lines = nullptr;      // (events, length) weights of the line at the time of its read
    const int32_t* line = nullptr;     // which line
    const int8_t* line_sign = nullptr; // (events) chopper of the line
    const int8_t* out_sign = nullptr;  // (events, length) choppers of the outputs, optional
    ReadArgs io;
    float read_input = 1;              // the one, after the DAC
    float* buffer = nullptr;           // digital buffer
    int64_t line_stride = 0, element_stride = 1;
    const float* gain = nullptr;       // (events) learning rate of the buffer
    float momentum = 0;
    bool forget = true, restart = false;
    int max_pulses = 1;
    float* pulses = nullptr;           // (sent, length) minus the number of pulses: the error of the write
    int32_t* sent_event = nullptr;     // (sent) events that send at least one pulse
    float cap = 0;                     // limit of what stays in the buffer, when pulses are subtracted; 0 is none
    // Reads relative to a reference of their own (AGAD); null otherwise. Same layout as the buffer.
    float* reference = nullptr;
    float* mean = nullptr;             // running mean of the reads
    float mean_rate = 0;
    const int8_t* fresh = nullptr;     // (events) the reference becomes the mean before this read
    const int8_t* writes = nullptr;    // (events) whether pulses may be sent
    uint64_t seed = 0, first_event = 0;
};

// Reads of single lines, and running means of them that live in digital.
struct FollowArgs {
    BufferArgs reads;            // lines, line, io, read_input, strides, mean, mean_rate, seed and first_event; the rest unused
    const float* frozen = nullptr;  // reference the reads are taken from; null takes the running mean itself
    float threshold = -1;           // from 0 on: deliver the running mean where it is above this, else nothing
    float* out = nullptr;           // (events, length) minus what is delivered: the error of the write
};

// A mini-batch of a cell whose fast array is read line by line into a digital buffer, which pulses a slow array.
struct BufferedTransferArgs {
    TransferPlanArgs plan;  // settings, state and vectors; the results are kept within
    bool chopped = false;
    DeviceArgs fast, slow;
    // Pulse schemes and places in the random numbers; vectors, rates and copies are settled within. Of the slow array
    // the number of its next call, which is made only where something is written.
    UpdateArgs fast_update, slow_update;
    float slow_lr = 0;
    BufferArgs reads;  // periphery, buffer, reference and seed; the rest is settled within
    // Buffer units per unit of weight, divided by the fast learning rate times `gain_per_rate` where that is not 0, and by
    // the vectors seen, up to `most_seen`, where that is not 0.
    float gain = 0, gain_per_rate = 0, most_seen = 0;
};

// One device of a one-sided pair, (rows, cols), in a refresh.
struct RefreshedMember {
    DeviceArgs array;
    UpdateArgs rewrite;            // pulse scheme and place of the write; what is written is settled within
    const float* reads = nullptr;  // (cols, rows) what reads of its columns deliver
    float w_max = 1;
    Plane reset_level;
    bool to_reference = false;  // devices are reset to the level above their reference
    float reset_std = 0;
    uint64_t noise_seed = 0, call = 0;  // of the reset; its write noise belongs to the next call
};

// Pairs whose devices have come high are reset, and their difference is written anew.
struct RefreshArgs {
    RefreshedMember member[2];  // minus, plus
    float upper = 0, lower = 0;  // shares of w_max that the higher and the lower device must pass
    bool* chosen = nullptr;      // (rows, cols) which pairs were refreshed
    int64_t* written = nullptr;  // (2) columns written of each member
};

// Whole steps of a digital accumulator, taken out row by row.
struct CarryArgs {
    float* accumulator = nullptr;  // (all rows, cols)
    int64_t cols = 0;
    const int32_t* rows = nullptr;  // rows to look at
    int64_t n_rows = 0;
    float step = 0;        // size of one step
    float most_steps = 0;  // steps of the largest entry that one train can hold
    float* steps = nullptr;         // (sent, cols) whole steps
    int32_t* sent_row = nullptr;    // (sent) rows that hold at least one step
};

// accumulator += lr * sum_s outer(d_s, x_s), zeros included, in one fixed order.
struct AccumulateArgs {
    float* accumulator = nullptr;  // (rows, cols)
    int64_t rows = 0, cols = 0, samples = 0;
    const float* x = nullptr;  // (samples, cols)
    const float* d = nullptr;  // (samples, rows)
    float lr = 0;
    int threads = 1;
};

// Rows of n random numbers, each row with a counter of its own.
struct NormalArgs {
    float* out = nullptr;  // (rows, n)
    int64_t rows = 1, n = 0;
    uint64_t seed = 0, counter = 0;  // counter of the first row
    bool uniform = false;
};

enum class RateKind : int { MultiplyAdd = 0, Read = 1, Change = 2, Write = 3, Normals = 4, Words = 5 };

// Work that shows a limit of the machine: n operations, numbers, or elements of the buffer.
struct RateArgs {
    RateKind kind = RateKind::MultiplyAdd;
    float* buffer = nullptr;
    int64_t n = 0;
};

struct KernelTable {
    const char* name;
    void (*update)(const DeviceArgs&, const UpdateArgs&);
    void (*trace)(const TraceArgs&);
    void (*product)(const ProductArgs&);
    int64_t (*buffer)(const BufferArgs&);  // number of events that send pulses
    void (*read_lines)(const BufferArgs&); // what the reads deliver, into `pulses` (events, length)
    void (*follow)(const FollowArgs&);
    int64_t (*plan_transfers)(const TransferPlanArgs&);           // number of reads
    int64_t (*buffered_transfers)(const BufferedTransferArgs&);  // number of writes onto the slow array
    int64_t (*refresh)(const RefreshArgs&);  // number of pairs refreshed
    int64_t (*carry)(const CarryArgs&);    // number of rows that send steps
    void (*accumulate)(const AccumulateArgs&);
    void (*normals)(const NormalArgs&);
    float (*rate)(const RateArgs&);
};

}  // namespace tilewright
