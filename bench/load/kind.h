/* kind: a kind of load, and the hosts that all kinds go through alike. For bench/load/ only.
 *
 * load.c calls the kinds; lines.c and wire.c are kinds and call this file, never load.c.
 */
#ifndef WEIR_BENCH_LOAD_KIND_H
#define WEIR_BENCH_LOAD_KIND_H

#include "bench/load/proto.h"

#include <stddef.h>
#include <stdint.h>

struct weir_bench_load_kind;

/* The part of a load that all kinds have; it comes first in the kind's own struct. */
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
    int64_t unit_ms; /* times are whole numbers of it */
    size_t (*next)(struct weir_bench_load *load, uint8_t *out, uint32_t *samples);
    size_t (*define)(struct weir_bench_load *load, uint8_t *out); /* NULL: nothing to define */
    void (*restart)(struct weir_bench_load *load); /* NULL: packets do not depend on each other */
    void (*free)(struct weir_bench_load *load);
    double (*value)(uint64_t series, uint64_t pass);
    /* the series of these labels, given its host */
    bool (*series_of)(const uint8_t *labels, size_t size, uint64_t host, uint64_t *series);
};

/* Begins load->pass: with the first host, in another order than the passes before. */
void weir_bench_pass_begin(struct weir_bench_load *load);
/* The host that comes `ahead` hosts after the current one. */
uint64_t weir_bench_load_host(const struct weir_bench_load *load, uint64_t ahead);
/* The current host is complete; begins a new pass if it was the last. */
void weir_bench_load_advance(struct weir_bench_load *load);
/* Series of one host, fewer on the last one. */
uint32_t weir_bench_load_host_series(const struct weir_bench_load *load, uint64_t host);
/* As weir_bench_time_ms. */
int64_t weir_bench_kind_time_ms(const struct weir_bench_load_kind *kind, int64_t start_ms,
    int64_t step_ms, uint64_t series, uint64_t pass);

static inline uint64_t
weir_bench_mix(uint64_t x)
{
    /* SplitMix64's finalizer (Steele, Lea, Flood, OOPSLA 2014) */
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

#define WEIR_BENCH_REGIONS 4
extern const char *const weir_bench_regions[WEIR_BENCH_REGIONS];
#define WEIR_BENCH_RACKS 97

#endif
