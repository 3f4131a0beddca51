// What the bindings and the kernels for graphics processors agree on. All pointers lead to memory of the device, and all
// of it belongs to tensors of the caller; nothing waits for the device.
#pragma once
#include <string>
#include <vector>

#include "../kernel_table.hpp"
#include "../lanes.hpp"
#include "../schedule.hpp"
#include "../transfer_plan.hpp"

namespace tilewright::TW_ISA {

// Where an array or a tile stands in its random numbers, kept on the device: a captured graph that is replayed reads on
// from where the last replay stopped. Added to the counters of the call.
struct Clock {
    int64_t* samples = nullptr;
    int64_t* calls = nullptr;

    TW_INLINE void advance(int64_t more_samples, int64_t more_calls) const {
        if (samples) *samples += more_samples;
        if (calls) *calls += more_calls;
    }
};

enum UpdateCount { kPulses = 0, kTruncated = 1, kEmpty = 2, kSlots = 3 };
enum ProductCount { kPasses = 0, kClippedOutputs = 1, kClippedInputs = 2, kSaturatedOutputs = 3, kLostInputs = 4 };

struct DeviceUpdate {
    DeviceArgs array;
    UpdateArgs update;          // `lr` may be null: then lr_value holds for all samples
    float lr_value = 0;
    const int64_t* live = nullptr;  // samples that count, no more than update.samples; null when all do
    Clock clock;
    int64_t* counts = nullptr;  // by UpdateCount, added to
    void* memory = nullptr;     // update_memory(...) bytes
};

struct DeviceProduct {
    ProductArgs product;
    Clock clock;
    int64_t* counts = nullptr;  // by ProductCount, added to
    void* memory = nullptr;     // product_memory(...) bytes
};

struct DeviceField {
    NormalArgs normals;
    const int64_t* counter = nullptr;  // added to the counter of the first row
};

// Lines of an array that are read one after the other, so many at a time: which come next.
struct LinesArgs {
    int64_t* vectors = nullptr;   // so many so far, and more of them
    int64_t more = 0;
    int64_t* counters = nullptr;  // next line, reads, transfers of the array; they move on
    int64_t lines = 0, transfers = 0, reads = 0;  // lines there are; transfers, and reads of each
    int64_t soonest = 0, period = 0;              // vector of the first transfer, and vectors between two
    int32_t *line = nullptr, *after = nullptr;    // (transfers times reads)
    int64_t* first = nullptr;                     // number of the first read
};

// Slots of the longest train that can come; 0 where that is not known beforehand.
int64_t longest_train(const UpdateArgs& u, double lr);
int64_t update_memory(const UpdateArgs& u, int64_t rows, int64_t cols, int64_t longest);
int64_t product_memory(const ProductArgs& p);

void update(const DeviceUpdate& job, int64_t longest, void* stream);
void trace(const TraceArgs& t, void* stream);
void product(const DeviceProduct& job, void* stream);
// A rate kept on the device counts instead of the one in the arguments.
void accumulate(const AccumulateArgs& a, const float* rate, void* stream);
void field(const DeviceField& f, void* stream);
void next_lines(const LinesArgs& a, void* stream);
// `first` is kept on the device and added to the number of the first event; null is 0.
void read_lines(const BufferArgs& b, const int64_t* first, void* stream);
void follow(const FollowArgs& f, const int64_t* first, void* stream);
int64_t buffer_memory(int64_t events, int64_t length);
void buffer(const BufferArgs& b, const int64_t* first, int64_t* live, void* memory, void* stream);
// `events`: reads there is room for. `maxima`: room for two numbers of each sample; `before`: for the counters as they were.
void plan_transfers(const TransferPlanArgs& a, const double* rate, int64_t events, float* maxima, int64_t* before, void* stream);
int64_t carry_memory(const CarryArgs& c);
void carry(const CarryArgs& c, int64_t* live, void* memory, void* stream);
// Nothing happens where `live` is given and 0, and no more samples pass than it says.
void advance(Clock clock, int64_t samples, int64_t calls, const int64_t* live, void* stream);

struct DeviceSeen {
    std::string name;
    int major, minor;  // its compute capability
};
std::vector<DeviceSeen> devices_seen();
int toolkit_version();        // CUDA 12.8 is 12080
int driver_version();         // the newest CUDA that the driver knows; 0 where there is none
std::string why_no_device();  // empty where there is one
void use_device(int device);              // launches of this thread go there
void run_backwards(bool on);  // on the host alone: the order in which threads pass

}  // namespace tilewright::TW_ISA
