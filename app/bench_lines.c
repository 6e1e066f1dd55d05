/* Lines of text, a host's to a packet: Influx line protocol, and Graphite plaintext with tags. The
 * metrics, their values and their series are the same. */
#include "app/bench_load.h"

#include "base/assert.h"
#include "base/sample.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_LINES 12
#define LINE_MAX_BYTES (WEIR_BENCH_PACKET_MAX / HOST_LINES)
#define JOB "weir-bench"
#define TIME_DIGITS 19 /* nanoseconds since 2001 and until 2286 */
#define TIME_DIGITS_SECONDS 10

/* What one line of a host measures. digits are all significant; the text has a fixed width, so
 * that a template can be patched. */
struct metric {
    const char *measurement;
    const char *field;
    const char *name;   /* as stored */
    const char *before; /* of the digits */
    const char *after;
    uint8_t digits;
    int8_t exponent;
    uint8_t point_at; /* digits before the decimal point; digits for none */
    uint64_t least;   /* value of the digits lies in least .. least + range - 1 */
    uint64_t range;
    uint64_t step_max; /* a counter moves up by at most this a pass; 0 for a gauge */
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

/* Hosts of a region differ in the digits of their number and rack alone, so that one packet of text
 * serves all of them, and stays in the nearest cache. */
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

/* The digits of series i in pass p: counters climb by steps of their own, gauges walk up and
 * down by up to an eighth of their range a pass. */
static uint64_t
digits_value(uint64_t series, uint64_t pass)
{
    const struct metric *metric = &metrics[series % HOST_LINES];
    uint64_t random = weir_bench_mix(series);
    uint64_t walked;
    if (metric->step_max > 0) {
        uint64_t step = 1 + (random >> 32) % metric->step_max;
        walked = random + pass * step + weir_bench_mix(series + pass) % step;
    } else {
        uint64_t swing = metric->range / 8 + 1;
        walked = random + weir_bench_mix(series ^ pass << 40) % swing + pass % 16 * (swing / 16);
    }
    return metric->least + walked % metric->range;
}

static double
lines_value(uint64_t series, uint64_t pass)
{
    const struct metric *metric = &metrics[series % HOST_LINES];
    return weir_decimal_double((int64_t)digits_value(series, pass), metric->exponent);
}

/* Writes the digits with their decimal point at `at`: all of them, one place too far to the
 * right, then those in front of the point again. */
static inline void
put_value(uint8_t *at, const struct metric *metric, uint64_t value)
{
    unsigned digits = metric->digits, front = metric->point_at;
    if (front == digits) {
        weir_bench_put_digits(at + digits, value, digits);
        return;
    }
    weir_bench_put_digits(at + digits + 1, value, digits);
    for (unsigned i = 0; i < front; i++)
        at[i] = at[i + 1];
    at[front] = '.';
}

static size_t
zeros(uint8_t *out, size_t count)
{
    memset(out, '0', count);
    return count;
}

/* What the two kinds of lines differ in. */
struct style {
    char tag;        /* stands before a tag */
    bool field;      /* the value has its field's name before it, and an integer its mark */
    uint8_t time_digits;
    int64_t time_scale; /* what a time of one unit_ms is written as */
};

static const struct style styles[WEIR_BENCH_PROTOS] = {
    [WEIR_BENCH_INFLUX] = {',', true, TIME_DIGITS, 1000000},
    [WEIR_BENCH_GRAPHITE] = {';', false, TIME_DIGITS_SECONDS, 1}};

/* One line of a layout, zeros where hosts and passes differ. Returns the place behind it. */
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

static size_t
lines_next(struct weir_bench_load *load, uint8_t *out, uint32_t *samples)
{
    uint64_t host = weir_bench_load_host(load, 0);
    uint64_t first = host * HOST_LINES;
    uint32_t count = weir_bench_load_host_series(load, host);
    const struct layout *layout =
        &((struct weir_bench_lines *)load)->layouts[host % WEIR_BENCH_REGIONS];
    size_t size = layout->lines[count - 1].end;
    uint8_t number[HOST_DIGITS], rack[RACK_DIGITS], time[TIME_DIGITS];
    int64_t time_ms = weir_bench_time_ms(load->kind->proto, load->start_ms, load->step_ms, first,
        load->pass);
    const struct style *style = &styles[load->kind->proto];
    unsigned time_digits = style->time_digits;
    weir_bench_put_digits(number + HOST_DIGITS, host, HOST_DIGITS);
    weir_bench_put_digits(rack + RACK_DIGITS, host / WEIR_BENCH_REGIONS % WEIR_BENCH_RACKS,
        RACK_DIGITS);
    weir_bench_put_digits(time + time_digits,
        (uint64_t)(time_ms / load->kind->unit_ms * style->time_scale), time_digits);
    memcpy(out, layout->text, size);
    for (uint32_t i = 0; i < count; i++) {
        const struct line *line = &layout->lines[i];
        memcpy(out + line->host_at, number, HOST_DIGITS);
        memcpy(out + line->rack_at, rack, RACK_DIGITS);
        put_value(out + line->value_at, &metrics[i], digits_value(first + i, load->pass));
        memcpy(out + line->time_at, time, time_digits);
    }
    *samples = count;
    weir_bench_load_advance(load);
    return size;
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
    .next = lines_next,
    .free = lines_free,
    .value = lines_value,
    .series_of = lines_series_of};

const struct weir_bench_load_kind weir_bench_graphite_kind = {.proto = WEIR_BENCH_GRAPHITE,
    .host_series = HOST_LINES,
    .job = JOB,
    .unit_ms = 1000,
    .next = lines_next,
    .free = lines_free,
    .value = lines_value,
    .series_of = lines_series_of};
