/* Packets of the weir protocol (docs/format/wire.md), as the client library lays them out: a
 * pass over an agent fills one packet of WEIR_CLIENT_PACKET_DEFAULT bytes and begins another. */
#include "bench/load/wire.h"

#include "base/assert.h"
#include "base/crc.h"
#include "client/weir_client.h"
#include "client/wire.h"
#include "model/labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AGENT_SERIES 200
#define KINDS 12 /* metrics of an instance: a core, a disk, a queue */
#define FIRST_SERIES \
    ((WEIR_CLIENT_PACKET_DEFAULT - sizeof(struct weir_wire_header) - WEIR_WIRE_GROUP_HEAD) / \
        sizeof(double))
_Static_assert(FIRST_SERIES < AGENT_SERIES && 2 * FIRST_SERIES >= AGENT_SERIES, "two packets");
_Static_assert(WEIR_CLIENT_PACKET_DEFAULT <= WEIR_BENCH_PACKET_MAX, "a packet fits a slot");

/* Value of a series: (least + walk) / divisor. walk moves by a step of the series' own and stays
 * below a power of two: a counter climbs for good and a gauge comes round. */
struct metric {
    const char *name;
    double divisor;
    uint64_t least;
    uint64_t mask;
    uint64_t step_mask;
};

static const struct metric metrics[KINDS] = {
    {"cpu_usage_user", 100, 1000, (1 << 13) - 1, 255},
    {"cpu_usage_system", 100, 100, (1 << 9) - 1, 31},
    {"cpu_usage_idle", 100, 1000, (1 << 13) - 1, 255},
    {"mem_used", 1, 1000000000, (UINT64_C(1) << 33) - 1, (1 << 20) - 1},
    {"mem_used_percent", 1000, 10000, (1 << 16) - 1, 1023},
    {"disk_read_bytes", 1, 100000000000, (UINT64_C(1) << 42) - 1, 4095},
    {"disk_io_time", 1, 10000000, (UINT64_C(1) << 40) - 1, 127},
    {"net_bytes_recv", 1, 10000000000, (UINT64_C(1) << 42) - 1, (1 << 17) - 1},
    {"net_packets_recv", 1, 100000000, (UINT64_C(1) << 40) - 1, 1023},
    {"system_load1", 100, 100, (1 << 9) - 1, 15},
    {"http_latency", 100000, 10000, (1 << 16) - 1, 2047},
    {"queue_depth", 1, 100, (1 << 9) - 1, 15},
};

struct weir_bench_wire {
    struct weir_bench_load load;
    uint32_t epoch;
    uint32_t part;         /* packets of the agent whose turn it is done */
    uint64_t define_host;  /* agent that is named next */
    uint32_t define_first; /* from this series on */
    uint64_t *sequences;   /* of each agent: numbers used */
};

static struct weir_bench_wire *
wire_of(struct weir_bench_load *load)
{
    return (struct weir_bench_wire *)load;
}

static inline double
value_of(const struct metric *metric, uint64_t series, uint64_t pass)
{
    /* two rounds of the finalizer MurmurHash3 ends with (Appleby): spread, not secrecy */
    uint64_t random = series * UINT64_C(0xff51afd7ed558ccd);
    random = (random ^ random >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    random ^= random >> 33;
    uint64_t step = 1 + (random >> 40 & metric->step_mask);
    uint64_t walk = ((random & 0xffff) + pass * step) & metric->mask;
    return (double)(int64_t)(metric->least + walk) / metric->divisor;
}

static double
wire_value(uint64_t series, uint64_t pass)
{
    return value_of(&metrics[series % AGENT_SERIES % KINDS], series, pass);
}

static uint32_t
agent_of(uint64_t host, char name[16])
{
    (void)snprintf(name, 16, "node-%07u", (unsigned)host);
    return (uint32_t)weir_bench_mix(host); /* of its template */
}

/* Completes the header of a packet of `length` bytes with one record. */
static size_t
seal(const struct weir_bench_wire *wire, uint64_t host, uint8_t flags, uint64_t sequence,
    uint8_t *out, size_t length)
{
    struct weir_wire_header header = {.magic = WEIR_WIRE_MAGIC,
        .version = WEIR_WIRE_VERSION,
        .flags = flags,
        .record_count = 1,
        .length = (uint32_t)length,
        .epoch = wire->epoch,
        .sender = weir_bench_mix(host ^ UINT64_C(0x7765697262656e63)),
        .sequence = sequence,
        .base_time_ms = weir_bench_kind_time_ms(&weir_bench_wire_kind, wire->load.start_ms,
            wire->load.step_ms, host * AGENT_SERIES, wire->load.pass)};
    uint32_t crc = weir_crc32c(0, &header, offsetof(struct weir_wire_header, crc));
    header.crc = weir_crc32c(crc, out + sizeof header, length - sizeof header);
    memcpy(out, &header, sizeof header);
    return length;
}

/* Metric i of an agent is of kind i % KINDS: the inner loop reads the kinds in turn. */
static void
put_values(uint8_t *out, uint64_t series, uint32_t first, uint32_t count, uint64_t pass)
{
    uint32_t kind = first % KINDS;
    for (uint32_t i = 0; i < count; i++) {
        double value = value_of(&metrics[kind], series + i, pass);
        memcpy(out + i * sizeof value, &value, sizeof value);
        kind = kind + 1 == KINDS ? 0 : kind + 1;
    }
}

static size_t
wire_next(struct weir_bench_load *load, uint8_t *out, uint32_t *samples)
{
    struct weir_bench_wire *wire = wire_of(load);
    uint64_t host = weir_bench_load_host(load, 0);
    uint32_t total = weir_bench_load_host_series(load, host);
    uint32_t first = wire->part * (uint32_t)FIRST_SERIES;
    uint32_t count = total - first;
    count = count < FIRST_SERIES ? count : (uint32_t)FIRST_SERIES;
    size_t length = WEIR_WIRE_GROUP_HEAD + count * sizeof(double);
    const struct weir_wire_record record = {.type = WEIR_WIRE_GROUP,
        .length = (uint16_t)length,
        .first = (uint16_t)first,
        .template_hash = (uint32_t)weir_bench_mix(host),
        .count = (uint16_t)count};
    uint8_t *at = out + sizeof(struct weir_wire_header);
    memcpy(at, &record, sizeof record);
    memset(at + sizeof record, 0, WEIR_WIRE_GROUP_HEAD - sizeof record);
    put_values(at + WEIR_WIRE_GROUP_HEAD, host * AGENT_SERIES + first, first, count, load->pass);
    length = seal(wire, host, 0, ++wire->sequences[host], out, sizeof(struct weir_wire_header) +
        length);
    __builtin_prefetch(&wire->sequences[weir_bench_load_host(load, 2)], 1);
    wire->part++;
    if (first + count == total) {
        wire->part = 0;
        weir_bench_load_advance(load);
    }
    *samples = count;
    return length;
}

static uint8_t *
put_label(uint8_t *out, const char *name, const char *value)
{
    uint16_t sizes[2] = {(uint16_t)strlen(name), (uint16_t)strlen(value)};
    memcpy(out, sizes, sizeof sizes);
    memcpy(out + sizeof sizes, name, sizes[0]);
    memcpy(out + sizeof sizes + sizes[0], value, sizes[1]);
    return out + sizeof sizes + sizes[0] + sizes[1];
}

/* Writes the size of a list in front of it. */
static void
close_list(uint8_t *list, const uint8_t *end)
{
    uint16_t size = (uint16_t)(end - list - 2);
    memcpy(list, &size, sizeof size);
}

static size_t
wire_define(struct weir_bench_load *load, uint8_t *out)
{
    struct weir_bench_wire *wire = wire_of(load);
    uint64_t host = wire->define_host;
    if (host == load->host_count) {
        wire->define_host = 0;
        return 0;
    }
    char text[16];
    uint32_t total = weir_bench_load_host_series(load, host);
    struct weir_wire_record record = {.type = WEIR_WIRE_DEFINITION,
        .first = (uint16_t)wire->define_first,
        .template_hash = agent_of(host, text),
        .total = (uint16_t)total};
    uint8_t *body = out + sizeof(struct weir_wire_header);
    uint8_t *list = body + sizeof record;
    uint8_t *at = put_label(list + 2, "job", wire->load.kind->job);
    at = put_label(at, "host", text);
    at = put_label(at, "region", weir_bench_regions[host % WEIR_BENCH_REGIONS]);
    (void)snprintf(text, sizeof text, "r%02u",
        (unsigned)(host / WEIR_BENCH_REGIONS % WEIR_BENCH_RACKS));
    at = put_label(at, "rack", text);
    close_list(list, at);
    while (record.first + record.count < total &&
        at - out < WEIR_CLIENT_PACKET_DEFAULT - 64) { /* a name and an instance fit */
        uint32_t i = record.first + record.count++;
        list = at;
        at = put_label(list + 2, "__name__", metrics[i % KINDS].name);
        (void)snprintf(text, sizeof text, "%u", i / KINDS);
        at = put_label(at, "instance", text);
        close_list(list, at);
    }
    WEIR_ASSERT(at - out <= WEIR_CLIENT_PACKET_DEFAULT);
    record.length = (uint16_t)(at - body);
    memcpy(body, &record, sizeof record);
    wire->define_first += record.count;
    if (wire->define_first == total) {
        wire->define_first = 0;
        wire->define_host++;
    }
    return seal(wire, host, WEIR_WIRE_UNNUMBERED, wire->sequences[host], out, (size_t)(at - out));
}

static bool
wire_series_of(const uint8_t *labels, size_t size, uint64_t host, uint64_t *out)
{
    struct weir_label name, instance;
    if (!weir_labels_find(labels, size, WEIR_NAME_LABEL, &name) ||
        !weir_labels_find(labels, size, "instance", &instance) || instance.value_size > 2)
        return false;
    char digits[3] = {0};
    memcpy(digits, instance.value, instance.value_size);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        const char *wanted = metrics[kind].name;
        if (strlen(wanted) == name.value_size && memcmp(wanted, name.value, name.value_size) == 0) {
            *out = host * AGENT_SERIES + strtoull(digits, NULL, 10) * KINDS + kind;
            return true;
        }
    }
    return false;
}

enum weir_err
weir_bench_wire_new(uint64_t series, struct weir_bench_load **out)
{
    struct weir_bench_wire *wire = calloc(1, sizeof *wire);
    if (wire == NULL)
        return weir_fail(WEIR_NOMEM, 0, "benchmark packets");
    wire->load.kind = &weir_bench_wire_kind;
    wire->load.series = series;
    wire->load.host_count = (series + AGENT_SERIES - 1) / AGENT_SERIES;
    wire->epoch = (uint32_t)time(NULL); /* later than that of an earlier run on the same log */
    wire->sequences = calloc(wire->load.host_count, sizeof *wire->sequences);
    if (wire->sequences == NULL) {
        free(wire);
        return weir_fail(WEIR_NOMEM, 0, "numbers of the agents of %llu series",
            (unsigned long long)series);
    }
    *out = &wire->load;
    return WEIR_OK;
}

/* The agent whose second packet was due is not the first one now. */
static void
wire_restart(struct weir_bench_load *load)
{
    wire_of(load)->part = 0;
}

static void
wire_free(struct weir_bench_load *load)
{
    free(wire_of(load)->sequences);
    free(wire_of(load));
}

const struct weir_bench_load_kind weir_bench_wire_kind = {.proto = WEIR_BENCH_WEIR,
    .unit_ms = 1,
    .host_series = AGENT_SERIES,
    .job = "weir-bench-agents",
    .next = wire_next,
    .define = wire_define,
    .restart = wire_restart,
    .free = wire_free,
    .value = wire_value,
    .series_of = wire_series_of};
