// What one build of the kernels offers: each in a source of its own, compiled once for each instruction set.
#pragma once
#include "kernel_table.hpp"
#include "schedule.hpp"

namespace tilewright::TW_ISA {

void update(const DeviceArgs& a, const UpdateArgs& u);
void trace(const TraceArgs& t);
void product(const ProductArgs& p);
int64_t buffer(const BufferArgs& b);
void read_lines(const BufferArgs& b);
void follow(const FollowArgs& f);
int64_t plan_transfers(const TransferPlanArgs& a);
int64_t buffered_transfers(const BufferedTransferArgs& t);
int64_t refresh(const RefreshArgs& r);
int64_t carry(const CarryArgs& c);
void accumulate(const AccumulateArgs& a);
void normals(const NormalArgs& a);
float rate(const RateArgs& r);

// Updates whose pulses are counted or exact, not trains; a part of `update`.
void counted_update(const DeviceArgs& a, const UpdateArgs& u, const Schedule* plan);

}  // namespace tilewright::TW_ISA
