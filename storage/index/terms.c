#include "storage/index/terms.h"

/* Bytes of an entry beside its key, and of its share of the offsets. */
#define ENTRY_REST (7 * WEIR_INDEX_VARINT_MAX + 2)

void
weir_terms_builder_init(struct weir_terms_builder *builder, struct weir_tree_writer *tree)
{
    builder->tree = tree;
    builder->first = builder->count = builder->used = builder->groups = 0;
    builder->key_size = 0;
}

enum weir_err
weir_terms_builder_flush(struct weir_terms_builder *builder)
{
    if (builder->count == 0)
        return WEIR_OK;
    memcpy(builder->raw + builder->used, builder->offsets, 2 * builder->groups);
    struct weir_tree_leaf leaf = {.first = builder->first,
        .last = builder->first + builder->count - 1,
        .count = builder->count,
        .raw = builder->raw,
        .raw_bytes = builder->used + 2 * builder->groups,
        .key = builder->separator,
        .key_size = (uint16_t)builder->separator_size};
    builder->first += builder->count;
    builder->count = builder->used = builder->groups = 0;
    return weir_tree_writer_add(builder->tree, &leaf);
}

enum weir_err
weir_terms_builder_add(struct weir_terms_builder *builder, const struct weir_term *term)
{
    size_t most = term->key_size + ENTRY_REST + 2 * builder->groups;
    if (builder->used + most > WEIR_INDEX_RAW_MAX) {
        enum weir_err err = weir_terms_builder_flush(builder);
        if (err != WEIR_OK)
            return err;
    }
    size_t shared = weir_index_shared(term->key, term->key_size, builder->key, builder->key_size);
    if (builder->count == 0) {
        builder->separator_size = (uint32_t)(shared < term->key_size ? shared + 1 : shared);
        memcpy(builder->separator, term->key, builder->separator_size);
    }
    uint8_t *at = builder->raw + builder->used;
    if (builder->count % WEIR_INDEX_TERMS_GROUP == 0) {
        builder->offsets[builder->groups++] = (uint16_t)builder->used;
        at = weir_index_put(at, term->postings.at);
        shared = 0;
    } else {
        at = weir_index_put(at, term->postings.at - builder->place);
    }
    builder->place = term->postings.at + term->postings.size;
    at = weir_index_put(at, shared);
    at = weir_index_put(at, term->key_size - shared);
    memcpy(at, term->key + shared, term->key_size - shared);
    at += term->key_size - shared;
    at = weir_index_put(at, term->postings.count);
    at = weir_index_put(at, term->postings.first);
    if (term->postings.count > 1)
        at = weir_index_put(at, term->postings.size);
    at = weir_index_put(at, term->values);
    builder->used = (uint32_t)(at - builder->raw);
    builder->count++;
    memcpy(builder->key, term->key, term->key_size);
    builder->key_size = term->key_size;
    return WEIR_OK;
}

bool
weir_term_key(uint32_t rank, const void *value, size_t size, struct weir_term *term)
{
    if (size > WEIR_LABELS_BYTES_MAX)
        return false;
    for (unsigned i = 0; i < WEIR_TERM_RANK_BYTES; i++)
        term->key[i] = (uint8_t)(rank >> (24 - 8 * i));
    if (size != 0)
        memcpy(term->key + WEIR_TERM_RANK_BYTES, value, size);
    term->key_size = (uint32_t)size + WEIR_TERM_RANK_BYTES;
    return true;
}

static uint32_t
group_count(uint32_t count)
{
    return (count + WEIR_INDEX_TERMS_GROUP - 1) / WEIR_INDEX_TERMS_GROUP;
}

/* Moves to the first entry of a group. */
static bool
go_to_group(struct weir_terms_iterator *iterator, uint32_t group)
{
    const uint8_t *begin =
        iterator->raw + weir_index_u16(iterator->entries_end + 2 * group);
    if (begin >= iterator->entries_end)
        return false;
    iterator->cursor = (struct weir_index_cursor){begin, iterator->entries_end, false};
    iterator->at = group * WEIR_INDEX_TERMS_GROUP;
    return true;
}

bool
weir_terms_iterator_init(struct weir_terms_iterator *iterator, const uint8_t *raw,
    uint32_t raw_bytes, uint32_t count)
{
    if (count == 0 || count > WEIR_INDEX_RAW_MAX || raw_bytes < 2 * group_count(count))
        return false;
    *iterator = (struct weir_terms_iterator){.raw = raw,
        .entries_end = raw + raw_bytes - 2 * group_count(count),
        .count = count};
    return go_to_group(iterator, 0);
}

static bool
fail(struct weir_terms_iterator *iterator)
{
    iterator->cursor.bad = true;
    return false;
}

bool
weir_terms_iterator_next(struct weir_terms_iterator *iterator, struct weir_term *term)
{
    struct weir_index_cursor *cursor = &iterator->cursor;
    if (iterator->at == iterator->count || cursor->bad)
        return false;
    if (iterator->at % WEIR_INDEX_TERMS_GROUP == 0) {
        iterator->place = 0;
        term->key_size = 0;
    }
    iterator->place += weir_index_get(cursor);
    uint64_t shared = weir_index_get(cursor), more = weir_index_get(cursor);
    const uint8_t *rest = weir_index_get_bytes(cursor, more);
    if (rest == NULL || shared > term->key_size || more > WEIR_TERM_KEY_MAX - shared)
        return fail(iterator);
    memcpy(term->key + shared, rest, more);
    term->key_size = (uint32_t)(shared + more);
    uint64_t count = weir_index_get(cursor), first = weir_index_get(cursor);
    uint64_t size = count > 1 ? weir_index_get(cursor) : 0;
    uint64_t values = weir_index_get(cursor);
    if (cursor->bad || count > WEIR_SHARD_SERIES || first >= WEIR_SHARD_SERIES ||
        size > WEIR_POSTINGS_BYTES_MAX || values > UINT32_MAX)
        return fail(iterator);
    term->postings = (struct weir_postings){(uint32_t)count, (uint32_t)first, (uint32_t)size,
        iterator->place};
    term->values = (uint32_t)values;
    iterator->place += size;
    iterator->at++;
    return true;
}

bool
weir_terms_iterator_seek(struct weir_terms_iterator *iterator, const uint8_t *key, size_t size,
    struct weir_term *scratch)
{
    uint32_t low = 0, high = group_count(iterator->count);
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (!go_to_group(iterator, middle) || !weir_terms_iterator_next(iterator, scratch))
            return false;
        if (weir_index_compare(scratch->key, scratch->key_size, key, size) <= 0)
            low = middle;
        else
            high = middle;
    }
    return go_to_group(iterator, low);
}
