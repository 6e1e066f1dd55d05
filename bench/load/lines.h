/* lines: the kinds of load whose samples are lines of text. */
#ifndef WEIR_BENCH_LOAD_LINES_H
#define WEIR_BENCH_LOAD_LINES_H

#include "base/err.h"
#include "bench/load/kind.h"

extern const struct weir_bench_load_kind weir_bench_influx_kind;
extern const struct weir_bench_load_kind weir_bench_graphite_kind;
enum weir_err weir_bench_lines_new(const struct weir_bench_load_kind *kind, uint64_t series,
    struct weir_bench_load **out) WEIR_MUST_USE;

#endif
