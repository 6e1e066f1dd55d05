/* print: a benchmark's report on standard output.
 *
 * Threads: the main thread
 */
#ifndef WEIR_BENCH_REPORT_PRINT_H
#define WEIR_BENCH_REPORT_PRINT_H

#include <jansson.h>
#include <stdbool.h>

/* One JSON object, or a line for each of its members. */
void weir_bench_print(json_t *report, bool as_json);

#endif
