// A mini-batch of a cell whose fast array is read at its end, each line that is read being written onto a slow array.
#pragma once
#include "kernel_table.hpp"

namespace tilewright {

struct LineTransferArgs {
    DeviceArgs fast, slow;
    UpdateArgs fast_update, slow_update;  // of the slow array only scheme and place; what is written is settled within
    bool columns = true;                  // lines are inputs; otherwise outputs
    const int32_t* line = nullptr;        // (events) lines to read
    int64_t events = 0;
    BufferArgs reads;  // periphery, seed and number of the first read; the rest is settled within
    float slow_lr = 0;
};

void line_transfer(const LineTransferArgs& t);

}  // namespace tilewright
