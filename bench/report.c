#include "bench/parts.h"

#include "base/clock.h"

#include <stddef.h>
#include <stdlib.h>

static uint64_t
delta(const struct weir_bench_report *report, size_t word)
{
    return ((const uint64_t *)&report->after.total)[word] -
           ((const uint64_t *)&report->before.total)[word];
}

#define DELTA(report, field) delta(report, offsetof(struct weir_counts, field) / 8)

uint64_t
weir_bench_residual(const struct weir_bench_report *report)
{
    uint64_t total = 0;
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
        total += (uint64_t)llabs(report->after.residual[unit]);
    return total;
}

int64_t
weir_bench_datagrams_unaccounted(const struct weir_bench_report *report)
{
    const struct weir_counts *total = &report->after.total;
    return report->datagrams_sent == 0
               ? 0
               : (int64_t)(report->datagrams_sent - total->unit[WEIR_UNIT_PACKETS].received -
                           total->counter[WEIR_COUNTER_socket_drops]);
}

uint64_t
weir_bench_log_samples_wanted(const struct weir_bench_report *report)
{
    const struct weir_counts *total = &report->readback.total;
    return total->unit[WEIR_UNIT_SAMPLES].stored -
        total->counter[WEIR_COUNTER_log_samples_recycled];
}

static void
report_datagrams(const struct weir_bench_options *options, const struct weir_bench_report *report,
    const struct weir_bench_target *target, json_t *out)
{
    uint64_t sent = report->datagrams_sent - report->datagrams_before;
    uint64_t lost = DELTA(report, counter[WEIR_COUNTER_socket_drops]);
    json_object_set_new(out, "datagrams_sent", json_integer((json_int_t)sent));
    json_object_set_new(out, "datagrams_received",
        json_integer((json_int_t)DELTA(report, unit[WEIR_UNIT_PACKETS].received)));
    json_object_set_new(out, "datagrams_lost", json_integer((json_int_t)lost));
    json_object_set_new(out, "datagrams_unaccounted",
        json_integer((json_int_t)weir_bench_datagrams_unaccounted(report)));
    json_object_set_new(out, "loss", json_real((double)lost / (double)sent));
    if (options->payload_max > 0)
        json_object_set_new(out, "payload_max", json_integer(options->payload_max));
    json_object_set_new(out, "datagram_samples",
        json_real((double)report->offered / (double)sent));
    json_object_set_new(out, "datagrams_ahead_max",
        json_integer((json_int_t)weir_bench_target_ahead(target)));
}

/* A stage counts where it runs: those of a worker are receive to batch. If one thread runs all
 * stages, its CPU time is that of all. */
static json_t *
report_worker(const struct weir_bench_report *report, uint32_t worker)
{
    const struct weir_counts *before = &report->before.block[WEIR_BLOCK_WORKER + worker];
    const struct weir_counts *after = &report->after.block[WEIR_BLOCK_WORKER + worker];
    uint64_t samples = after->unit[WEIR_UNIT_SAMPLES].received -
        before->unit[WEIR_UNIT_SAMPLES].received;
    double each = (double)(samples ? samples : 1);
    double seconds = report->worker_seconds[worker];
    json_t *cycles = json_object();
    for (int stage = 0; stage < WEIR_STAGE_COUNT; stage++)
        if (after->cycles[stage] != before->cycles[stage])
            json_object_set_new(cycles, weir_stage_names[stage],
                json_real((double)(after->cycles[stage] - before->cycles[stage]) / each));
    json_t *out = json_object();
    json_object_set_new(out, "samples", json_integer((json_int_t)samples));
    json_object_set_new(out, "cycles_per_sample", cycles);
    json_object_set_new(out, "cpu_seconds", json_real(seconds));
    json_object_set_new(out, "cores", json_real(seconds / report->seconds));
    json_object_set_new(out, "samples_per_cpu_sec",
        json_real(seconds > 0 ? (double)samples / seconds : 0));
    return out;
}

static json_t *
report_workers(const struct weir_bench_options *options, const struct weir_bench_report *report)
{
    json_t *out = json_array();
    for (uint32_t i = 0; i < options->cores; i++)
        json_array_append_new(out, report_worker(report, i));
    return out;
}

/* Cycles of each stage, a sample or a series. */
static json_t *
cycles_each(const uint64_t *cycles, const uint64_t *since, uint64_t count)
{
    json_t *out = json_object();
    for (int stage = 0; stage < WEIR_STAGE_COUNT; stage++)
        json_object_set_new(out, weir_stage_names[stage],
            json_real((double)(cycles[stage] - (since != NULL ? since[stage] : 0)) /
                      (double)(count ? count : 1)));
    return out;
}

static void
report_recycled(const struct weir_bench_report *report, json_t *out)
{
    const struct weir_counts *total = &report->readback.total;
    json_object_set_new(out, "log_segments_recycled",
        json_integer((json_int_t)total->counter[WEIR_COUNTER_log_segments_recycled]));
    json_object_set_new(out, "log_samples_recycled",
        json_integer((json_int_t)total->counter[WEIR_COUNTER_log_samples_recycled]));
    json_object_set_new(out, "log_samples", json_integer((json_int_t)report->found.log_samples));
    json_object_set_new(out, "log_samples_wanted",
        json_integer((json_int_t)weir_bench_log_samples_wanted(report)));
}

/* Samples from the generator to another process. */
static void
report_samples(const struct weir_bench_options *options, const struct weir_bench_report *report,
    const struct weir_bench_target *target, json_t *out)
{
    uint64_t durable = DELTA(report, unit[WEIR_UNIT_SAMPLES].stored);
    json_object_set_new(out, "offered", json_integer((json_int_t)report->offered));
    json_object_set_new(out, "received",
        json_integer((json_int_t)DELTA(report, unit[WEIR_UNIT_SAMPLES].received)));
    /* nothing of a weir packet is text: its samples are received as they are */
    if (options->proto != WEIR_BENCH_WEIR)
        json_object_set_new(out, "parsed",
            json_integer((json_int_t)DELTA(report, samples[WEIR_STAGE_parse])));
    json_object_set_new(out, "durable", json_integer((json_int_t)durable));
    json_object_set_new(out, "queryable", json_integer((json_int_t)report->found.samples));
    json_object_set_new(out, "compared", json_integer((json_int_t)report->found.compared));
    json_object_set_new(out, "mismatched", json_integer((json_int_t)report->found.wrong));
    json_object_set_new(out, "missing", json_integer((json_int_t)report->found.missing));
    json_object_set_new(out, "read_back_seconds", json_real(report->found.seconds));
    if (options->recycle != 0)
        report_recycled(report, out);
    if (report->datagrams_sent > 0)
        report_datagrams(options, report, target, out);
}

static void
report_rates(const struct weir_bench_options *options, const struct weir_bench_report *report,
    json_t *out)
{
    uint64_t durable = DELTA(report, unit[WEIR_UNIT_SAMPLES].stored);
    json_object_set_new(out, "seconds", json_real(report->seconds));
    json_object_set_new(out, "samples_per_sec_durable",
        json_real((double)durable / report->seconds));
    json_object_set_new(out, "cores", json_real(report->cpu_seconds / report->seconds));
    json_object_set_new(out, "samples_per_sec_core",
        json_real((double)durable / report->cpu_seconds));
    json_object_set_new(out, "cycles_per_sample",
        cycles_each(report->after.total.cycles, report->before.total.cycles, durable));
    json_object_set(out, "interval_cycles_per_sample", report->intervals);
    if (options->cores > 0)
        json_object_set_new(out, "workers", report_workers(options, report));
    json_object_set_new(out, "tsc_hz", json_real(weir_tsc_hz()));
}

static void
report_first_contact(const struct weir_bench_report *report, json_t *out)
{
    json_object_set_new(out, "first_contact_cycles",
        cycles_each(report->warm.total.cycles, NULL, report->warm_series));
    json_object_set_new(out, "first_contact_series", json_integer((json_int_t)report->warm_series));
    json_object_set_new(out, "first_contact_seconds", json_real(report->warm_seconds));
}

static void
report_log(const struct weir_bench_report *report, json_t *out)
{
    uint64_t durable = DELTA(report, unit[WEIR_UNIT_SAMPLES].stored);
    json_object_set_new(out, "bytes_per_sample",
        json_real((double)report->log_bytes / (double)(durable ? durable : 1)));
    json_object_set_new(out, "frames",
        json_integer((json_int_t)DELTA(report, counter[WEIR_COUNTER_frames_written])));
    json_object_set_new(out, "syncs",
        json_integer((json_int_t)DELTA(report, counter[WEIR_COUNTER_syncs])));
    json_object_set_new(out, "fsync", json_true());
    json_object_set_new(out, "ended_early", json_boolean(report->ended_early));
}

static json_t *
asked_json(const struct weir_bench_options *options)
{
    json_t *out = json_object();
    json_object_set_new(out, "source", json_string(weir_bench_source_names[options->source]));
    json_object_set_new(out, "proto", json_string(weir_bench_proto_names[options->proto]));
    json_object_set_new(out, "series", json_integer((json_int_t)options->series));
    return out;
}

json_t *
weir_bench_report_failed_json(const struct weir_bench_options *options, const char *why)
{
    json_t *out = asked_json(options);
    json_object_set_new(out, "failed", json_string(why));
    return out;
}

json_t *
weir_bench_report_json(const struct weir_bench_options *options,
    const struct weir_bench_report *report, const struct weir_bench_target *target)
{
    json_t *out = asked_json(options);
    report_samples(options, report, target, out);
    report_rates(options, report, out);
    json_object_set_new(out, "ledger_residual",
        json_integer((json_int_t)weir_bench_residual(report)));
    report_first_contact(report, out);
    json_object_set_new(out, "generator_ns_per_sample", json_real(report->generator_ns));
    json_object_set_new(out, "generator_cores",
        json_real(report->generator_cpu_seconds / report->seconds));
    report_log(report, out);
    weir_bench_target_describe(target, out);
    return out;
}
