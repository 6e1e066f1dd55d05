/* load: the packets of a benchmark. They are shaped like real ones, never the same twice, and
 * known to the reader.
 *
 * A load has hosts, a host has series, a packet carries series of one host. In pass p each host's
 * time and every value move on; the sample of series i in pass p is a function of (i, p) alone:
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
#include "bench/load/proto.h"
#include "model/labels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_bench_load;

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

/* The unit of a protocol's times, and the first whole time from a given one on. */
int64_t weir_bench_time_unit_ms(enum weir_bench_proto proto);
int64_t weir_bench_time_whole_ms(enum weir_bench_proto proto, int64_t time_ms);
/* The time between passes that suits so many series. A pass over few series is quick; its time then
 * moves on by the smallest steps, because a run's times may be at most an hour ahead. */
int64_t weir_bench_step_ms(enum weir_bench_proto proto, uint64_t series);
/* The sample that series i has in pass p. */
int64_t weir_bench_time_ms(
    enum weir_bench_proto proto, int64_t start_ms, int64_t step_ms, uint64_t series, uint64_t pass);
double weir_bench_value(enum weir_bench_proto proto, uint64_t series, uint64_t pass);
/* The label `job` that all series of a protocol have. */
const char *weir_bench_job(enum weir_bench_proto proto);
/* The series with these canonical labels; false where the load has none such. */
bool weir_bench_series_of(
    enum weir_bench_proto proto, const uint8_t *labels, size_t size, uint64_t *out);

#endif
