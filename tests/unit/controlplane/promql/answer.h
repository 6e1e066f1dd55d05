/* answer: what tests of the engine share: a store from text, an answer as text. */
#ifndef WEIR_TESTS_UNIT_CONTROLPLANE_PROMQL_ANSWER_H
#define WEIR_TESTS_UNIT_CONTROLPLANE_PROMQL_ANSWER_H

#include "controlplane/promql/engine.h"
#include "controlplane/promql/source_memory.h"

/* Adds series as `load 10s` of a test file would: a name{...} and values a line, from time 0. */
void promql_load(struct weir_promql_memory *memory, int64_t step_ms, const char *lines);

/* "{a=b} 1 _ 3\n" for each series, the scalar, the string, or "error: ..."; then annotations. */
void promql_answer_text(
    enum weir_err err, const struct weir_promql_answer *answer, char *out, size_t room);

/* A request with the reference's defaults: an instant query at at_ms. */
struct weir_promql_request promql_request(
    const struct weir_promql_memory *memory, const char *text, int64_t at_ms);

#endif
