/* index_merge: the next generation of a shard's segment, from the last one and the deltas.
 *
 *   segment (ordinals) --+
 *   delta (sorted)  -----+--> least labels first --> update --> index writer
 *   lost names (sorted) -+
 *
 * A series whose labels damage has taken goes on under those of weir_labels_lost.
 *
 * Threads: one; the view's writer may go on adding
 * Memory:  the members of deltas, 4 bytes a series; the writer's is its own
 * Errors:  WEIR_IO, WEIR_NOMEM, and those of the writer: the new segment is given up, the old one
 *          stays as it is
 */
#ifndef WEIR_STORAGE_INDEX_MERGE_H
#define WEIR_STORAGE_INDEX_MERGE_H

#include "storage/index/index.h"
#include "storage/index/index_writer.h"

struct weir_index_merge;

/* Called for each series on its way: may change days and class. */
typedef void weir_index_update_fn(void *context, struct weir_index_series *series);

struct weir_index_merge_options {
    struct weir_index_reader *reader; /* kept */
    struct weir_index_view *view;     /* kept open by the caller until the end */
    struct weir_index_writer *writer; /* kept; opened by begin */
    struct weir_index_writer_options segment;
    weir_index_update_fn *update; /* NULL: none */
    void *context;
};
enum weir_err weir_index_merge_begin(const struct weir_index_merge_options *options,
    struct weir_index_merge **out) WEIR_MUST_USE;
/* Goes on for about so many series or terms; WEIR_AGAIN until the segment is whole and durable. */
enum weir_err weir_index_merge_step(struct weir_index_merge *merge, uint32_t series,
    struct weir_index_footer *footer) WEIR_MUST_USE;
/* Also gives up what is not whole. */
void weir_index_merge_end(struct weir_index_merge *merge);

#endif
