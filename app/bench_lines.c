#include "app/bench_lines.h"

#include "base/assert.h"
#include "base/sample.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIME_DIGITS 19 /* nanoseconds since 2001 and until 2286 */

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

static const struct metric metrics[WEIR_BENCH_HOST_LINES] = {
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
#define REGIONS 4
#define RACKS 97
#define HOST_DIGITS 7
#define RACK_DIGITS 2
_Static_assert(WEIR_BENCH_SERIES_MAX / WEIR_BENCH_HOST_LINES <= 10000000, "HOST_DIGITS");

struct line {
    uint16_t host_at; /* in the packet */
    uint16_t rack_at;
    uint16_t value_at;
    uint16_t time_at;
    uint16_t end;
};

struct layout {
    struct line lines[WEIR_BENCH_HOST_LINES];
    uint8_t text[WEIR_BENCH_PACKET_MAX];
};

struct weir_bench_lines {
    uint64_t series;
    uint64_t host_count;
    int64_t start_ms;
    int64_t step_ms;
    uint64_t pass;
    uint64_t at;     /* packets of this pass done */
    uint64_t order;  /* host of packet n is (n * stride + order) % host_count */
    uint64_t stride; /* coprime to host_count */
    struct layout layouts[REGIONS];
};

static uint64_t
mix(uint64_t x)
{
    /* SplitMix64's finalizer (Steele, Lea, Flood, OOPSLA 2014) */
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* The digits of series i in pass p: counters climb by steps of their own, gauges walk up and
 * down by up to an eighth of their range a pass. */
static uint64_t
digits_value(uint64_t series, uint64_t pass)
{
    const struct metric *metric = &metrics[series % WEIR_BENCH_HOST_LINES];
    uint64_t random = mix(series);
    uint64_t walked;
    if (metric->step_max > 0) {
        uint64_t step = 1 + (random >> 32) % metric->step_max;
        walked = random + pass * step + mix(series + pass) % step;
    } else {
        uint64_t swing = metric->range / 8 + 1;
        walked = random + mix(series ^ pass << 40) % swing + pass % 16 * (swing / 16);
    }
    return metric->least + walked % metric->range;
}

double
weir_bench_value(uint64_t series, uint64_t pass)
{
    const struct metric *metric = &metrics[series % WEIR_BENCH_HOST_LINES];
    return weir_decimal_double((int64_t)digits_value(series, pass), metric->exponent);
}

/* Hosts report at times of their own within a step. */
int64_t
weir_bench_time_ms(int64_t start_ms, int64_t step_ms, uint64_t series, uint64_t pass)
{
    uint64_t host = series / WEIR_BENCH_HOST_LINES;
    return start_ms + (int64_t)pass * step_ms + (int64_t)(mix(~host) % (uint64_t)step_ms);
}

const char *
weir_bench_metric(uint64_t series)
{
    return metrics[series % WEIR_BENCH_HOST_LINES].name;
}

uint64_t
weir_bench_host(uint64_t series)
{
    return series / WEIR_BENCH_HOST_LINES;
}

/* Two digits a step: the division by a constant is a multiplication. */
static inline void
put_digits(uint8_t *end, uint64_t value, unsigned count)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313"
                                "23334353637383940414243444546474849505152535455565758596061626364"
                                "65666768697071727374757677787980818283848586878889909192939495969"
                                "79899";
    for (; count >= 2; count -= 2, value /= 100)
        memcpy(end -= 2, pairs + value % 100 * 2, 2);
    if (count > 0)
        *--end = (uint8_t)('0' + value % 10);
}

/* Writes the digits with their decimal point at `at`: all of them, one place too far to the
 * right, then those in front of the point again. */
static inline void
put_value(uint8_t *at, const struct metric *metric, uint64_t value)
{
    unsigned digits = metric->digits, front = metric->point_at;
    if (front == digits) {
        put_digits(at + digits, value, digits);
        return;
    }
    put_digits(at + digits + 1, value, digits);
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

/* One line of a layout, zeros where hosts and passes differ. Returns the place behind it. */
static size_t
layout_line(struct layout *layout, unsigned index, const char *region, size_t at)
{
    const struct metric *metric = &metrics[index];
    struct line *line = &layout->lines[index];
    uint8_t *text = layout->text;
    at += (size_t)sprintf((char *)text + at, "%s,job=" WEIR_BENCH_JOB ",host=node-",
        metric->measurement);
    line->host_at = (uint16_t)at;
    at += zeros(text + at, HOST_DIGITS);
    at += (size_t)sprintf((char *)text + at, ",region=%s,rack=r", region);
    line->rack_at = (uint16_t)at;
    at += zeros(text + at, RACK_DIGITS);
    at += (size_t)sprintf((char *)text + at, " %s=%s", metric->field, metric->before);
    line->value_at = (uint16_t)at;
    at += zeros(text + at, metric->digits + (metric->point_at == metric->digits ? 0u : 1u));
    at += (size_t)sprintf((char *)text + at, "%s ", metric->after);
    line->time_at = (uint16_t)at;
    at += zeros(text + at, TIME_DIGITS);
    text[at++] = '\n';
    line->end = (uint16_t)at;
    return at;
}

static void
layout_init(struct layout *layout, const char *region)
{
    size_t at = 0;
    for (unsigned i = 0; i < WEIR_BENCH_HOST_LINES; i++) {
        WEIR_ASSERT(at + WEIR_BENCH_LINE_MAX <= WEIR_BENCH_PACKET_MAX);
        at = layout_line(layout, i, region, at);
    }
}

static uint64_t
gcd(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static void
pass_begin(struct weir_bench_lines *lines)
{
    lines->at = 0;
    lines->order = mix(lines->pass) % lines->host_count;
    lines->stride = 1 + mix(~lines->pass) % lines->host_count;
    while (gcd(lines->stride, lines->host_count) != 1)
        lines->stride++;
}

enum weir_err
weir_bench_lines_new(uint64_t series, int64_t start_ms, int64_t step_ms,
    struct weir_bench_lines **out)
{
    static const char *const regions[REGIONS] = {
        "eu-west-1", "eu-north-1", "us-east-1", "ap-south-1"};
    WEIR_ASSERT(series > 0 && series <= WEIR_BENCH_SERIES_MAX);
    struct weir_bench_lines *lines = calloc(1, sizeof *lines);
    if (lines == NULL)
        return weir_fail(WEIR_NOMEM, 0, "benchmark lines");
    lines->series = series;
    lines->start_ms = start_ms;
    lines->step_ms = step_ms;
    lines->host_count = (series + WEIR_BENCH_HOST_LINES - 1) / WEIR_BENCH_HOST_LINES;
    for (int region = 0; region < REGIONS; region++)
        layout_init(&lines->layouts[region], regions[region]);
    pass_begin(lines);
    *out = lines;
    return WEIR_OK;
}

void
weir_bench_lines_free(struct weir_bench_lines *lines)
{
    free(lines);
}

void
weir_bench_lines_restart(struct weir_bench_lines *lines, int64_t start_ms)
{
    lines->start_ms = start_ms;
    lines->pass = 0;
    pass_begin(lines);
}

uint64_t
weir_bench_lines_passes(const struct weir_bench_lines *lines)
{
    return lines->pass;
}

size_t
weir_bench_lines_next(struct weir_bench_lines *lines, uint8_t *out, uint32_t *samples)
{
    uint64_t host = (lines->at * lines->stride + lines->order) % lines->host_count;
    uint64_t first = host * WEIR_BENCH_HOST_LINES;
    uint64_t left = lines->series - first;
    unsigned count = left < WEIR_BENCH_HOST_LINES ? (unsigned)left : WEIR_BENCH_HOST_LINES;
    const struct layout *layout = &lines->layouts[host % REGIONS];
    size_t size = layout->lines[count - 1].end;
    uint8_t number[HOST_DIGITS], rack[RACK_DIGITS], time[TIME_DIGITS];
    int64_t time_ms = weir_bench_time_ms(lines->start_ms, lines->step_ms, first, lines->pass);
    put_digits(number + HOST_DIGITS, host, HOST_DIGITS);
    put_digits(rack + RACK_DIGITS, host / REGIONS % RACKS, RACK_DIGITS);
    put_digits(time + TIME_DIGITS, (uint64_t)time_ms * 1000000, TIME_DIGITS);
    memcpy(out, layout->text, size);
    for (unsigned i = 0; i < count; i++) {
        const struct line *line = &layout->lines[i];
        memcpy(out + line->host_at, number, HOST_DIGITS);
        memcpy(out + line->rack_at, rack, RACK_DIGITS);
        put_value(out + line->value_at, &metrics[i], digits_value(first + i, lines->pass));
        memcpy(out + line->time_at, time, TIME_DIGITS);
    }
    *samples = count;
    if (++lines->at == lines->host_count) {
        lines->pass++;
        pass_begin(lines);
    }
    return size;
}
