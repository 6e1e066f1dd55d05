/* values: values of the options that the ways of `weir bench` share.
 *
 * A value that was not given (NULL) leaves *out as it is.
 *
 * Threads: any; no state
 * Errors:  WEIR_INVALID; the detail names the option, its value and the allowed ones
 */
#ifndef WEIR_BENCH_VALUES_H
#define WEIR_BENCH_VALUES_H

#include "base/err.h"
#include "bench/load/load.h"

#include <stdint.h>

enum weir_err weir_bench_value_proto(const char *text, enum weir_bench_proto *out) WEIR_MUST_USE;
enum weir_err weir_bench_value_seconds(const char *text, double most, double *out) WEIR_MUST_USE;
/* name: of the option, without the dashes. */
enum weir_err weir_bench_value_count(const char *name, const char *text, uint64_t least,
    uint64_t most, uint64_t *out) WEIR_MUST_USE;
enum weir_err weir_bench_value_series(const char *text, uint64_t *out) WEIR_MUST_USE;

#endif
