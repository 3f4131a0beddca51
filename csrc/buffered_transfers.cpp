// A mini-batch of a transfer cell with a digital buffer. The fast array depends on nothing that is read from it, so all
// vectors pass it first, with copies of the lines at the time of their reads; then the reads pass the buffer in order,
// then the writes pass the slow array. The result is that of one vector at a time.
#include "entries.hpp"
#include "lanes.hpp"

namespace tilewright::TW_ISA {
namespace {

// What the plan of a mini-batch says.
struct Planned {
    Scratch<float> fast_lr, x, d, lr;
    Scratch<int32_t> after, line;
    Scratch<int8_t> sign, out_sign, fresh, writes;

    Planned(const TransferPlanArgs& p, bool chopped, int64_t events, int64_t length)
        : fast_lr(p.samples), x(chopped ? p.samples * p.inputs : 0), d(chopped ? p.samples * p.outputs : 0), lr(events),
          after(events), line(events), sign(events), out_sign(events * length), fresh(events), writes(events) {}

    void results(TransferPlanArgs& p, bool chopped) const {
        p.fast_lr = fast_lr.data;
        p.x_chopped = chopped ? x.data : nullptr;
        p.d_chopped = chopped ? d.data : nullptr;
        p.event_after = after.data;
        p.event_line = line.data;
        p.event_lr = lr.data;
        p.event_sign = sign.data;
        p.event_out_sign = out_sign.data;
        p.event_fresh = fresh.data;
        p.event_writes = writes.data;
    }
};

void write_gains(const BufferedTransferArgs& t, const Planned& planned, int64_t events, int64_t seen_before, float* gains) {
    for (int64_t e = 0; e < events; ++e) {
        float gain = t.gain;
        if (t.gain_per_rate != 0) gain = gain / (planned.lr[e] * t.gain_per_rate);
        if (t.most_seen != 0) {
            const float seen = (float)(seen_before + planned.after[e] + 1);
            gain = gain / (seen < t.most_seen ? seen : t.most_seen);
        }
        gains[e] = gain;
    }
}

}  // namespace

int64_t buffered_transfers(const BufferedTransferArgs& t) {
    TransferPlanArgs plan = t.plan;
    const int64_t seen_before = plan.counters[0], first_event = plan.counters[3];
    const int64_t events = (seen_before + plan.samples) / plan.period - seen_before / plan.period;
    const int64_t length = plan.columns ? plan.outputs : plan.inputs;
    const Planned planned(plan, t.chopped, events, length);
    planned.results(plan, t.chopped);
    plan_transfers(plan);

    const Scratch<float> lines(events * length);
    UpdateArgs fast = t.fast_update;
    fast.x = t.chopped ? planned.x.data : plan.x;
    fast.d = t.chopped ? planned.d.data : plan.d;
    fast.samples = plan.samples;
    fast.lr = planned.fast_lr.data;
    fast.lr_uniform = plan.samples == 1;
    fast.snapshots = events;
    fast.snapshot_line = planned.line.data;
    fast.snapshot_after = planned.after.data;
    fast.snapshot_rows = !plan.columns;
    fast.snapshot_out = lines.data;
    update(t.fast, fast);
    if (events == 0) return 0;

    const Scratch<float> gains(events), pulses(events * length);
    const Scratch<int32_t> sent_event(events);
    write_gains(t, planned, events, seen_before, gains.data);
    BufferArgs reads = t.reads;
    reads.events = events;
    reads.length = length;
    reads.lines = lines.data;
    reads.line = planned.line.data;
    reads.line_sign = planned.sign.data;
    reads.out_sign = planned.out_sign.data;
    reads.line_stride = plan.columns ? 1 : plan.inputs;
    reads.element_stride = plan.columns ? plan.inputs : 1;
    reads.gain = gains.data;
    reads.pulses = pulses.data;
    reads.sent_event = sent_event.data;
    if (plan.dynamic) {
        reads.fresh = planned.fresh.data;
        reads.writes = planned.writes.data;
    }
    reads.first_event = (uint64_t)first_event;
    const int64_t sent = buffer(reads);
    if (sent == 0) return 0;

    const Scratch<int32_t> line(sent);
    for (int64_t k = 0; k < sent; ++k) line[k] = planned.line[sent_event[k]];
    UpdateArgs slow = t.slow_update;
    (plan.columns ? slow.x_hot : slow.d_hot) = line.data;
    (plan.columns ? slow.d : slow.x) = pulses.data;
    slow.samples = sent;
    slow.lr = &t.slow_lr;
    slow.lr_uniform = true;
    update(t.slow, slow);
    return sent;
}

}  // namespace tilewright::TW_ISA
