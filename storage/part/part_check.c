#include "storage/part/footer.h"
#include "storage/part/part_internal.h"

/* Compares a footer in the file with the one that was checked; they differ in their trailers. */
static enum weir_err
check_footer(struct weir_part_reader *reader, const struct weir_part *part, uint64_t at)
{
    uint8_t *bytes = reader->loaded[WEIR_PART_DIRECTORY - 1].bytes;
    size_t body = part->footer_size - sizeof(struct weir_part_trailer);
    struct weir_part_trailer trailer =
        weir_part_trailer_of(part->footer_bytes, part->footer_size, part->footer->file_id, at);
    reader->loaded[WEIR_PART_DIRECTORY - 1].file_id = 0;
    for (size_t done = 0; done < part->footer_size;) {
        bool is_body = done < body;
        size_t size = is_body ? body - done : sizeof trailer;
        size = size < WEIR_PART_BLOCK_MAX ? size : WEIR_PART_BLOCK_MAX;
        enum weir_err err = weir_part_read_all(reader->io, part, bytes, size, at + done);
        if (err != WEIR_OK)
            return err;
        const void *expected = is_body ? (const void *)(part->footer_bytes + done) : &trailer;
        if (memcmp(bytes, expected, size) != 0)
            return WEIR_CORRUPT;
        done += size;
    }
    return WEIR_OK;
}

static enum weir_err
check_ends(struct weir_part_reader *reader, const struct weir_part *part, unsigned *ends)
{
    struct weir_part_head head;
    uint8_t *bytes = reader->loaded[WEIR_PART_DIRECTORY - 1].bytes;
    reader->loaded[WEIR_PART_DIRECTORY - 1].file_id = 0;
    *ends = 0;
    enum weir_err err = weir_part_read_all(reader->io, part, bytes, WEIR_PART_HEAD_BYTES, 0);
    if (err == WEIR_OK)
        err = weir_part_head_check(bytes, &head);
    if (err == WEIR_CORRUPT)
        *ends |= WEIR_PART_HEAD_DAMAGED;
    for (unsigned copy = 0; copy < 2 && (err == WEIR_OK || err == WEIR_CORRUPT); copy++) {
        err = check_footer(reader, part, part->footer_at + copy * part->footer_size);
        if (err == WEIR_CORRUPT)
            *ends |= copy == 0 ? WEIR_PART_FIRST_FOOTER_DAMAGED : WEIR_PART_SECOND_FOOTER_DAMAGED;
    }
    return err == WEIR_CORRUPT ? WEIR_OK : err;
}

/* All values of the entries of a directory block. */
static enum weir_err
check_values(struct weir_part_reader *reader, const struct weir_part *part, uint32_t n)
{
    const struct weir_part_entry *entries;
    uint32_t count;
    enum weir_err err = weir_part_read_directory(reader, part, n, &entries, &count);
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
        /* the times' room is free: a column of doubles fits */
        err = weir_part_read_values(reader, part, &entries[i], (double *)(void *)reader->times_ms);
        reader->column_file_id = 0;
        if (err == WEIR_CORRUPT)
            err = WEIR_OK;
    }
    return err;
}

enum weir_err
weir_part_check(struct weir_part_reader *reader, const struct weir_part *part, unsigned *ends)
{
    uint64_t before = reader->damage.blocks;
    enum weir_err err = check_ends(reader, part, ends);
    for (uint32_t n = 0; n < weir_part_directory_count(part) && err == WEIR_OK; n++) {
        err = check_values(reader, part, n);
        if (err == WEIR_CORRUPT)
            err = WEIR_OK;
    }
    for (int kind = WEIR_PART_VALUES; kind <= WEIR_PART_TIMES; kind++) {
        for (uint32_t n = 0; n < part->counts[kind - 1] && err == WEIR_OK; n++) {
            struct weir_part_loaded *loaded;
            err = weir_part_load(reader, part, (enum weir_part_kind)kind, n, &loaded);
            if (err == WEIR_CORRUPT)
                err = WEIR_OK;
        }
    }
    if (err != WEIR_OK)
        return err;
    if (*ends == 0 && reader->damage.blocks == before)
        return WEIR_OK;
    return weir_fail(WEIR_CORRUPT, 0, "part %s has damage", part->path);
}
