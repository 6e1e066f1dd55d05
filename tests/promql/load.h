/* load: the series of a test file in a store in memory.
 *
 * Threads: one
 * Memory:  the heap
 * Errors:  WEIR_NOMEM; WEIR_INVALID for a label that occurs twice
 */
#ifndef WEIR_TESTS_PROMQL_LOAD_H
#define WEIR_TESTS_PROMQL_LOAD_H

#include "controlplane/promql/source_memory.h"
#include "tests/promql/script.h"

struct load {
    struct weir_promql_memory *memory;
};

enum weir_err load_init(struct load *load) WEIR_MUST_USE;
void load_fini(struct load *load);
enum weir_err load_clear(struct load *load) WEIR_MUST_USE;
/* Adds the series of a LOAD command. With histograms, the name of a classic histogram without its
 * suffix has a native histogram at each of its times. */
enum weir_err load_series(struct load *load, struct weir_promql_arena *arena,
    const struct script_command *command) WEIR_MUST_USE;
const struct weir_promql_source *load_source(const struct load *load);

#endif
