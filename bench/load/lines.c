/* Lines of text, a host's to a packet: Influx line protocol, and Graphite plaintext with tags. The
 * metrics, their values and their series are the same. */
#include "bench/load/lines.h"

#include "base/assert.h"
#include "bench/load/digits.h"
#include "model/labels.h"
#include "model/sample.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_LINES 12
#define LINE_MAX_BYTES (WEIR_BENCH_PACKET_MAX / HOST_LINES)
#define JOB "weir-bench"
#define TIME_DIGITS 19 /* nanoseconds since 2001 and until 2286 */
#define TIME_DIGITS_SECONDS 10

/* One line's measurement on a host. digits are all significant. The text has a fixed width: a
 * template can be patched. */
struct metric {
    const char *measurement;
    const char *field;
    const char *name;   /* as stored */
    const char *before; /* of the digits */
    const char *after;
    uint8_t digits;
    int8_t exponent;
    uint8_t point_at; /* digits before the decimal point; digits for none */
    uint64_t least;   /* value of the digits: least .. least + range - 1 */
    uint64_t range;
    uint64_t step_max; /* a counter grows by at most this a round over all series; 0: a gauge */
};

static const struct metric metrics[HOST_LINES] = {
    {"cpu", "usage_user", "cpu_usage_user", "", "", 4, -2, 2, 1000, 9000, 0},
    {"cpu", "usage_system", "cpu_usage_system", "", "", 3, -2, 1, 100, 900, 0},
    {"cpu", "usage_idle", "cpu_usage_idle", "", "", 4, -2, 2, 1000, 9000, 0},
    {"mem", "used", "mem_used", "", "i", 10, 0, 10, 1000000000, 8000000000, 0},
    {"mem", "used_percent", "mem_used_percent", "", "", 5, -3, 2, 10000, 90000, 0},
    {"disk", "read_bytes", "disk_read_bytes", "", "i", 12, 0, 12, 100000000000, 800000000000, 4096},
    {"disk", "io_time", "disk_io_time", "", "i", 8, 0, 8, 10000000, 80000000, 100},
    {"net", "bytes_recv", "net_bytes_recv", "", "i", 11, 0, 11, 10000000000, 80000000000, 150000},
    {"net", "packets_recv", "net_packets_recv", "", "i", 9, 0, 9, 100000000, 800000000, 900},
    {"system", "load1", "system_load1", "", "", 3, -2, 1, 100, 900, 0},
    {"http", "latency", "http_latency", "0.", "", 5, -5, 5, 10000, 90000, 0},
    {"queue", "depth", "queue_depth", "", "i", 3, 0, 3, 100, 900, 0},
};

/* Hosts of a region differ in the digits of their number and rack alone: one packet of text serves
 * all of them and stays in the nearest cache. */
#define HOST_DIGITS 7
#define RACK_DIGITS 2
_Static_assert(WEIR_BENCH_SERIES_MAX / HOST_LINES <= 10000000, "HOST_DIGITS");

struct line {
    uint16_t host_at; /* in the packet */
    uint16_t rack_at;
    uint16_t value_at;
    uint16_t time_at;
    uint16_t end;
};

struct layout {
    struct line lines[HOST_LINES];
    uint8_t text[WEIR_BENCH_PACKET_MAX];
};

struct weir_bench_lines {
    struct weir_bench_load load;
    struct layout layouts[WEIR_BENCH_REGIONS];
};

/* random * count / 2^64: evenly below count, as a remainder would be, without the division. */
static inline uint64_t
below(uint64_t random, uint64_t count)
{
    return (uint64_t)((unsigned __int128)random * count >> 64);
}

/* The digits of a series of this metric in pass p: counters climb by steps of their own, gauges
 * walk up and down by up to an eighth of their range a pass. */
static inline uint64_t
digits_value(const struct metric *metric, uint64_t series, uint64_t pass)
{
    uint64_t random = weir_bench_mix(series);
    uint64_t walked = below(random, metric->range);
    if (metric->step_max > 0) {
        uint64_t step = 1 + ((random & UINT32_MAX) * metric->step_max >> 32);
        walked += pass * step + below(weir_bench_mix(series + pass), step);
    } else {
        uint64_t swing = metric->range / 8 + 1;
        walked += below(weir_bench_mix(series ^ pass << 40), swing) + pass % 16 * (swing / 16);
    }
    /* seldom: a remainder is dear */
    return metric->least + (walked < metric->range ? walked : walked % metric->range);
}

static double
lines_value(uint64_t series, uint64_t pass)
{
    const struct metric *metric = &metrics[series % HOST_LINES];
    return weir_decimal_double((int64_t)digits_value(metric, series, pass), metric->exponent);
}

/* Eight decimal digits, one a byte, the first in the lowest: in halves, in quarters, in eighths,
 * each a multiplication that divides by 100 or 10. value < 10^count, count <= 8. */
static inline uint64_t
eight_digits(uint64_t value, unsigned count)
{
    uint64_t fours = count > 4 ? value / 10000 | value % 10000 << 32 : value << 32;
    uint64_t tops = fours * 5243 >> 19 & UINT64_C(0x7f0000007f);
    uint64_t twos = tops | (fours - tops * 100) << 16;
    uint64_t tens = twos * 103 >> 10 & UINT64_C(0xf000f000f000f);
    return tens | (twos - tens * 10) << 8;
}

/* Adds up to eight digits to the zeros of the layout's text that end at `at`. The text before them
 * is copied from the layout again. */
static inline void
add_digits(uint8_t *out, const uint8_t *text, size_t at, uint64_t digits)
{
    uint64_t zeros;
    memcpy(&zeros, text + at - 8, 8);
    zeros += digits;
    memcpy(out + at - 8, &zeros, 8);
}

/* Writes a value over the zeros of its place; those before the point move to the left of it. */
static inline void
put_value(uint8_t *out, const uint8_t *text, size_t at, const struct metric *metric, uint64_t value)
{
    if (metric->point_at < metric->digits) {
        uint64_t digits = eight_digits(value, metric->digits);
        uint64_t behind = UINT64_MAX << 8 * (8 - (metric->digits - metric->point_at));
        add_digits(out, text, at + metric->digits + 1u,
            (digits & behind) | (digits & ~behind) >> 8);
        return;
    }
    at += metric->digits;
    if (metric->digits > 8)
        add_digits(out, text, at - 8, eight_digits(value / 100000000, metric->digits - 8u));
    unsigned low = metric->digits < 8 ? metric->digits : 8;
    add_digits(out, text, at, eight_digits(value % 100000000, low));
}

static size_t
zeros(uint8_t *out, size_t count)
{
    memset(out, '0', count);
    return count;
}

/* The differences between the two kinds of lines. */
struct style {
    char tag;        /* comes before a tag */
    bool field;      /* the value has its field's name before it, and an integer its mark */
    uint8_t time_digits;
    int64_t time_scale; /* follows a time of one unit_ms in the text */
};

static const struct style styles[WEIR_BENCH_PROTOS] = {
    [WEIR_BENCH_INFLUX] = {',', true, TIME_DIGITS, 1000000},
    [WEIR_BENCH_GRAPHITE] = {';', false, TIME_DIGITS_SECONDS, 1}};

/* One line of a layout, zeros where hosts and passes differ. Returns the place after it. */
static size_t
layout_line(struct layout *layout, const struct style *style, unsigned index, const char *region,
    size_t at)
{
    const struct metric *metric = &metrics[index];
    struct line *line = &layout->lines[index];
    uint8_t *text = layout->text;
    at += (size_t)sprintf((char *)text + at, "%s%cjob=" JOB "%chost=node-",
        style->field ? metric->measurement : metric->name, style->tag, style->tag);
    line->host_at = (uint16_t)at;
    at += zeros(text + at, HOST_DIGITS);
    at += (size_t)sprintf((char *)text + at, "%cregion=%s%crack=r", style->tag, region,
        style->tag);
    line->rack_at = (uint16_t)at;
    at += zeros(text + at, RACK_DIGITS);
    at += (size_t)sprintf((char *)text + at, " %s%s%s", style->field ? metric->field : "",
        style->field ? "=" : "", metric->before);
    line->value_at = (uint16_t)at;
    at += zeros(text + at, metric->digits + (metric->point_at == metric->digits ? 0u : 1u));
    if (metric->point_at < metric->digits)
        text[line->value_at + metric->point_at] = '.';
    at += (size_t)sprintf((char *)text + at, "%s ", style->field ? metric->after : "");
    line->time_at = (uint16_t)at;
    at += zeros(text + at, style->time_digits);
    text[at++] = '\n';
    line->end = (uint16_t)at;
    return at;
}

static void
layout_init(struct layout *layout, const struct style *style, const char *region)
{
    size_t at = 0;
    for (unsigned i = 0; i < HOST_LINES; i++) {
        WEIR_ASSERT(at + LINE_MAX_BYTES <= WEIR_BENCH_PACKET_MAX);
        at = layout_line(layout, style, i, region, at);
    }
}

enum weir_err
weir_bench_lines_new(const struct weir_bench_load_kind *kind, uint64_t series,
    struct weir_bench_load **out)
{
    WEIR_ASSERT(series > 0 && series <= WEIR_BENCH_SERIES_MAX);
    struct weir_bench_lines *lines = calloc(1, sizeof *lines);
    if (lines == NULL)
        return weir_fail(WEIR_NOMEM, 0, "benchmark lines");
    lines->load.kind = kind;
    lines->load.series = series;
    lines->load.host_count = (series + HOST_LINES - 1) / HOST_LINES;
    for (int region = 0; region < WEIR_BENCH_REGIONS; region++)
        layout_init(&lines->layouts[region], &styles[kind->proto], weir_bench_regions[region]);
    *out = &lines->load;
    return WEIR_OK;
}

static void
lines_free(struct weir_bench_load *load)
{
    free(load);
}

/* The digits that replace the zeros of all lines of a packet. */
struct patch {
    uint8_t host[HOST_DIGITS];
    uint8_t rack[RACK_DIGITS];
    uint8_t time[TIME_DIGITS];
};

static inline __attribute__((always_inline)) void
put_line(uint8_t *out, const struct layout *layout, const struct patch *patch, unsigned index,
    unsigned time_digits, uint64_t value)
{
    const struct line *line = &layout->lines[index];
    /* the value first: it writes some of the layout in front of it once more */
    put_value(out, layout->text, line->value_at, &metrics[index], value);
    memcpy(out + line->host_at, patch->host, HOST_DIGITS);
    memcpy(out + line->rack_at, patch->rack, RACK_DIGITS);
    memcpy(out + line->time_at, patch->time, time_digits);
}

static inline __attribute__((always_inline)) size_t
lines_next(struct weir_bench_load *load, const struct style *style, uint8_t *out, uint32_t *samples)
{
    uint64_t host = weir_bench_load_host(load, 0), pass = load->pass;
    uint64_t first = host * HOST_LINES;
    uint32_t count = weir_bench_load_host_series(load, host);
    const struct layout *layout =
        &((struct weir_bench_lines *)load)->layouts[host % WEIR_BENCH_REGIONS];
    size_t size = layout->lines[count - 1].end;
    struct patch patch;
    int64_t time_ms =
        weir_bench_kind_time_ms(load->kind, load->start_ms, load->step_ms, first, pass);
    weir_bench_put_digits(patch.host + HOST_DIGITS, host, HOST_DIGITS);
    weir_bench_put_digits(patch.rack + RACK_DIGITS,
        host / WEIR_BENCH_REGIONS % WEIR_BENCH_RACKS, RACK_DIGITS);
    weir_bench_put_digits(patch.time + style->time_digits,
        (uint64_t)(time_ms / load->kind->unit_ms * style->time_scale), style->time_digits);
    memcpy(out, layout->text, size);
    *samples = count;
    weir_bench_load_advance(load);
    /* unrolled: the contents of metrics[] are known when this is compiled */
    if (count == HOST_LINES) {
#pragma GCC unroll 12
        for (unsigned i = 0; i < HOST_LINES; i++)
            put_line(out, layout, &patch, i, style->time_digits,
                digits_value(&metrics[i], first + i, pass));
        return size;
    }
    for (unsigned i = 0; i < count; i++)
        put_line(out, layout, &patch, i, style->time_digits,
            digits_value(&metrics[i], first + i, pass));
    return size;
}

static size_t
influx_next(struct weir_bench_load *load, uint8_t *out, uint32_t *samples)
{
    return lines_next(load, &styles[WEIR_BENCH_INFLUX], out, samples);
}

static size_t
graphite_next(struct weir_bench_load *load, uint8_t *out, uint32_t *samples)
{
    return lines_next(load, &styles[WEIR_BENCH_GRAPHITE], out, samples);
}

static bool
lines_series_of(const uint8_t *labels, size_t size, uint64_t host, uint64_t *out)
{
    struct weir_label name;
    if (!weir_labels_find(labels, size, WEIR_NAME_LABEL, &name))
        return false;
    for (unsigned i = 0; i < HOST_LINES; i++) {
        const char *wanted = metrics[i].name;
        if (strlen(wanted) == name.value_size && memcmp(wanted, name.value, name.value_size) == 0) {
            *out = host * HOST_LINES + i;
            return true;
        }
    }
    return false;
}

const struct weir_bench_load_kind weir_bench_influx_kind = {.proto = WEIR_BENCH_INFLUX,
    .host_series = HOST_LINES,
    .job = JOB,
    .unit_ms = 1,
    .next = influx_next,
    .free = lines_free,
    .value = lines_value,
    .series_of = lines_series_of};

const struct weir_bench_load_kind weir_bench_graphite_kind = {.proto = WEIR_BENCH_GRAPHITE,
    .host_series = HOST_LINES,
    .job = JOB,
    .unit_ms = 1000,
    .next = graphite_next,
    .free = lines_free,
    .value = lines_value,
    .series_of = lines_series_of};
