/* index: which series there are, found by their labels: index segments on disk, and a delta in
 * memory of series that are newer. The one door to this folder.
 *
 *   numbers of a shard:   0 ........ through ............ count
 *                         | segment  | deltas, each of up to 65,536 series |
 *
 * Owns:    open segment files (docs/format/index.md), the cache of their blocks, the deltas
 * Threads: one writer (open_segment, add); any number of readers, each with a reader of its own and
 *          a view for each query. Nobody waits for anybody but for some instructions
 * Memory:  the cache, of fixed size; each delta about 300 bytes a series; a reader 1 MiB; a
 *          selection 4 bytes a series, 16 once it is sorted
 * Errors:  WEIR_IO a device failed: the query fails. WEIR_CORRUPT never from a damaged block: it is
 *          counted, and what it held is found in another section or is missing. WEIR_LIMIT from the
 *          query's check, WEIR_NOMEM
 * Limits:  WEIR_SERIES_LIMIT numbers; labels as model/labels.h, names and values UTF-8
 */
#ifndef WEIR_STORAGE_INDEX_INDEX_H
#define WEIR_STORAGE_INDEX_INDEX_H

#include "base/err.h"
#include "storage/index/match.h"
#include "storage/io/io.h"

#include <stdbool.h>
#include <stdint.h>

#define WEIR_INDEX_CACHE_BYTES (32u << 20) /* by default */

struct weir_index;
struct weir_index_view;      /* what one query sees: segments and deltas of one moment */
struct weir_index_reader;    /* one thread's scratch, its io, and the count of what it read */
struct weir_index_selection; /* series that meet matchers */

/* Days (UTC, since 1970-01-01) that a query asks for, last included. */
struct weir_index_range {
    uint16_t first;
    uint16_t last;
};
#define WEIR_INDEX_ANY_DAY ((struct weir_index_range){0, UINT16_MAX})

/* A series as it is added. */
struct weir_index_series {
    uint64_t number;
    const uint8_t *labels; /* canonical */
    size_t size;
    uint16_t day_first;
    uint16_t day_last;       /* WEIR_DAY_OPEN while it may still receive */
    uint8_t retention_class; /* the caller's; kept as it is */
};

/* --- the set: one writer --- */
enum weir_err weir_index_new(size_t cache_bytes, struct weir_index **out) WEIR_MUST_USE;
/* No view and no reader is left. io: to close files with. */
void weir_index_free(struct weir_index *index, struct weir_io *io);
/* Opens a segment by its footers, in place of an older one of its shard; deltas whose series it
 * holds go with the last view that has them. WEIR_CORRUPT where neither footer checks out. */
enum weir_err weir_index_open_segment(struct weir_index *index, struct weir_io *io,
    const char *path) WEIR_MUST_USE;
/* Adds a series that is in no segment. Numbers ascend; those of a shard without gaps from the first
 * one added. Readers find it from now on. WEIR_NOMEM: nothing has changed. */
enum weir_err weir_index_add(struct weir_index *index, const struct weir_index_series *series)
    WEIR_MUST_USE;
/* Series of the deltas that no segment of their shard holds. */
uint64_t weir_index_delta_count(struct weir_index *index);

/* --- readers --- */
/* Called before each block is read and now and then between; not WEIR_OK ends the call with it. */
typedef enum weir_err weir_index_check_fn(void *context);
struct weir_index_reader_options {
    struct weir_io *io; /* kept */
    weir_index_check_fn *check; /* NULL: none */
    void *context;
};
struct weir_index_counts {
    uint64_t bytes_read;
    uint64_t blocks_read;
    uint64_t blocks_hit;     /* in the cache */
    uint64_t blocks_damaged; /* each time one is met */
    uint64_t series_lost;    /* answered without their labels, because of damage */
};
enum weir_err weir_index_reader_new(struct weir_index *index,
    const struct weir_index_reader_options *options, struct weir_index_reader **out) WEIR_MUST_USE;
void weir_index_reader_free(struct weir_index_reader *reader);
/* For the next query. */
void weir_index_reader_set_check(struct weir_index_reader *reader, weir_index_check_fn *check,
    void *context);
const struct weir_index_counts *weir_index_reader_counts(const struct weir_index_reader *reader);

struct weir_index_view *weir_index_view_open(struct weir_index *index);
void weir_index_view_close(struct weir_index_view *view);
/* Series in all: of segments, and of deltas at this moment. */
uint64_t weir_index_view_count(const struct weir_index_view *view);

/* Selects the series that meet every matcher and may have samples in the range. The selection
 * borrows the view. Series stand shard by shard, in a shard by (metric, labels), those of deltas
 * after those of segments, until weir_index_selection_sort. */
enum weir_err weir_index_select(struct weir_index_reader *reader, struct weir_index_view *view,
    const struct weir_index_matchers *matchers, struct weir_index_range range,
    struct weir_index_selection **out) WEIR_MUST_USE;
void weir_index_selection_free(struct weir_index_selection *selection);
uint64_t weir_index_selection_count(const struct weir_index_selection *selection);
/* Brings the series of all shards into (metric, labels) order. Reads labels where more than one
 * shard or delta has some. */
enum weir_err weir_index_selection_sort(struct weir_index_reader *reader,
    struct weir_index_selection *selection) WEIR_MUST_USE;
/* Of places first to first + count - 1: numbers, and whether the labels are those of the place
 * before (a series whose number was given twice); aliases may be NULL. */
enum weir_err weir_index_selection_numbers(struct weir_index_reader *reader,
    const struct weir_index_selection *selection, uint64_t first, size_t count, uint64_t *numbers,
    bool *aliases) WEIR_MUST_USE;
/* Canonical labels of a place, valid until the reader's next call. Where damage has taken them,
 * those of weir_labels_lost. Ascending places cost little more than bytes. */
enum weir_err weir_index_selection_labels(struct weir_index_reader *reader,
    const struct weir_index_selection *selection, uint64_t place, const uint8_t **labels,
    size_t *size) WEIR_MUST_USE;
/* Groups of equal values of the labels in names (or, without, of all others but the metric's name):
 * ids[place] is the number of its group, from 0 in the order of first places. */
struct weir_index_grouping {
    const char *const *names; /* zero terminated */
    size_t count;
    bool without;
};
enum weir_err weir_index_selection_groups(struct weir_index_reader *reader,
    const struct weir_index_selection *selection, const struct weir_index_grouping *grouping,
    uint32_t *ids, uint32_t *groups) WEIR_MUST_USE;

/* Labels of a number, as of a place. WEIR_NOT_FOUND: in neither segment nor delta. */
enum weir_err weir_index_labels(struct weir_index_reader *reader, struct weir_index_view *view,
    uint64_t number, const uint8_t **labels, size_t *size) WEIR_MUST_USE;

/* Label names, or the values of one, ascending by bytes, each once. */
struct weir_index_strings {
    const char *name; /* NULL: names; else the label whose values are wanted, zero terminated */
    const struct weir_index_matchers *matchers; /* of series that are asked; NULL: all */
    struct weir_index_range range;
    const char *prefix; /* zero terminated; "" for none */
    uint64_t limit;     /* 0: none */
};
typedef enum weir_err weir_index_string_fn(void *context, const char *text, size_t size);
/* A non-OK return of call ends it with that. */
enum weir_err weir_index_strings(struct weir_index_reader *reader, struct weir_index_view *view,
    const struct weir_index_strings *wanted, weir_index_string_fn *call, void *context)
    WEIR_MUST_USE;

#endif
