/* index_segment_terms: the dictionaries of a segment: look-ups, walks, postings.
 *
 * Threads: their reader's
 * Memory:  pinned blocks, until the walk's end
 * Errors:  as storage/index/segment.h
 */
#ifndef WEIR_STORAGE_INDEX_SEGMENT_TERMS_H
#define WEIR_STORAGE_INDEX_SEGMENT_TERMS_H

#include "storage/index/segment.h"

/* Walks a dictionary in the order of its keys. */
struct weir_terms_walk {
    struct weir_index_reader *reader;
    const struct weir_segment *segment;
    enum weir_index_section section;
    struct weir_index_block block;
    bool pinned;
    struct weir_terms_iterator iterator;
    struct weir_term term; /* the current one */
    uint32_t rank;         /* of it in its dictionary */
};

/* Begins at the first term whose key is not less; term is then that one. WEIR_END. */
enum weir_err weir_terms_walk_begin(struct weir_terms_walk *walk, struct weir_index_reader *reader,
    const struct weir_segment *segment, enum weir_index_section section, const uint8_t *key,
    size_t size) WEIR_MUST_USE;
enum weir_err weir_terms_walk_next(struct weir_terms_walk *walk) WEIR_MUST_USE;
/* After every begin, also one that failed. */
void weir_terms_walk_end(struct weir_terms_walk *walk);

/* Reads postings; keeps the block of the last ones pinned. */
struct weir_postings_walk {
    struct weir_index_reader *reader;
    const struct weir_segment *segment;
    struct weir_index_block block;
    bool pinned;
};
void weir_postings_walk_begin(struct weir_postings_walk *walk, struct weir_index_reader *reader,
    const struct weir_segment *segment);
/* Adds the ordinals to a set. */
enum weir_err weir_postings_walk_add(struct weir_postings_walk *walk,
    const struct weir_postings *postings, struct weir_ordinals *set) WEIR_MUST_USE;
/* Is one of the ordinals in the set? Uses the reader's last set. */
enum weir_err weir_postings_walk_meets(struct weir_postings_walk *walk,
    const struct weir_postings *postings, const struct weir_ordinals *set, bool *met)
    WEIR_MUST_USE;
void weir_postings_walk_end(struct weir_postings_walk *walk);

/* A label name: its rank among the names, its postings, the count of its values. */
struct weir_segment_label {
    uint32_t rank;
    uint32_t values;
    struct weir_postings postings;
};
/* WEIR_NOT_FOUND where no series has the label. */
enum weir_err weir_segment_find_label(struct weir_index_reader *reader,
    const struct weir_segment *segment, const void *name, size_t size,
    struct weir_segment_label *out) WEIR_MUST_USE;
/* Postings of a value of the label; WEIR_NOT_FOUND. */
enum weir_err weir_segment_find_value(struct weir_index_reader *reader,
    const struct weir_segment *segment, uint32_t rank, const void *value, size_t size,
    struct weir_postings *out) WEIR_MUST_USE;

#endif
