/* source_reader: what PromQL's engine sees of data, over a reader of the log. The one file that
 * knows both sides (controlplane/promql/source.h, storage/reader.h).
 *
 * Threads: those of its reader: one
 * Memory:  the arena that a call is given; a read takes 16 bytes a sample besides, for its time
 * Errors:  those of the reader; WEIR_NOMEM beyond an arena
 *
 * Series are selected in the order of their numbers, which is that of their first samples: it stays
 * the same for the life of the data. Equality and inequality are the reader's; regular expressions
 * are asked of the labels that are left. A read is one scan for up to WEIR_PROMQL_READ_MAX series;
 * samples come in log order and are put into runs by series afterwards.
 */
#ifndef WEIR_CONTROLPLANE_QUERY_SOURCE_READER_H
#define WEIR_CONTROLPLANE_QUERY_SOURCE_READER_H

#include "controlplane/promql/source.h"
#include "storage/reader.h"

struct weir_source_reader {
    struct weir_promql_source source;
    struct weir_reader *reader; /* borrowed */
};

/* Its view is what the reader knew at its last refresh. */
void weir_source_reader_init(struct weir_source_reader *source, struct weir_reader *reader);

/* Numbers of the series that pass all matchers, ascending; free *numbers. */
enum weir_err weir_source_reader_select(struct weir_reader *reader, struct weir_promql_arena *arena,
    const struct weir_promql_matcher *matchers, uint32_t count, uint64_t **numbers,
    size_t *number_count) WEIR_MUST_USE;

#endif
