/* bench_lines: the benchmark's lines: real-shaped, never twice the same, known to the reader.
 *
 * Series i belongs to host i / WEIR_BENCH_HOST_LINES; a packet is one host's lines. In pass p the
 * host's time and every value move on; what series i has in pass p is a function of (i, p) alone,
 * so that another process can check any sample bit for bit. Hosts come in another order each pass.
 *
 * Threads: one
 * Memory:  a packet of text for each of four regions, whatever the number of series: a fill copies
 *          one and patches host, rack, values and times
 * Limits:  WEIR_BENCH_SERIES_MAX
 */
#ifndef WEIR_APP_BENCH_LINES_H
#define WEIR_APP_BENCH_LINES_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define WEIR_BENCH_HOST_LINES 12
#define WEIR_BENCH_PACKET_MAX 2048
#define WEIR_BENCH_LINE_MAX (WEIR_BENCH_PACKET_MAX / WEIR_BENCH_HOST_LINES)
#define WEIR_BENCH_SERIES_MAX 120000000 /* a host's number has seven digits */
#define WEIR_BENCH_JOB "weir-bench"

struct weir_bench_lines;

/* start_ms: time of pass 0. step_ms: between passes. */
enum weir_err weir_bench_lines_new(uint64_t series, int64_t start_ms, int64_t step_ms,
    struct weir_bench_lines **out) WEIR_MUST_USE;
void weir_bench_lines_free(struct weir_bench_lines *lines);

/* Writes the next packet (WEIR_BENCH_PACKET_MAX bytes of room) and returns its size; *samples is
 * the number of lines in it. Begins a new pass when one is complete. */
size_t weir_bench_lines_next(struct weir_bench_lines *lines, uint8_t *out, uint32_t *samples);

/* Starts over with pass 0 at start_ms. */
void weir_bench_lines_restart(struct weir_bench_lines *lines, int64_t start_ms);

/* Whole passes done. */
uint64_t weir_bench_lines_passes(const struct weir_bench_lines *lines);

/* The sample that series i has in pass p. */
int64_t weir_bench_time_ms(int64_t start_ms, int64_t step_ms, uint64_t series, uint64_t pass);
double weir_bench_value(uint64_t series, uint64_t pass);

/* Metric name and labels by which a reader finds series i: host is a number, name an index. */
const char *weir_bench_metric(uint64_t series);
uint64_t weir_bench_host(uint64_t series);

#endif
