/* bench_load: what a benchmark sends: real-shaped packets, never twice the same, known to the
 * reader.
 *
 * A load has hosts, a host has series, a packet carries series of one host. In pass p each host's
 * time and every value move on; what series i has in pass p is a function of (i, p) alone, so that
 * another process can check any sample bit for bit. Hosts come in another order each pass.
 *
 *   influx    a line a sample, about 100 bytes, 12 a packet     bench/load/lines.c
 *   graphite  the same, plaintext with tags, whole seconds      bench/load/lines.c
 *   weir      agents of 200 metrics, two packets a pass         bench/load/wire.c
 *
 * Threads: one
 * Memory:  none a series
 * Errors:  WEIR_NOMEM
 * Limits:  WEIR_BENCH_SERIES_MAX
 */
#ifndef WEIR_BENCH_LOAD_LOAD_H
#define WEIR_BENCH_LOAD_LOAD_H

#include "base/err.h"
#include "model/labels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_BENCH_PACKET_MAX 2048
#define WEIR_BENCH_SERIES_MAX 120000000 /* a host's number has seven digits */
/* From so many on a pass has a second of its own. */
#define WEIR_BENCH_SERIES_OF_SECONDS 100000
#define WEIR_BENCH_TIMES_BACK_MS 600000 /* a run's first ones */

enum weir_bench_proto {
    WEIR_BENCH_INFLUX,
    WEIR_BENCH_GRAPHITE,
    WEIR_BENCH_WEIR,
    WEIR_BENCH_PROTOS
};
extern const char *const weir_bench_proto_names[WEIR_BENCH_PROTOS];
/* False where no protocol is called so. */
bool weir_bench_proto_find(const char *name, enum weir_bench_proto *out);

struct weir_bench_load_kind;

/* How the packets of a load are asked for; its protocol's file has the rest behind it. */
struct weir_bench_load {
    const struct weir_bench_load_kind *kind;
    uint64_t series;
    uint64_t host_count;
    int64_t start_ms;
    int64_t step_ms;
    uint64_t pass;
    uint64_t turn;   /* passes done in the load's life, restarts and all */
    uint64_t at;     /* hosts of this pass done */
    uint64_t order;  /* host n of a pass is (n * stride + order) % host_count */
    uint64_t stride; /* coprime to host_count */
};

struct weir_bench_load_kind {
    enum weir_bench_proto proto;
    uint32_t host_series;
    const char *job; /* label of all its series */
    int64_t unit_ms; /* what times are whole numbers of */
    size_t (*next)(struct weir_bench_load *load, uint8_t *out, uint32_t *samples);
    size_t (*define)(struct weir_bench_load *load, uint8_t *out); /* NULL: nothing to define */
    void (*restart)(struct weir_bench_load *load); /* NULL: packets do not depend on each other */
    void (*free)(struct weir_bench_load *load);
    double (*value)(uint64_t series, uint64_t pass);
    /* the series of these labels, given its host */
    bool (*series_of)(const uint8_t *labels, size_t size, uint64_t host, uint64_t *series);
};

/* start_ms: time of pass 0. step_ms: between passes. Both whole numbers of the protocol's
 * weir_bench_time_unit_ms(). */
enum weir_err weir_bench_load_new(enum weir_bench_proto proto, uint64_t series, int64_t start_ms,
    int64_t step_ms, struct weir_bench_load **out) WEIR_MUST_USE;
void weir_bench_load_free(struct weir_bench_load *load);

/* Writes the next packet (WEIR_BENCH_PACKET_MAX bytes of room) and returns its size; *samples is
 * the number of samples in it. Begins a new pass when one is complete. */
size_t weir_bench_load_next(struct weir_bench_load *load, uint8_t *out, uint32_t *samples);

/* Which of `workers` the next packet goes to: hosts are dealt evenly, and change worker from pass
 * to pass. For loads whose packets do not depend on each other. */
uint32_t weir_bench_load_worker(const struct weir_bench_load *load, uint32_t workers);

/* Writes the next packet that only names series; 0 when all are named, and the next call begins
 * again. */
size_t weir_bench_load_define(struct weir_bench_load *load, uint8_t *out);

/* Starts over with pass 0 at start_ms. */
void weir_bench_load_restart(struct weir_bench_load *load, int64_t start_ms);

/* Whole passes done. */
uint64_t weir_bench_load_passes(const struct weir_bench_load *load);

/* What a protocol's times are whole numbers of, and the first such one from a time on. */
int64_t weir_bench_time_unit_ms(enum weir_bench_proto proto);
int64_t weir_bench_time_whole_ms(enum weir_bench_proto proto, int64_t time_ms);
/* The time between passes that suits so many series: a pass over few is quick, and then time moves
 * on in steps as small as can be, so that a run's times stay within the hour that may lie ahead. */
int64_t weir_bench_step_ms(enum weir_bench_proto proto, uint64_t series);
/* The sample that series i has in pass p. */
int64_t weir_bench_time_ms(enum weir_bench_proto proto, int64_t start_ms, int64_t step_ms,
    uint64_t series, uint64_t pass);
double weir_bench_value(enum weir_bench_proto proto, uint64_t series, uint64_t pass);
/* The label `job` that all series of a protocol have. */
const char *weir_bench_job(enum weir_bench_proto proto);
/* The series with these canonical labels; false where the load has none such. */
bool weir_bench_series_of(enum weir_bench_proto proto, const uint8_t *labels, size_t size,
    uint64_t *out);

/* For the protocols' files: the host whose turn is `ahead` hosts from now, and the end of the one
 * whose turn it is. */
uint64_t weir_bench_load_host(const struct weir_bench_load *load, uint64_t ahead);
void weir_bench_load_advance(struct weir_bench_load *load);
/* Series of one host, fewer on the last one. */
uint32_t weir_bench_load_host_series(const struct weir_bench_load *load, uint64_t host);
static inline uint64_t
weir_bench_mix(uint64_t x)
{
    /* SplitMix64's finalizer (Steele, Lea, Flood, OOPSLA 2014) */
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Decimal digits of value, right-aligned before end, with leading zeros. */
void weir_bench_put_digits(uint8_t *end, uint64_t value, unsigned count);

extern const struct weir_bench_load_kind weir_bench_influx_kind;
extern const struct weir_bench_load_kind weir_bench_graphite_kind;
enum weir_err weir_bench_lines_new(const struct weir_bench_load_kind *kind, uint64_t series,
    struct weir_bench_load **out) WEIR_MUST_USE;
extern const struct weir_bench_load_kind weir_bench_wire_kind;
enum weir_err weir_bench_wire_new(uint64_t series, struct weir_bench_load **out) WEIR_MUST_USE;

#define WEIR_BENCH_REGIONS 4
extern const char *const weir_bench_regions[WEIR_BENCH_REGIONS];
#define WEIR_BENCH_RACKS 97

#endif
