// Arguments of reads of single lines, from the addresses and numbers that the bindings of the processor and of graphics
// processors are given alike.
#pragma once
#include "bindings_arrays.hpp"

namespace tilewright {

// Lines as they stood at their reads, what reads them, and which random numbers they draw.
inline BufferArgs read_lines_args(const ReadArgs& io, float read_input, int64_t events, int64_t length, uintptr_t lines,
                                  uint64_t seed, uint64_t first_event) {
    BufferArgs b;
    b.io = io;
    b.read_input = read_input;
    b.events = events;
    b.length = length;
    b.lines = at<const float>(lines);
    b.seed = seed;
    b.first_event = first_event;
    return b;
}

// The same, with the digital numbers of each line a stride apart.
struct DigitalLines {
    uintptr_t line, numbers;
    int64_t line_stride, element_stride;
};

inline FollowArgs follow_args(BufferArgs reads, const DigitalLines& mean, float mean_rate, uintptr_t frozen, float threshold,
                              uintptr_t out) {
    FollowArgs f;
    reads.line = at<const int32_t>(mean.line);
    reads.mean = at<float>(mean.numbers);
    reads.mean_rate = mean_rate;
    reads.line_stride = mean.line_stride;
    reads.element_stride = mean.element_stride;
    f.reads = reads;
    f.frozen = at<const float>(frozen);
    f.threshold = threshold;
    f.out = at<float>(out);
    return f;
}

// What fills a buffer and what leaves it.
struct BufferRules {
    float momentum;
    bool forget;
    int max_pulses;
    float cap;
};

inline BufferArgs buffer_args(BufferArgs reads, const DigitalLines& buffer, uintptr_t gain, const BufferRules& rules,
                              uintptr_t pulses, uintptr_t sent_event) {
    reads.line = at<const int32_t>(buffer.line);
    reads.buffer = at<float>(buffer.numbers);
    reads.line_stride = buffer.line_stride;
    reads.element_stride = buffer.element_stride;
    reads.gain = at<const float>(gain);
    reads.momentum = rules.momentum;
    reads.forget = rules.forget;
    reads.max_pulses = rules.max_pulses;
    reads.cap = rules.cap;
    reads.pulses = at<float>(pulses);
    reads.sent_event = at<int32_t>(sent_event);
    return reads;
}

}  // namespace tilewright
