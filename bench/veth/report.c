#include "bench/veth/parts.h"

#include "base/clock.h"
#include "bench/conditions.h"
#include "model/shared.h"

#include <stdlib.h>

static void
set_count(json_t *out, const char *name, uint64_t value)
{
    json_object_set_new(out, name, json_integer((json_int_t)value));
}

static void
set_real(json_t *out, const char *name, double value)
{
    json_object_set_new(out, name, json_real(value));
}

static uint64_t
residual(const struct weir_veth *run)
{
    uint64_t total = 0;
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
        total += (uint64_t)llabs(run->after.ledger.residual[unit]);
    return total;
}

static void
report_frames(const struct weir_veth *run, json_t *out)
{
    const struct weir_veth_snapshot *before = &run->before, *after = &run->after;
    uint64_t sent = after->sent.frames - before->sent.frames;
    set_count(out, "frames_asked_per_sec", run->rate);
    if (run->options->rate == WEIR_VETH_RATE_SEARCH) {
        set_count(out, "search_trials", run->search.trials);
        json_object_set_new(out, "rate_confirmed", json_boolean(run->search.confirmed));
    }
    if (run->runs > 1)
        set_real(out, "first_run_loss", run->first_loss);
    set_count(out, "frames_sent", sent);
    set_real(out, "frames_sent_per_sec", (double)sent / run->options->seconds);
    set_count(out, "frames_received", weir_veth_received(before, after));
    set_count(out, "interface_drops",
        after->sent.interface_drops - before->sent.interface_drops);
    for (size_t i = 0; i < WEIR_VETH_LOSSES; i++) {
        enum weir_counter loss = weir_veth_losses[i];
        set_count(out, weir_counter_names[loss],
            after->ledger.total.counter[loss] - before->ledger.total.counter[loss]);
    }
    uint64_t ended = weir_veth_received(before, after) + weir_veth_lost(before, after);
    json_object_set_new(out, "frames_unaccounted", json_integer((json_int_t)(sent - ended)));
    set_real(out, "loss", weir_veth_loss(before, after));
    set_real(out, "frame_samples",
        (double)(after->sent.samples - before->sent.samples) / (double)sent);
    set_real(out, "frame_bytes",
        (double)(after->sent.bytes - before->sent.bytes) / (double)sent);
}

static void
report_cost(const struct weir_veth *run, json_t *out)
{
    const struct weir_veth_snapshot *before = &run->before, *after = &run->after;
    struct weir_bench_cpu cpu = weir_bench_cpu_between(&before->cpu, &after->cpu);
    double seconds = (double)(after->time_ns - before->time_ns) / 1e9;
    double frames = (double)(after->sent.frames - before->sent.frames);
    uint64_t durable = weir_veth_stored(before, after);
    double load = after->sent.load_seconds - before->sent.load_seconds;
    double kernel = after->sent.kernel_seconds - before->sent.kernel_seconds;
    set_real(out, "seconds", seconds);
    set_real(out, "samples_per_sec_durable", (double)durable / seconds);
    set_real(out, "cores", (cpu.dataplane + cpu.others + cpu.kernel) / seconds);
    set_real(out, "cores_dataplane", cpu.dataplane / seconds);
    set_real(out, "cores_other_processes", cpu.others / seconds);
    set_real(out, "cores_kernel_threads", cpu.kernel / seconds);
    set_real(out, "samples_per_sec_core",
        (double)durable / (cpu.dataplane + cpu.others + cpu.kernel));
    json_t *cycles = json_object();
    for (int i = 0; i < WEIR_STAGE_COUNT; i++)
        set_real(cycles, weir_stage_names[i],
            (double)(after->ledger.total.cycles[i] - before->ledger.total.cycles[i]) /
                (double)(durable != 0 ? durable : 1));
    json_object_set_new(out, "cycles_per_sample", cycles);
    json_object_set(out, "interval_cycles_per_sample", run->intervals);
    set_real(out, "tsc_hz", weir_tsc_hz());
    set_real(out, "generator_load_ns_per_frame", load * 1e9 / frames);
    /* the kernel's thread never sleeps: its waits for the next frame are in it */
    set_real(out, "generator_kernel_and_idle_ns_per_frame", kernel * 1e9 / frames);
    set_real(out, "bytes_per_sample",
        (double)(after->log_end - before->log_end) / (double)(durable != 0 ? durable : 1));
}

json_t *
weir_veth_report(const struct weir_veth *run)
{
    const struct weir_veth_snapshot *before = &run->before, *after = &run->after;
    json_t *out = json_object();
    json_object_set_new(out, "source", json_string("veth"));
    json_object_set_new(out, "receiver",
        json_string(run->options->socket ? "kernel UDP" : "AF_XDP"));
    set_count(out, "pairs", run->options->pairs);
    if (run->options->socket)
        set_count(out, "udp_buffer_bytes", (uint64_t)WEIR_VETH_UDP_BUFFER_MIB << 20);
    json_object_set_new(out, "proto",
        json_string(weir_bench_proto_names[run->options->proto]));
    set_count(out, "series", run->options->series);
    report_frames(run, out);
    set_count(out, "samples_sent", after->sent.samples - before->sent.samples);
    set_count(out, "durable", weir_veth_stored(before, after));
    set_count(out, "queryable", run->found.samples);
    set_count(out, "compared", run->found.compared);
    set_count(out, "mismatched", run->found.wrong);
    set_count(out, "missing", run->found.missing);
    set_real(out, "read_back_seconds", run->found.seconds);
    report_cost(run, out);
    set_count(out, "ledger_residual", residual(run));
    json_object_set_new(out, "kernel_receive_core", json_string("generator"));
    weir_bench_conditions_add(run->shared, weir_veth_dataplane_pid(run), run->options->data, out);
    set_count(out, "syncs", after->ledger.total.counter[WEIR_COUNTER_syncs] -
            before->ledger.total.counter[WEIR_COUNTER_syncs]);
    json_object_set_new(out, "fsync", json_true());
    return out;
}

bool
weir_veth_is_right(const struct weir_veth *run)
{
    const struct weir_veth_snapshot *before = &run->before, *after = &run->after;
    uint64_t frames_lost = weir_veth_lost(before, after);
    return after->sent.frames - before->sent.frames ==
               weir_veth_received(before, after) + frames_lost &&
           weir_veth_stored(before, after) == run->found.samples &&
           run->found.wrong == 0 && (run->found.missing == 0 || frames_lost > 0) &&
           residual(run) == 0;
}
