/* index_terms: blocks of the dictionaries: sorted keys, each with where its postings are.
 *
 *   block | entry ... | offsets of groups, u16 each |         a group: up to 16 entries
 *   entry | varint: at the begin of a group the place of its postings, else the bytes between the
 *         | postings of the entry before and its own |
 *         | varint bytes of the key shared with the one before, varint bytes that follow, these |
 *         | varint series | varint first ordinal | where series > 1: varint size of the postings |
 *         | varint values: of a label name, else 0 |
 *
 * Postings lie one after the other; those of a label name follow those of its values.
 *
 * Keys: WEIR_INDEX_LABELS a label name; WEIR_INDEX_TERMS the rank of a label name, 4 bytes, the
 * highest first, and a value.
 *
 * Threads: a builder or an iterator belongs to one
 * Errors:  an iterator takes any bytes; false where they are no entry
 */
#ifndef WEIR_STORAGE_INDEX_TERMS_H
#define WEIR_STORAGE_INDEX_TERMS_H

#include "model/labels.h"
#include "storage/index/bytes.h"
#include "storage/index/postings.h"
#include "storage/index/tree_writer.h"

#define WEIR_TERM_RANK_BYTES 4
#define WEIR_TERM_KEY_MAX (WEIR_LABELS_BYTES_MAX + WEIR_TERM_RANK_BYTES)
_Static_assert(WEIR_TERM_KEY_MAX <= WEIR_TREE_KEY_MAX, "a directory has room for a key");
#define WEIR_TERMS_GROUPS_MAX (WEIR_INDEX_RAW_MAX / 6 / WEIR_INDEX_TERMS_GROUP + 1)

struct weir_term {
    struct weir_postings postings;
    uint32_t values;
    uint32_t key_size;
    uint8_t key[WEIR_TERM_KEY_MAX];
};

struct weir_terms_builder {
    struct weir_tree_writer *tree;
    uint32_t first; /* rank of the block's first term */
    uint32_t count;
    uint32_t used;
    uint32_t groups;
    uint32_t separator_size; /* greater than the keys before, not greater than the first */
    uint32_t key_size;
    uint64_t place; /* after the postings of the last term */
    uint16_t offsets[WEIR_TERMS_GROUPS_MAX];
    uint8_t key[WEIR_TERM_KEY_MAX]; /* of the last term */
    uint8_t separator[WEIR_TERM_KEY_MAX];
    uint8_t raw[WEIR_INDEX_RAW_MAX];
};

void weir_terms_builder_init(struct weir_terms_builder *builder, struct weir_tree_writer *tree);
/* Terms come in the order of their keys, their postings in the order of their places. */
enum weir_err weir_terms_builder_add(struct weir_terms_builder *builder,
    const struct weir_term *term) WEIR_MUST_USE;
enum weir_err weir_terms_builder_flush(struct weir_terms_builder *builder) WEIR_MUST_USE;

/* Puts the rank of a label name before a value. False where the value is longer than any. */
bool weir_term_key(uint32_t rank, const void *value, size_t size, struct weir_term *term);

/* Walks the entries of a block's raw bytes. */
struct weir_terms_iterator {
    struct weir_index_cursor cursor;
    const uint8_t *raw;
    const uint8_t *entries_end;
    uint32_t count;
    uint32_t at; /* index in the block of the next entry */
    uint64_t place;
};
bool weir_terms_iterator_init(struct weir_terms_iterator *iterator, const uint8_t *raw,
    uint32_t raw_bytes, uint32_t count);
/* The next entry; term->key is that of the entry before. False at the end, and where bytes are bad:
 * then iterator->cursor.bad. */
bool weir_terms_iterator_next(struct weir_terms_iterator *iterator, struct weir_term *term);
/* Moves to the group that may hold the key: the last whose first key is not greater, or the first
 * group. The next entry is the group's first. False where bytes are bad. */
bool weir_terms_iterator_seek(struct weir_terms_iterator *iterator, const uint8_t *key,
    size_t size, struct weir_term *scratch);

#endif
