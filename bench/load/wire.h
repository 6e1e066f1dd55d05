/* wire: the kind of load whose packets are of the weir protocol. */
#ifndef WEIR_BENCH_LOAD_WIRE_H
#define WEIR_BENCH_LOAD_WIRE_H

#include "base/err.h"
#include "bench/load/kind.h"

extern const struct weir_bench_load_kind weir_bench_wire_kind;
enum weir_err weir_bench_wire_new(uint64_t series, struct weir_bench_load **out) WEIR_MUST_USE;

#endif
