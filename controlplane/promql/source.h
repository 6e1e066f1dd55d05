/* source: all that the engine sees of data.
 *
 * A source is a table of functions and their state. The engine opens a view, selects series by
 * matchers, and reads their samples by columns. Two sources: source_memory.h, for tests and
 * benchmarks; the reader of the log.
 *
 * Threads: each source says; a view is used by one at a time unless it says more
 * Memory:  what a function hands out lives in the arena it is given, or in the view
 * Errors:  WEIR_NOMEM; WEIR_LIMIT beyond an arena; WEIR_IO with a detail
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_SOURCE_H
#define WEIR_CONTROLPLANE_PROMQL_SOURCE_H

#include "base/err.h"
#include "controlplane/promql/parse/ast.h"

/* Series of one read. */
#define WEIR_PROMQL_READ_MAX 2048

/* The bits of a staleness marker: a NaN that no arithmetic makes. It is known by them alone, since
 * an x87 move or one addition turns it into another NaN. */
#define WEIR_PROMQL_STALE_BITS UINT64_C(0x7ff0000000000002)

struct weir_promql_label {
    struct weir_promql_text name, value;
};

/* Samples of one series, by rising time. Of two at one time only the later written is there. */
struct weir_promql_run {
    const int64_t *times_ms;
    const double *values;
    const int64_t *starts_ms;  /* since when a counter counts, 0 unknown; NULL: none is known */
    const uint8_t *histograms; /* 1 for a native histogram, whose value is NaN; NULL: none is */
    uint32_t count;
    uint32_t clock; /* runs of one read with equal clocks share times_ms */
};

struct weir_promql_columns {
    struct weir_promql_run *runs;
    uint32_t count;
};

/* The series that matchers select, numbered 0..count-1. `state` is the source's. */
struct weir_promql_selection {
    void *state;
    uint32_t count;
};

struct weir_promql_source;
struct weir_promql_view;

struct weir_promql_source_functions {
    /* The durable data of now. A view stays as it is until it is closed. */
    enum weir_err (*view_open)(
        const struct weir_promql_source *source, struct weir_promql_view **out);
    void (*view_close)(struct weir_promql_view *view);
    /* Series that match all of matchers; those without a sample in (from, to] may be left out. */
    enum weir_err (*select)(struct weir_promql_view *view, struct weir_promql_arena *arena,
        const struct weir_promql_matcher *matchers, uint32_t count, int64_t from_ms, int64_t to_ms,
        struct weir_promql_selection *out);
    /* Labels of one of them, sorted by name, none with an empty value; the name is __name__. */
    enum weir_err (*labels)(struct weir_promql_view *view, struct weir_promql_arena *arena,
        const struct weir_promql_selection *selection, uint32_t place,
        const struct weir_promql_label **out, uint32_t *count);
    /* Samples in (from, to] of the series first..first+count-1; count is at most
     * WEIR_PROMQL_READ_MAX. Staleness markers are among them. */
    enum weir_err (*read)(struct weir_promql_view *view, struct weir_promql_arena *arena,
        const struct weir_promql_selection *selection, uint32_t first, uint32_t count,
        int64_t from_ms, int64_t to_ms, struct weir_promql_columns *out);
};

struct weir_promql_source {
    const struct weir_promql_source_functions *functions;
    void *state;
};

#endif
