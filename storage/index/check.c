#include "storage/index/check.h"

#include "base/crc.h"
#include "storage/index/segment.h"

#define HEAD_BYTES sizeof(struct weir_index_block_head)

struct check {
    struct weir_index_reader *reader;
    const struct weir_segment *segment;
    struct weir_index_damage *out;
    uint64_t end; /* of the blocks */
};

static bool
is_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static enum weir_err
check_head(struct check *check)
{
    uint8_t *page = check->reader->stored;
    struct weir_index_head head;
    enum weir_err err = weir_io_read(
        check->reader->options.io, check->segment->file, page, WEIR_INDEX_PAGE, 0);
    if (err != WEIR_OK)
        return err;
    const struct weir_index_footer *footer = &check->segment->footer;
    memcpy(&head, page, sizeof head);
    check->out->ends += head.magic != WEIR_INDEX_MAGIC || head.version != WEIR_INDEX_VERSION ||
                        head.shard != footer->shard || head.generation != footer->generation ||
                        head.file_id != footer->file_id ||
                        head.crc != weir_crc32c(0, &head, offsetof(struct weir_index_head, crc));
    check->out->padding += !is_zero(page + sizeof head, WEIR_INDEX_PAGE - sizeof head);
    return WEIR_OK;
}

/* Both footers hold the same but for their offset and checksum. */
static enum weir_err
check_footers(struct check *check)
{
    uint8_t *page = check->reader->stored;
    for (unsigned i = 0; i < 2; i++) {
        struct weir_index_footer expected = check->segment->footer;
        expected.at = check->end + i * WEIR_INDEX_PAGE;
        expected.crc = weir_crc32c(
            weir_index_place_crc(expected.file_id, expected.at / WEIR_INDEX_ALIGN), &expected,
            offsetof(struct weir_index_footer, crc));
        enum weir_err err = weir_io_read(check->reader->options.io, check->segment->file, page,
            WEIR_INDEX_PAGE, expected.at);
        if (err != WEIR_OK)
            return err;
        check->out->ends += memcmp(page, &expected, sizeof expected) != 0;
        check->out->padding +=
            !is_zero(page + sizeof expected, WEIR_INDEX_PAGE - sizeof expected);
    }
    return WEIR_OK;
}

/* Does the head of one of our blocks stand here? */
static bool
is_head(const struct check *check, const uint8_t *bytes, uint64_t at,
    struct weir_index_block_head *head)
{
    memcpy(head, bytes, sizeof *head);
    return head->magic == WEIR_INDEX_BLOCK_MAGIC &&
           head->file_id == check->segment->footer.file_id && head->place == at / WEIR_INDEX_ALIGN;
}

/* Passes over bytes that are no block, up to the next head, of `size` bytes that were read at `at`;
 * returns how many. */
static uint64_t
pass_damage(struct check *check, const uint8_t *bytes, uint64_t size, uint64_t at)
{
    struct weir_index_block_head head;
    uint64_t i = WEIR_INDEX_ALIGN;
    while (i + HEAD_BYTES <= size && !is_head(check, bytes + i, at + i, &head))
        i += WEIR_INDEX_ALIGN;
    return i < size ? i : size;
}

/* Checks what stands at *at, and moves past it. in_damage: the stretch before was damaged. */
static enum weir_err
check_one(struct check *check, uint64_t *at, bool *in_damage)
{
    struct weir_index_reader *reader = check->reader;
    struct weir_index_block_head head;
    uint64_t size = check->end - *at;
    size = size < sizeof reader->stored ? size : sizeof reader->stored;
    enum weir_err err = weir_io_read(
        reader->options.io, check->segment->file, reader->stored, (size_t)size, *at);
    if (err != WEIR_OK)
        return err;
    reader->counts.bytes_read += size;
    if (*at + size == check->end && is_zero(reader->stored, (size_t)size)) {
        *at = check->end;
        return WEIR_OK;
    }
    if (size >= HEAD_BYTES && is_head(check, reader->stored, *at, &head)) {
        struct weir_index_place place = {head.place, (uint32_t)HEAD_BYTES + head.bytes};
        uint64_t next = (place.bytes + WEIR_INDEX_ALIGN - 1) / WEIR_INDEX_ALIGN * WEIR_INDEX_ALIGN;
        if (next <= size && weir_index_unpack(reader->unpacker, reader->stored,
                                check->segment->footer.file_id, place, &head, reader->raw)) {
            check->out->blocks++;
            check->out->padding +=
                !is_zero(reader->stored + place.bytes, (size_t)(next - place.bytes));
            *at += next;
            *in_damage = false;
            return WEIR_OK;
        }
        *in_damage = false; /* a block of its own */
    }
    if (!*in_damage && check->out->damaged++ == 0)
        check->out->first = *at;
    *in_damage = true;
    *at += pass_damage(check, reader->stored, size, *at);
    return WEIR_OK;
}

static enum weir_err
check_all(struct check *check)
{
    bool in_damage = false;
    enum weir_err err = check_head(check);
    for (uint64_t at = WEIR_INDEX_PAGE; at < check->end && err == WEIR_OK;) {
        err = weir_reader_check(check->reader);
        if (err == WEIR_OK)
            err = check_one(check, &at, &in_damage);
    }
    if (err == WEIR_OK)
        err = check_footers(check);
    if (err != WEIR_OK)
        return err == WEIR_END ? WEIR_CORRUPT : err;
    const struct weir_index_damage *out = check->out;
    if (out->damaged == 0 && out->ends == 0 && out->padding == 0 &&
        out->blocks == check->segment->footer.blocks)
        return WEIR_OK;
    return weir_fail(WEIR_CORRUPT, 0,
        "%s: %u of %u blocks check out, %u ends and %u stretches between are damaged",
        check->segment->path, out->blocks, check->segment->footer.blocks, out->ends, out->padding);
}

enum weir_err
weir_index_check(struct weir_index_reader *reader, const char *path,
    struct weir_index_damage *out)
{
    struct weir_segment *segment;
    *out = (struct weir_index_damage){0};
    enum weir_err err = weir_segment_open(reader->options.io, path, &segment);
    if (err != WEIR_OK)
        return err;
    struct check check = {.reader = reader,
        .segment = segment,
        .out = out,
        .end = segment->footer.bytes - 2 * WEIR_INDEX_PAGE};
    err = check_all(&check);
    weir_segment_close(segment, reader->options.io);
    return err;
}
