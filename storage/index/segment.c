#include "storage/index/segment.h"

#include "base/crc.h"

#include <stdlib.h>

static bool
footer_is_good(const struct weir_index_footer *footer, uint64_t at, uint64_t file_bytes)
{
    return footer->magic == WEIR_INDEX_FOOTER_MAGIC && footer->at == at &&
           footer->bytes == file_bytes &&
           footer->crc == weir_crc32c(
               weir_index_place_crc(footer->file_id, at / WEIR_INDEX_ALIGN), footer,
               offsetof(struct weir_index_footer, crc));
}

static enum weir_err
check_footer(const struct weir_index_footer *footer, const char *path)
{
    if (footer->version > WEIR_INDEX_VERSION)
        return weir_fail(WEIR_UNSUPPORTED, 0, "%s has version %u, this program knows %d", path,
            footer->version, WEIR_INDEX_VERSION);
    bool good = footer->version == WEIR_INDEX_VERSION && footer->series <= WEIR_SHARD_SERIES &&
                footer->through <= WEIR_SHARD_SERIES && footer->series <= footer->through;
    for (unsigned i = 0; i < WEIR_INDEX_SECTIONS; i++)
        good = good && footer->roots[i].height <= WEIR_INDEX_HEIGHT_MAX;
    return good ? WEIR_OK : weir_fail(WEIR_CORRUPT, 0, "%s: its footer holds no segment", path);
}

/* Reads both footers, and takes the one that checks out. */
static enum weir_err
read_footer(struct weir_io *io, struct weir_segment *segment)
{
    uint8_t pages[2][WEIR_INDEX_PAGE];
    uint64_t size;
    enum weir_err err = weir_io_size(io, segment->file, &size);
    if (err != WEIR_OK)
        return err;
    if (size < 3 * WEIR_INDEX_PAGE)
        return weir_fail(WEIR_CORRUPT, 0, "%s is cut off", segment->path);
    uint64_t at = size - sizeof pages;
    err = weir_io_read(io, segment->file, pages, sizeof pages, at);
    if (err != WEIR_OK)
        return err == WEIR_END ? weir_fail(WEIR_CORRUPT, 0, "%s is cut off", segment->path) : err;
    for (unsigned i = 0; i < 2; i++) {
        memcpy(&segment->footer, pages[i], sizeof segment->footer);
        if (footer_is_good(&segment->footer, at + i * WEIR_INDEX_PAGE, size))
            return check_footer(&segment->footer, segment->path);
    }
    return weir_fail(WEIR_CORRUPT, 0, "%s: neither footer checks out", segment->path);
}

enum weir_err
weir_segment_open(struct weir_io *io, const char *path, struct weir_segment **out)
{
    size_t size = strlen(path) + 1;
    struct weir_segment *segment = malloc(sizeof *segment + size);
    if (segment == NULL)
        return weir_fail(WEIR_NOMEM, 0, "index segment %s", path);
    memcpy(segment->path, path, size);
    enum weir_err err = weir_io_open(io, path, WEIR_IO_READ, &segment->file);
    if (err != WEIR_OK) {
        free(segment);
        return err;
    }
    err = read_footer(io, segment);
    if (err != WEIR_OK) {
        weir_segment_close(segment, io);
        return err;
    }
    segment->first_number = (uint64_t)segment->footer.shard << WEIR_SHARD_BITS;
    *out = segment;
    return WEIR_OK;
}

void
weir_segment_close(struct weir_segment *segment, struct weir_io *io)
{
    weir_io_close(io, segment->file);
    free(segment);
}

enum weir_err
weir_reader_check(struct weir_index_reader *reader)
{
    return reader->options.check == NULL ? WEIR_OK
                                         : reader->options.check(reader->options.context);
}

static bool
is_array(unsigned kind)
{
    return kind == WEIR_INDEX_ORDINALS || kind == WEIR_INDEX_NUMBERS;
}

/* Do the raw bytes have the size that the head's kind and count say? */
static bool
sizes_agree(const struct weir_index_block_head *head)
{
    if (head->count == 0 || head->last < head->first)
        return false;
    if (is_array(head->kind))
        return head->count <= WEIR_INDEX_ARRAY_MAX && head->raw_bytes == 4 * head->count &&
               head->last - head->first == head->count - 1;
    if (head->kind == WEIR_INDEX_SEEN)
        return head->count <= WEIR_INDEX_SEEN_MAX && head->raw_bytes == 6 * head->count &&
               head->last - head->first == head->count - 1;
    if (head->kind == WEIR_INDEX_NAMES || head->kind == WEIR_INDEX_TERMS ||
        head->kind == WEIR_INDEX_LABELS)
        return head->last - head->first == head->count - 1;
    if (head->kind & WEIR_INDEX_DIRECTORY)
        return 2 * (uint64_t)head->count <= head->raw_bytes;
    return true;
}

static enum weir_err
damaged(struct weir_index_reader *reader, const struct weir_segment *segment,
    struct weir_index_place at)
{
    reader->counts.blocks_damaged++;
    return weir_fail(WEIR_CORRUPT, 0, "%s: the block at %llu does not check out", segment->path,
        (unsigned long long)at.place * WEIR_INDEX_ALIGN);
}

/* Reads and checks a block into memory of the cache. */
static enum weir_err
read_block(struct weir_index_reader *reader, const struct weir_segment *segment,
    struct weir_index_place at, uint8_t *memory, struct weir_index_block *out)
{
    struct weir_index_block_head head;
    if (at.bytes < sizeof head || at.bytes > WEIR_INDEX_BLOCK_MAX)
        return damaged(reader, segment, at);
    enum weir_err err = weir_io_read(reader->options.io, segment->file, reader->stored, at.bytes,
        (uint64_t)at.place * WEIR_INDEX_ALIGN);
    if (err == WEIR_END)
        return damaged(reader, segment, at);
    if (err != WEIR_OK)
        return err;
    reader->counts.blocks_read++;
    reader->counts.bytes_read += at.bytes;
    if (!weir_index_unpack(reader->unpacker, reader->stored, segment->footer.file_id, at, &head,
            reader->raw) || !sizes_agree(&head) || head.shard != segment->footer.shard)
        return damaged(reader, segment, at);
    if (is_array(head.kind))
        weir_index_array_decode(reader->raw, head.count, (uint32_t *)memory);
    else
        memcpy(memory, reader->raw, head.raw_bytes);
    *out = (struct weir_index_block){.raw = memory,
        .raw_bytes = head.raw_bytes,
        .first = head.first,
        .last = head.last,
        .count = head.count,
        .kind = head.kind,
        .slot = out->slot};
    return WEIR_OK;
}

/* Pins a block of this kind. */
static enum weir_err
get_block(struct weir_index_reader *reader, const struct weir_segment *segment,
    struct weir_index_place at, unsigned kind, struct weir_index_block *out)
{
    uint8_t *memory;
    enum weir_err err = WEIR_OK;
    if (weir_index_cache_get(reader->cache, segment->footer.file_id, at.place, out)) {
        reader->counts.blocks_hit++;
    } else {
        err = weir_reader_check(reader);
        if (err == WEIR_OK)
            err = weir_index_cache_reserve(reader->cache, segment->footer.file_id, at.place,
                &out->slot, &memory);
        if (err != WEIR_OK)
            return err;
        err = read_block(reader, segment, at, memory, out);
        if (err == WEIR_OK)
            weir_index_cache_publish(reader->cache, out);
    }
    if (err == WEIR_OK && out->kind != kind)
        err = damaged(reader, segment, at);
    if (err != WEIR_OK)
        weir_segment_release(reader, out);
    return err;
}

void
weir_segment_release(struct weir_index_reader *reader, struct weir_index_block *block)
{
    weir_index_cache_release(reader->cache, block);
}

struct wanted {
    const uint8_t *key; /* NULL: by number */
    size_t size;
    uint32_t number;
};

/* An entry of a directory; false where its bytes are bad. */
static bool
entry_at(const struct weir_index_block *block, uint32_t index, struct weir_index_entry_head *entry,
    const uint8_t **key)
{
    uint32_t end = block->raw_bytes - 2 * block->count;
    uint32_t at = weir_index_u16(block->raw + end + 2 * index);
    if (at > end || end - at < sizeof *entry)
        return false;
    memcpy(entry, block->raw + at, sizeof *entry);
    *key = block->raw + at + sizeof *entry;
    return entry->key_size <= end - at - sizeof *entry;
}

/* The last entry that does not lie past what is wanted, or the first. */
static bool
search(const struct weir_index_block *block, const struct wanted *wanted,
    struct weir_index_entry_head *out, const uint8_t **key)
{
    uint32_t low = 0, high = block->count;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (!entry_at(block, middle, out, key))
            return false;
        bool past = wanted->key != NULL ? weir_index_compare(*key, out->key_size, wanted->key,
                                              wanted->size) > 0
                                        : out->first > wanted->number;
        if (past)
            high = middle;
        else
            low = middle;
    }
    return entry_at(block, low, out, key);
}

/* Where the leaf is; and the days that its directory has for it, where days is not NULL and there
 * is a directory. */
static enum weir_err
descend(struct weir_index_reader *reader, const struct weir_segment *segment,
    enum weir_index_section section, const struct wanted *wanted, struct weir_index_place *at,
    struct weir_index_days *days)
{
    const struct weir_index_root *root = &segment->footer.roots[section];
    struct weir_index_block block;
    *at = root->at;
    if (root->count == 0)
        return WEIR_END;
    for (uint32_t i = 0; i < root->height; i++) {
        struct weir_index_entry_head entry;
        const uint8_t *key;
        enum weir_err err =
            get_block(reader, segment, *at, section | WEIR_INDEX_DIRECTORY, &block);
        if (err != WEIR_OK)
            return err;
        bool good = search(&block, wanted, &entry, &key);
        if (good && days != NULL && entry.key_size == sizeof *days)
            memcpy(days, key, sizeof *days);
        weir_segment_release(reader, &block);
        if (!good)
            return damaged(reader, segment, *at);
        *at = entry.at;
    }
    return WEIR_OK;
}

/* Does this head stand here, and is it of the leaf? */
static bool
is_wanted(const struct weir_segment *segment, const uint8_t *bytes, uint64_t at,
    enum weir_index_section section, uint32_t wanted)
{
    struct weir_index_block_head head;
    if (weir_index_u32(bytes) != WEIR_INDEX_BLOCK_MAGIC)
        return false;
    memcpy(&head, bytes, sizeof head);
    return head.file_id == segment->footer.file_id && head.place == at / WEIR_INDEX_ALIGN &&
           head.kind == (unsigned)section && head.first <= wanted && wanted <= head.last;
}

/* Searches the file for the leaf, past damaged directories. */
static enum weir_err
search_file(struct weir_index_reader *reader, const struct weir_segment *segment,
    enum weir_index_section section, uint32_t wanted, struct weir_index_block *out)
{
    uint64_t end = segment->footer.bytes - 2 * WEIR_INDEX_PAGE;
    size_t head_size = sizeof(struct weir_index_block_head);
    for (uint64_t at = WEIR_INDEX_PAGE; at + head_size <= end;) {
        uint64_t size = sizeof reader->raw < end - at ? sizeof reader->raw : end - at;
        enum weir_err err = weir_reader_check(reader);
        if (err == WEIR_OK)
            err = weir_io_read(reader->options.io, segment->file, reader->raw, (size_t)size, at);
        if (err != WEIR_OK)
            return err == WEIR_END ? WEIR_CORRUPT : err;
        reader->counts.bytes_read += size;
        uint64_t next = (size - head_size + WEIR_INDEX_ALIGN) & ~(uint64_t)(WEIR_INDEX_ALIGN - 1);
        for (uint64_t i = 0; i + head_size <= size; i += WEIR_INDEX_ALIGN) {
            if (!is_wanted(segment, reader->raw + i, at + i, section, wanted))
                continue;
            struct weir_index_block_head head;
            memcpy(&head, reader->raw + i, sizeof head);
            struct weir_index_place place = {head.place, (uint32_t)head_size + head.bytes};
            return get_block(reader, segment, place, section, out);
        }
        at += next;
    }
    return WEIR_CORRUPT;
}

enum weir_err
weir_segment_leaf(struct weir_index_reader *reader, const struct weir_segment *segment,
    enum weir_index_section section, uint32_t number, struct weir_index_block *out)
{
    struct wanted wanted = {.number = number};
    struct weir_index_place at;
    enum weir_err err = descend(reader, segment, section, &wanted, &at, NULL);
    if (err == WEIR_OK)
        err = get_block(reader, segment, at, section, out);
    else if (err == WEIR_CORRUPT)
        err = search_file(reader, segment, section, number, out);
    bool dictionary = section == WEIR_INDEX_TERMS || section == WEIR_INDEX_LABELS;
    if (err == WEIR_END && !dictionary) /* the footer says that there is a leaf */
        return damaged(reader, segment, at);
    if (err != WEIR_OK || (number >= out->first && number <= out->last))
        return err;
    bool past = number > out->last;
    weir_segment_release(reader, out);
    return past && dictionary ? WEIR_END : damaged(reader, segment, at);
}

enum weir_err
weir_segment_leaf_of_key(struct weir_index_reader *reader, const struct weir_segment *segment,
    enum weir_index_section section, const uint8_t *key, size_t size, struct weir_index_block *out)
{
    struct wanted wanted = {.key = key, .size = size};
    struct weir_index_place at;
    enum weir_err err = descend(reader, segment, section, &wanted, &at, NULL);
    return err == WEIR_OK ? get_block(reader, segment, at, section, out) : err;
}

enum weir_err
weir_segment_days(struct weir_index_reader *reader, const struct weir_segment *segment,
    uint32_t ordinal, struct weir_index_days *days)
{
    struct wanted wanted = {.number = ordinal};
    struct weir_index_place at;
    *days = (struct weir_index_days){0, UINT16_MAX, 0, UINT16_MAX};
    return descend(reader, segment, WEIR_INDEX_SEEN, &wanted, &at, days);
}

/* Searches ordinal -> number for a number whose block of ordinals is damaged. */
static enum weir_err
search_ordinal(struct weir_index_reader *reader, const struct weir_segment *segment,
    uint32_t local, uint32_t *ordinal)
{
    struct weir_index_block block;
    for (uint32_t at = 0; at < segment->footer.series; at += WEIR_INDEX_ARRAY_MAX) {
        enum weir_err err = weir_segment_leaf(reader, segment, WEIR_INDEX_NUMBERS, at, &block);
        if (err == WEIR_CORRUPT)
            continue;
        if (err != WEIR_OK)
            return err;
        const uint32_t *numbers = (const uint32_t *)block.raw;
        uint32_t i = 0;
        while (i < block.count && numbers[i] != local)
            i++;
        *ordinal = block.first + i;
        bool found = i < block.count;
        weir_segment_release(reader, &block);
        if (found)
            return WEIR_OK;
    }
    return WEIR_NOT_FOUND;
}

enum weir_err
weir_segment_ordinal(struct weir_index_reader *reader, const struct weir_segment *segment,
    uint32_t local, uint32_t *ordinal)
{
    struct weir_index_block block;
    if (local >= segment->footer.through)
        return WEIR_NOT_FOUND;
    enum weir_err err = weir_segment_leaf(reader, segment, WEIR_INDEX_ORDINALS, local, &block);
    if (err == WEIR_CORRUPT)
        return search_ordinal(reader, segment, local, ordinal);
    if (err != WEIR_OK)
        return err;
    *ordinal = ((const uint32_t *)block.raw)[local - block.first];
    weir_segment_release(reader, &block);
    return *ordinal < segment->footer.series ? WEIR_OK : WEIR_NOT_FOUND;
}
