/* call: a function over a grid. Each function has a form, which says how its kernel is called, and
 * both are in parse/functions.def.
 *
 *   ROW     weir_promql_row_NAME(call, row): changes one row of the first vector argument in place
 *   RANGE   weir_promql_range_NAME(call, windows, row): one series, all its windows
 *   SCALAR  weir_promql_scalar_NAME(call, out): a value a step
 *   WHOLE   weir_promql_whole_NAME(call, sink): evaluates its arguments itself and pushes rows
 *
 * Kernels see a row a series. Values where a row has no bit may be anything. Memory comes from the
 * query (weir_promql_query_alloc); a kernel called for each series takes none that grows with them.
 *
 * Threads: one a query
 * Errors:  those of engine.h; weir_promql_fail() puts the text into the answer
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_FUNCTIONS_CALL_H
#define WEIR_CONTROLPLANE_PROMQL_FUNCTIONS_CALL_H

#include "controlplane/promql/plan/annotations.h"
#include "controlplane/promql/plan/eval.h"
#include "controlplane/promql/plan/query.h"
#include "controlplane/promql/scan/table.h"

struct weir_promql_call {
    struct weir_promql_query *query;
    const struct weir_promql_node *node; /* a CALL */
    const struct weir_promql_function *function;
    struct weir_promql_grid grid;
    const double **scalars; /* by argument: a value a step where it is a scalar, else NULL */
    double *scratch;        /* a kernel's, kept from series to series */
    uint32_t scratch_room;
};

/* Windows of one series: samples first[i]..end[i]-1 are those of step i. No stale marker and no
 * histogram is among them. */
struct weir_promql_windows {
    const int64_t *times_ms;
    const double *values;
    const int64_t *starts_ms; /* NULL where none is known */
    uint32_t count;           /* samples */
    const uint32_t *first, *end;
    struct weir_promql_grid ends; /* of the windows; each is (end - range_ms, end] */
    int64_t range_ms;
    bool anchored, smoothed; /* samples of a lookback before (smoothed: and after) are there too */
    const struct weir_promql_labelset *labels; /* of the series */
};

typedef enum weir_err weir_promql_row_kernel(
    struct weir_promql_call *call, struct weir_promql_row *row);
typedef enum weir_err weir_promql_range_kernel(struct weir_promql_call *call,
    const struct weir_promql_windows *in, struct weir_promql_row *out);
typedef enum weir_err weir_promql_scalar_kernel(struct weir_promql_call *call, double *out);
typedef enum weir_err weir_promql_whole_kernel(
    struct weir_promql_call *call, struct weir_promql_sink *sink);

#define ROW(name) weir_promql_row_kernel weir_promql_row_##name
#define RANGE(name) weir_promql_range_kernel weir_promql_range_##name
#define SCALAR(name) weir_promql_scalar_kernel weir_promql_scalar_##name
#define WHOLE(name) weir_promql_whole_kernel weir_promql_whole_##name
#define MISSING(name) struct weir_promql_call
#define WEIR_FUNCTION(name, result, arguments, optional, experimental, flags, form, kernel)        \
    form(kernel);
#include "controlplane/promql/parse/functions.def"
#undef WEIR_FUNCTION
#undef ROW
#undef RANGE
#undef SCALAR
#undef WHOLE
#undef MISSING

/* An argument of the call, out of its parentheses; NULL where it was not given. */
const struct weir_promql_node *weir_promql_argument(
    const struct weir_promql_call *call, uint32_t index);
/* A string argument, which must be given. */
struct weir_promql_text weir_promql_argument_text(
    const struct weir_promql_call *call, uint32_t index);
/* All rows of a vector argument. */
enum weir_err weir_promql_argument_table(
    struct weir_promql_call *call, uint32_t index, struct weir_promql_table *out) WEIR_MUST_USE;

enum weir_err weir_promql_call_eval(struct weir_promql_query *query,
    const struct weir_promql_node *node, const struct weir_promql_grid *grid,
    struct weir_promql_sink *sink) WEIR_MUST_USE;
enum weir_err weir_promql_call_scalar(struct weir_promql_query *query,
    const struct weir_promql_node *node, const struct weir_promql_grid *grid,
    double *out) WEIR_MUST_USE;

#endif
