/* twin_index: a label index that is slow and obvious (a scan over all label lists), and an index of
 * storage/index that is compared with it while series are added, merged and opened. */
#ifndef WEIR_TESTS_FUZZ_TWIN_INDEX_H
#define WEIR_TESTS_FUZZ_TWIN_INDEX_H

#include "storage/index/index.h"
#include "storage/index/merge.h"

#define TWIN_INDEX_SERIES_MAX 4096

/* Bytes that say what is drawn; zeros after their end. */
struct twin_index_source {
    const uint8_t *data;
    size_t size;
    size_t at;
};

struct twin_index_series {
    uint64_t number;
    uint8_t *labels; /* canonical */
    size_t size;
    uint16_t day_first;
    uint16_t day_last;
};

struct twin_index {
    struct twin_index_series series[TWIN_INDEX_SERIES_MAX]; /* in (metric, labels), number order */
    size_t count;
};

void twin_index_add(struct twin_index *twin, const struct weir_index_series *series);
void twin_index_clear(struct twin_index *twin);
/* (metric, labels) order of canonical lists. */
int twin_index_order(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size);
bool twin_index_matches(const struct twin_index_series *series,
    const struct weir_index_match *matches, size_t count, struct weir_index_range range);

/* Asks index and twin the same, and aborts where their answers differ. */
struct twin_index_question {
    struct weir_index_match matches[4];
    size_t match_count;
    struct weir_index_range range;
    const char *name; /* of the label whose values are listed, or NULL */
    const char *prefix;
    uint64_t limit;
    const char *group_names[3];
    struct weir_index_grouping grouping;
};
void twin_index_ask(struct weir_index *index, struct weir_index_reader *reader,
    const struct twin_index *twin, const struct twin_index_question *question);

/* Draws series, adds and merges them below directory, and asks drawn questions at each step. */
void twin_index_compare(struct twin_index_source *source, const char *directory);

#endif
