/* The results of `weir bench --overload`: phases, sums, and their table. */
#include "bench/overload_internal.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>

double
weir_bench_number_of(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static void
add_count(json_t *object, const char *name, uint64_t count)
{
    if (count != 0)
        json_object_set_new(object, name, json_integer((json_int_t)count));
}

/* Losses between two moments, by name: packets before the dataplane, samples in it. */
static json_t *
losses_json(const struct weir_bench_moment *before, const struct weir_bench_moment *after)
{
    json_t *out = json_object();
    add_count(out, "ring_full_packets",
        after->ring_full - before->ring_full + after->churn_full - before->churn_full);
    add_count(out, "socket_drops_packets",
        after->total.counter[WEIR_COUNTER_socket_drops] -
            before->total.counter[WEIR_COUNTER_socket_drops]);
    const struct weir_ledger_unit *was = &before->total.unit[WEIR_UNIT_SAMPLES];
    const struct weir_ledger_unit *is = &after->total.unit[WEIR_UNIT_SAMPLES];
    for (int reason = 0; reason < WEIR_REASON_COUNT; reason++) {
        char name[64];
        snprintf(name, sizeof name, "%s_samples", weir_reason_names[reason]);
        add_count(out, name,
            is->rejected[reason] - was->rejected[reason] + is->dropped[reason] -
                was->dropped[reason]);
    }
    return out;
}

void
weir_bench_overload_phase(struct weir_bench_overload *bench, const char *name,
    const struct weir_bench_moment *before, const struct weir_bench_moment *after, json_t *extra)
{
    double seconds = (double)(after->ns - before->ns) / 1e9;
    uint64_t stored =
        after->total.unit[WEIR_UNIT_SAMPLES].stored - before->total.unit[WEIR_UNIT_SAMPLES].stored;
    /* a new series has one sample */
    uint64_t defined = after->total.counter[WEIR_COUNTER_series_defined] -
        before->total.counter[WEIR_COUNTER_series_defined];
    double known = (double)(after->offered - before->offered -
                       (after->churn_offered - before->churn_offered)) *
        PACKET_LINES;
    json_t *phase = extra != NULL ? extra : json_object();
    json_object_set_new(phase, "phase", json_string(name));
    json_object_set_new(phase, "seconds", json_real(seconds));
    json_object_set_new(phase, "offered_per_sec", json_real(known / seconds));
    json_object_set_new(phase, "durable_per_sec", json_real((double)(stored - defined) / seconds));
    if (after->churn_offered != before->churn_offered) {
        json_object_set_new(phase, "new_offered_per_sec",
            json_real(
                (double)(after->churn_offered - before->churn_offered) * PACKET_LINES / seconds));
        json_object_set_new(phase, "new_defined_per_sec", json_real((double)defined / seconds));
        json_object_set_new(
            phase, "durable_of_offered", json_real((double)(stored - defined) / known));
    }
    double durable = (double)(stored - defined) / seconds;
    double peak = bench->peak > 0 ? bench->peak : durable; /* this is the peak */
    if (peak > 0) {
        json_object_set_new(phase, "offered_of_peak", json_real(known / seconds / peak));
        json_object_set_new(phase, "durable_of_peak", json_real(durable / peak));
    }
    json_object_set_new(phase, "lost", losses_json(before, after));
    json_t *stages = json_object();
    for (int stage = 0; stage < WEIR_STAGE_COUNT; stage++)
        json_object_set_new(stages, weir_stage_names[stage],
            json_real((double)(after->total.cycles[stage] - before->total.cycles[stage]) /
                weir_tsc_hz() / seconds));
    json_object_set_new(phase, "stage_cores", stages);
    json_object_set_new(
        phase, "private_bytes", json_integer((json_int_t)after->memory.private_bytes));
    json_object_set_new(
        phase, "shared_bytes", json_integer((json_int_t)after->memory.shared_bytes));
    json_array_append_new(bench->phases, phase);
}

bool
weir_bench_overload_sums(const struct weir_bench_overload *bench, json_t *out)
{
    const struct weir_ledger_sum *sum = bench->sum;
    const struct weir_ledger_unit *packets = &sum->total.unit[WEIR_UNIT_PACKETS];
    const struct weir_ledger_unit *samples = &sum->total.unit[WEIR_UNIT_SAMPLES];
    uint64_t socket_drops = sum->total.counter[WEIR_COUNTER_socket_drops];
    int64_t unnamed = (int64_t)(bench->offered - packets->received - socket_drops -
        bench->ring_full - bench->churn_full);
    uint64_t ended_samples = samples->stored;
    for (int reason = 0; reason < WEIR_REASON_COUNT; reason++)
        ended_samples += samples->rejected[reason] + samples->dropped[reason];
    int64_t unnamed_samples = (int64_t)(packets->received * PACKET_LINES - ended_samples);
    json_object_set_new(out, "offered_packets", json_integer((json_int_t)bench->offered));
    json_object_set_new(out, "received_packets", json_integer((json_int_t)packets->received));
    json_object_set_new(
        out, "ring_full_packets", json_integer((json_int_t)(bench->ring_full + bench->churn_full)));
    json_object_set_new(out, "socket_drops_packets", json_integer((json_int_t)socket_drops));
    json_object_set_new(out, "unnamed_packets", json_integer(unnamed));
    json_object_set_new(out, "unnamed_samples", json_integer(unnamed_samples));
    bool closed = unnamed == 0 && unnamed_samples == 0;
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        closed &= sum->residual[unit] == 0;
        json_object_set_new(out,
            unit == WEIR_UNIT_PACKETS       ? "residual_packets"
                : unit == WEIR_UNIT_RECORDS ? "residual_records"
                                            : "residual_samples",
            json_integer(sum->residual[unit]));
    }
    if (!closed)
        (void)!weir_fail(WEIR_CORRUPT, 0, "without a name: packets %" PRId64 ", samples %" PRId64,
            unnamed, unnamed_samples);
    return closed;
}

/* "NAME COUNT" of each that is not nothing; "-" for none. */
static void
print_counts(json_t *counts)
{
    const char *name;
    json_t *count;
    const char *before = "";
    json_object_foreach(counts, name, count)
    {
        printf("%s%s %" PRId64, before, name, (int64_t)json_integer_value(count));
        before = ", ";
    }
    printf("%s\n", before[0] == '\0' ? "-" : "");
}

void
weir_bench_overload_print(const json_t *out)
{
    size_t index;
    json_t *phase, *value;
    const char *key;
    printf("%-6s %8s %12s %6s %12s %12s %12s %12s  %s\n", "phase", "seconds", "offered/s", "x-peak",
        "durable/s", "new/s", "defined/s", "private MiB", "lost");
    json_array_foreach(json_object_get(out, "phases"), index, phase)
    {
        printf("%-6s %8.2f %12.0f %6.2f %12.0f %12.0f %12.0f %12.1f  ",
            json_string_value(json_object_get(phase, "phase")),
            weir_bench_number_of(phase, "seconds"), weir_bench_number_of(phase, "offered_per_sec"),
            weir_bench_number_of(phase, "offered_of_peak"),
            weir_bench_number_of(phase, "durable_per_sec"),
            weir_bench_number_of(phase, "new_offered_per_sec"),
            weir_bench_number_of(phase, "new_defined_per_sec"),
            weir_bench_number_of(phase, "private_bytes") / (1 << 20));
        print_counts(json_object_get(phase, "lost"));
    }
    json_object_foreach(json_object_get(out, "sums"), key, value)
        printf("%-26s %" PRId64 "\n", key, (int64_t)json_integer_value(value));
}
