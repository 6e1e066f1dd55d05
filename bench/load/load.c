#include "bench/load/load.h"

#include "base/assert.h"
#include "bench/load/lines.h"
#include "bench/load/wire.h"

#include <stdlib.h>
#include <string.h>

#define HOST_DIGITS 7 /* of node-NNNNNNN */

const char *const weir_bench_proto_names[WEIR_BENCH_PROTOS] = {"influx", "graphite", "weir"};

static const struct weir_bench_load_kind *const kinds[WEIR_BENCH_PROTOS] = {
    &weir_bench_influx_kind, &weir_bench_graphite_kind, &weir_bench_wire_kind};

bool
weir_bench_proto_find(const char *name, enum weir_bench_proto *out)
{
    for (int proto = 0; proto < WEIR_BENCH_PROTOS; proto++) {
        if (strcmp(name, weir_bench_proto_names[proto]) == 0) {
            *out = (enum weir_bench_proto)proto;
            return true;
        }
    }
    return false;
}

enum weir_err
weir_bench_load_new(enum weir_bench_proto proto, uint64_t series, int64_t start_ms, int64_t step_ms,
    struct weir_bench_load **out)
{
    struct weir_bench_load *load;
    WEIR_ASSERT(start_ms % kinds[proto]->unit_ms == 0 && step_ms % kinds[proto]->unit_ms == 0);
    enum weir_err err = proto == WEIR_BENCH_WEIR
        ? weir_bench_wire_new(series, &load)
        : weir_bench_lines_new(kinds[proto], series, &load);
    if (err != WEIR_OK)
        return err;
    load->step_ms = step_ms;
    weir_bench_load_restart(load, start_ms);
    *out = load;
    return WEIR_OK;
}

void
weir_bench_load_free(struct weir_bench_load *load)
{
    load->kind->free(load);
}

size_t
weir_bench_load_next(struct weir_bench_load *load, uint8_t *out, uint32_t *samples)
{
    return load->kind->next(load, out, samples);
}

size_t
weir_bench_load_define(struct weir_bench_load *load, uint8_t *out)
{
    return load->kind->define != NULL ? load->kind->define(load, out) : 0;
}

void
weir_bench_load_restart(struct weir_bench_load *load, int64_t start_ms)
{
    load->start_ms = start_ms;
    load->pass = 0;
    weir_bench_pass_begin(load);
    if (load->kind->restart != NULL)
        load->kind->restart(load);
}

uint64_t
weir_bench_load_passes(const struct weir_bench_load *load)
{
    return load->pass;
}

uint32_t
weir_bench_load_worker(const struct weir_bench_load *load, uint32_t workers)
{
    uint64_t host = weir_bench_load_host(load, 0);
    return (uint32_t)((weir_bench_mix(host) + load->turn) % workers);
}

int64_t
weir_bench_time_ms(
    enum weir_bench_proto proto, int64_t start_ms, int64_t step_ms, uint64_t series, uint64_t pass)
{
    return weir_bench_kind_time_ms(kinds[proto], start_ms, step_ms, series, pass);
}

int64_t
weir_bench_time_unit_ms(enum weir_bench_proto proto)
{
    return kinds[proto]->unit_ms;
}

int64_t
weir_bench_time_whole_ms(enum weir_bench_proto proto, int64_t time_ms)
{
    int64_t unit_ms = kinds[proto]->unit_ms;
    return (time_ms + unit_ms - 1) / unit_ms * unit_ms;
}

int64_t
weir_bench_step_ms(enum weir_bench_proto proto, uint64_t series)
{
    return series >= WEIR_BENCH_SERIES_OF_SECONDS ? 1000 : kinds[proto]->unit_ms;
}

double
weir_bench_value(enum weir_bench_proto proto, uint64_t series, uint64_t pass)
{
    return kinds[proto]->value(series, pass);
}

const char *
weir_bench_job(enum weir_bench_proto proto)
{
    return kinds[proto]->job;
}

bool
weir_bench_series_of(enum weir_bench_proto proto, const uint8_t *labels, size_t size, uint64_t *out)
{
    struct weir_label host;
    if (!weir_labels_find(labels, size, "host", &host) || host.value_size != 5 + HOST_DIGITS)
        return false;
    char digits[HOST_DIGITS + 1] = {0};
    memcpy(digits, host.value + 5, HOST_DIGITS);
    return kinds[proto]->series_of(labels, size, strtoull(digits, NULL, 10), out);
}
