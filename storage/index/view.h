/* index_view: the published set of segments and deltas, and what a selection is made of. For the
 * files of this folder that lie above both.
 *
 * A view is immutable but for its count of users. The writer makes the next one, and swaps the
 * pointer under the index's lock; a reader takes it under the same lock, for two instructions.
 */
#ifndef WEIR_STORAGE_INDEX_VIEW_H
#define WEIR_STORAGE_INDEX_VIEW_H

#include "storage/index/delta.h"
#include "storage/index/names_walk.h"

#include <pthread.h>

/* Counts the views that hold it. */
struct weir_shared_segment {
    struct weir_segment *segment;
    uint32_t views;
    struct weir_shared_segment *retired; /* next of those to close */
};
struct weir_shared_delta {
    struct weir_delta *delta;
    uint32_t views;
};

struct weir_index_view {
    struct weir_index *index;
    uint32_t users; /* views opened, and one for being published; under the index's lock */
    size_t segment_count;
    size_t delta_count;
    struct weir_shared_segment **segments; /* by shard */
    struct weir_shared_delta **deltas;     /* by first number */
};

/* One segment or delta of a view. */
struct weir_index_source {
    const struct weir_segment *segment; /* or */
    const struct weir_delta *delta;
    struct weir_delta_span span; /* of a delta: what its shard's segment does not hold */
};

/* The segment of a shard, or NULL. */
const struct weir_segment *weir_view_segment(const struct weir_index_view *view, uint64_t shard);
/* Sources in the order of shards, a shard's segment first. */
size_t weir_view_source_count(const struct weir_index_view *view);
struct weir_index_source weir_view_source(const struct weir_index_view *view, size_t index);
/* The series of a source that meet matchers (NULL: all) and the range, in reader->sets[0]; *bound
 * is above all members. */
enum weir_err weir_source_match(struct weir_index_reader *reader,
    const struct weir_index_source *source, const struct weir_index_matchers *matchers,
    struct weir_index_range range, uint32_t *bound) WEIR_MUST_USE;

/* Members of a selection that are of one source. */
struct weir_selection_run {
    struct weir_index_source source;
    uint32_t *members; /* ordinals of a segment; of a delta numbers, in the order of their labels */
    uint32_t count;
    uint64_t first; /* place of the first member, before sorting */
};

struct weir_selection_item {
    uint32_t run;
    uint32_t member; /* index in the run */
};

struct weir_index_selection {
    uint64_t count;
    size_t run_count;
    struct weir_selection_run *runs;
    struct weir_selection_item *items; /* by place once sorted; else NULL */
    bool *aliases;                       /* of sorted places */
    struct weir_names_walk *walk;      /* for labels by place; made at the first */
    struct weir_index_reader *walk_reader;
};

/* The run and member of a place. */
struct weir_selection_item weir_selection_item(const struct weir_index_selection *selection,
    uint64_t place);
/* Labels of a member in the form of storage/index/names.h. WEIR_CORRUPT where they are lost. */
enum weir_err weir_source_names(struct weir_index_reader *reader,
    const struct weir_index_source *source, struct weir_names_walk *walk, uint32_t member,
    const uint8_t **bytes, size_t *size) WEIR_MUST_USE;
/* Number of a member. */
enum weir_err weir_source_number(struct weir_index_reader *reader,
    const struct weir_index_source *source, uint32_t member, uint64_t *number) WEIR_MUST_USE;

#endif
