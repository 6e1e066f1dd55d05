#include "storage/index/segment_terms.h"

static enum weir_err
damaged(struct weir_index_reader *reader, const struct weir_segment *segment, const char *what)
{
    reader->counts.blocks_damaged++;
    return weir_fail(WEIR_CORRUPT, 0, "%s: a block of %s holds none", segment->path, what);
}

void
weir_terms_walk_end(struct weir_terms_walk *walk)
{
    if (walk->pinned)
        weir_segment_release(walk->reader, &walk->block);
    walk->pinned = false;
}

static enum weir_err
start_block(struct weir_terms_walk *walk, enum weir_err err)
{
    walk->pinned = err == WEIR_OK;
    if (err == WEIR_OK && !weir_terms_iterator_init(&walk->iterator, walk->block.raw,
                              walk->block.raw_bytes, walk->block.count))
        err = damaged(walk->reader, walk->segment, "terms");
    return err;
}

enum weir_err
weir_terms_walk_next(struct weir_terms_walk *walk)
{
    if (walk->iterator.at == walk->iterator.count) {
        uint32_t next = walk->block.last + 1;
        weir_terms_walk_end(walk);
        if (next == 0)
            return WEIR_END;
        enum weir_err err = start_block(walk,
            weir_segment_leaf(walk->reader, walk->segment, walk->section, next, &walk->block));
        if (err != WEIR_OK)
            return err;
    }
    walk->rank = walk->block.first + walk->iterator.at;
    return weir_terms_iterator_next(&walk->iterator, &walk->term)
               ? WEIR_OK
               : damaged(walk->reader, walk->segment, "terms");
}

enum weir_err
weir_terms_walk_begin(struct weir_terms_walk *walk, struct weir_index_reader *reader,
    const struct weir_segment *segment, enum weir_index_section section, const uint8_t *key,
    size_t size)
{
    walk->reader = reader;
    walk->segment = segment;
    walk->section = section;
    enum weir_err err = start_block(walk,
        weir_segment_leaf_of_key(reader, segment, section, key, size, &walk->block));
    if (err == WEIR_OK && !weir_terms_iterator_seek(&walk->iterator, key, size, &walk->term))
        err = damaged(reader, segment, "terms");
    if (err == WEIR_OK)
        err = weir_terms_walk_next(walk);
    while (err == WEIR_OK && weir_index_compare(walk->term.key, walk->term.key_size, key, size) < 0)
        err = weir_terms_walk_next(walk);
    return err;
}

void
weir_postings_walk_begin(struct weir_postings_walk *walk, struct weir_index_reader *reader,
    const struct weir_segment *segment)
{
    walk->reader = reader;
    walk->segment = segment;
    walk->pinned = false;
}

void
weir_postings_walk_end(struct weir_postings_walk *walk)
{
    if (walk->pinned)
        weir_segment_release(walk->reader, &walk->block);
    walk->pinned = false;
}

static enum weir_err
move_to(struct weir_postings_walk *walk, uint32_t block)
{
    if (walk->pinned && walk->block.first == block)
        return WEIR_OK;
    weir_postings_walk_end(walk);
    enum weir_err err = weir_segment_leaf(
        walk->reader, walk->segment, WEIR_INDEX_POSTINGS, block, &walk->block);
    walk->pinned = err == WEIR_OK;
    return err;
}

/* Copies bytes that lie in more than one block. */
static enum weir_err
gather(struct weir_postings_walk *walk, uint64_t at, uint32_t size, uint8_t *out)
{
    while (size != 0) {
        enum weir_err err = move_to(walk, (uint32_t)(at / WEIR_INDEX_RAW_MAX));
        if (err != WEIR_OK)
            return err;
        uint32_t from = (uint32_t)(at % WEIR_INDEX_RAW_MAX);
        if (from >= walk->block.raw_bytes)
            return damaged(walk->reader, walk->segment, "postings");
        uint32_t now = walk->block.raw_bytes - from;
        now = now < size ? now : size;
        memcpy(out, walk->block.raw + from, now);
        out += now;
        at += now;
        size -= now;
    }
    return WEIR_OK;
}

/* The bytes of postings, valid until the next. */
static enum weir_err
postings_bytes(struct weir_postings_walk *walk, const struct weir_postings *postings,
    const uint8_t **bytes)
{
    enum weir_err err = WEIR_OK;
    uint32_t size = postings->count > 1 ? postings->size : 0;
    uint64_t at = postings->at, in_block = at % WEIR_INDEX_RAW_MAX;
    *bytes = walk->reader->postings;
    if (at > walk->segment->footer.postings_bytes ||
        size > walk->segment->footer.postings_bytes - at)
        return damaged(walk->reader, walk->segment, "terms");
    if (size == 0)
        return WEIR_OK;
    if (in_block + size > WEIR_INDEX_RAW_MAX)
        return gather(walk, at, size, walk->reader->postings);
    err = move_to(walk, (uint32_t)(at / WEIR_INDEX_RAW_MAX));
    if (err == WEIR_OK && in_block + size > walk->block.raw_bytes)
        err = damaged(walk->reader, walk->segment, "postings");
    if (err == WEIR_OK)
        *bytes = walk->block.raw + in_block;
    return err;
}

enum weir_err
weir_postings_walk_add(struct weir_postings_walk *walk, const struct weir_postings *postings,
    struct weir_ordinals *set)
{
    const uint8_t *bytes;
    enum weir_err err = postings_bytes(walk, postings, &bytes);
    if (err == WEIR_OK &&
        !weir_postings_decode(postings, bytes, walk->segment->footer.series, set))
        err = damaged(walk->reader, walk->segment, "postings");
    return err;
}

enum weir_err
weir_postings_walk_meets(struct weir_postings_walk *walk, const struct weir_postings *postings,
    const struct weir_ordinals *set, bool *met)
{
    const uint8_t *bytes;
    enum weir_err err = postings_bytes(walk, postings, &bytes);
    if (err == WEIR_OK &&
        !weir_postings_meet(postings, bytes, walk->segment->footer.series, set,
            &walk->reader->sets[WEIR_READER_SETS - 1], met))
        err = damaged(walk->reader, walk->segment, "postings");
    return err;
}

/* Looks up one key; the walk is given because it is large. */
static enum weir_err
find(struct weir_terms_walk *walk, struct weir_index_reader *reader,
    const struct weir_segment *segment, enum weir_index_section section,
    const struct weir_term *wanted)
{
    enum weir_err err = weir_terms_walk_begin(walk, reader, segment, section, wanted->key,
        wanted->key_size);
    weir_terms_walk_end(walk);
    if (err == WEIR_OK && weir_index_compare(walk->term.key, walk->term.key_size, wanted->key,
                              wanted->key_size) != 0)
        err = WEIR_NOT_FOUND;
    return err == WEIR_END ? WEIR_NOT_FOUND : err;
}

enum weir_err
weir_segment_find_label(struct weir_index_reader *reader, const struct weir_segment *segment,
    const void *name, size_t size, struct weir_segment_label *out)
{
    struct weir_terms_walk walk;
    struct weir_term *wanted = &reader->term;
    if (size > WEIR_LABELS_BYTES_MAX)
        return WEIR_NOT_FOUND;
    memcpy(wanted->key, name, size);
    wanted->key_size = (uint32_t)size;
    enum weir_err err = find(&walk, reader, segment, WEIR_INDEX_LABELS, wanted);
    if (err == WEIR_OK)
        *out = (struct weir_segment_label){walk.rank, walk.term.values, walk.term.postings};
    return err;
}

enum weir_err
weir_segment_find_value(struct weir_index_reader *reader, const struct weir_segment *segment,
    uint32_t rank, const void *value, size_t size, struct weir_postings *out)
{
    struct weir_terms_walk walk;
    if (!weir_term_key(rank, value, size, &reader->term))
        return WEIR_NOT_FOUND;
    enum weir_err err = find(&walk, reader, segment, WEIR_INDEX_TERMS, &reader->term);
    if (err == WEIR_OK)
        *out = walk.term.postings;
    return err;
}
