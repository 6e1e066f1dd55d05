#include "base/event.h"
#include "storage/part/footer.h"
#include "storage/part/part_internal.h"

#include <stdlib.h>

enum weir_err
weir_part_read_all(
    struct weir_io *io, const struct weir_part *part, void *out, size_t size, uint64_t at)
{
    enum weir_err err = weir_io_read(io, part->file, out, size, at);
    if (err == WEIR_END)
        return weir_fail(WEIR_CORRUPT, 0, "part %s ends before %llu", part->path,
            (unsigned long long)(at + size));
    return err;
}

/* Reads one of the two footers into part->footer_bytes. */
static enum weir_err
read_footer(struct weir_io *io, struct weir_part *part, const struct weir_part_head *head, int copy)
{
    uint64_t at = head->footer_at + (uint64_t)copy * head->footer_bytes;
    enum weir_err err = weir_part_read_all(io, part, part->footer_bytes, head->footer_bytes, at);
    if (err == WEIR_OK)
        err = weir_part_footer_check(part->footer_bytes, head->footer_bytes, head->file_id, at);
    if (err == WEIR_CORRUPT)
        part->ends |= copy == 0 ? WEIR_PART_FIRST_FOOTER_DAMAGED : WEIR_PART_SECOND_FOOTER_DAMAGED;
    return err;
}

/* What the head says, from the trailer at the end of the file. */
static enum weir_err
read_trailer(struct weir_io *io, const struct weir_part *part, uint64_t file_size,
    struct weir_part_head *out)
{
    struct weir_part_trailer trailer;
    if (file_size < sizeof trailer)
        return weir_fail(WEIR_CORRUPT, 0, "%llu bytes", (unsigned long long)file_size);
    enum weir_err err =
        weir_part_read_all(io, part, &trailer, sizeof trailer, file_size - sizeof trailer);
    if (err != WEIR_OK)
        return err;
    if (!weir_part_trailer_check(&trailer, file_size))
        return weir_fail(WEIR_CORRUPT, 0, "neither head nor last footer check out");
    *out = (struct weir_part_head){.file_id = trailer.file_id,
        .footer_at = trailer.at - trailer.bytes,
        .footer_bytes = trailer.bytes};
    return WEIR_OK;
}

/* Finds the footers by the head, or by the trailer at the end where the head is damaged. */
static enum weir_err
find_footers(
    struct weir_io *io, struct weir_part *part, uint64_t file_size, struct weir_part_head *out)
{
    uint8_t bytes[WEIR_PART_HEAD_BYTES];
    enum weir_err err = weir_part_read_all(io, part, bytes, sizeof bytes, 0);
    if (err == WEIR_OK)
        err = weir_part_head_check(bytes, out);
    if (err == WEIR_CORRUPT) {
        part->ends |= WEIR_PART_HEAD_DAMAGED;
        err = read_trailer(io, part, file_size, out);
    }
    if (err == WEIR_OK &&
        (out->footer_bytes > file_size || out->footer_at > file_size ||
            out->footer_at % WEIR_PART_ALIGN != 0 || out->file_id == 0))
        return weir_fail(WEIR_CORRUPT, 0, "its head points outside of the file");
    return err;
}

static enum weir_err
load_footer(struct weir_io *io, struct weir_part *part)
{
    uint64_t file_size;
    struct weir_part_head head;
    enum weir_err err = weir_io_size(io, part->file, &file_size);
    if (err == WEIR_OK)
        err = find_footers(io, part, file_size, &head);
    if (err != WEIR_OK)
        return err;
    part->footer_bytes = malloc(head.footer_bytes);
    if (part->footer_bytes == NULL)
        return weir_fail(WEIR_NOMEM, 0, "footer of %u bytes", head.footer_bytes);
    part->footer_at = head.footer_at;
    part->footer_size = head.footer_bytes;
    err = read_footer(io, part, &head, 0);
    if (err == WEIR_CORRUPT)
        err = read_footer(io, part, &head, 1);
    if (err != WEIR_OK)
        return err;
    part->footer = (const struct weir_part_footer *)(const void *)part->footer_bytes;
    part->blocks = (const struct weir_part_block *)(const void *)(part->footer + 1);
    return WEIR_OK;
}

static enum weir_err
index_blocks(struct weir_part *part)
{
    uint32_t count = part->footer->block_count;
    for (uint32_t i = 0; i < count; i++)
        part->counts[part->blocks[i].kind - 1]++;
    for (int kind = 0; kind < WEIR_PART_KINDS; kind++) {
        part->indices[kind] = malloc((part->counts[kind] + 1) * sizeof **part->indices);
        if (part->indices[kind] == NULL)
            return weir_fail(WEIR_NOMEM, 0, "index of %u blocks", part->counts[kind]);
        uint32_t found = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (part->blocks[i].kind == (uint32_t)kind + 1)
                part->indices[kind][found++] = i;
        }
    }
    return WEIR_OK;
}

enum weir_err
weir_part_open(struct weir_io *io, const char *path, struct weir_part **out)
{
    size_t size = strlen(path) + 1;
    struct weir_part *part = calloc(1, sizeof *part + size);
    if (part == NULL)
        return weir_fail(WEIR_NOMEM, 0, "part %s", path);
    memcpy(part->path, path, size);
    enum weir_err err = weir_io_open(io, path, WEIR_IO_READ, &part->file);
    if (err != WEIR_OK) {
        free(part);
        return err;
    }
    err = load_footer(io, part);
    if (err == WEIR_OK)
        err = index_blocks(part);
    if (part->ends != 0)
        weir_event(WEIR_LEVEL_ERROR, "part_ends_damaged", "file=%s head=%d footers=%d", path,
            (part->ends & WEIR_PART_HEAD_DAMAGED) != 0,
            __builtin_popcount(part->ends & ~(unsigned)WEIR_PART_HEAD_DAMAGED));
    if (err != WEIR_OK) {
        weir_part_close(io, part);
        return weir_err_prefix(err, path);
    }
    *out = part;
    return WEIR_OK;
}

void
weir_part_close(struct weir_io *io, struct weir_part *part)
{
    if (part == NULL)
        return;
    weir_io_close(io, part->file);
    for (int kind = 0; kind < WEIR_PART_KINDS; kind++)
        free(part->indices[kind]);
    free(part->footer_bytes);
    free(part);
}

const struct weir_part_footer *
weir_part_footer(const struct weir_part *part)
{
    return part->footer;
}

const struct weir_part_block *
weir_part_blocks(const struct weir_part *part)
{
    return part->blocks;
}

const char *
weir_part_path(const struct weir_part *part)
{
    return part->path;
}

uint64_t
weir_part_bytes(const struct weir_part *part)
{
    return part->footer_at + UINT64_C(2) * part->footer_size;
}

unsigned
weir_part_ends_damaged(const struct weir_part *part)
{
    return part->ends;
}

uint32_t
weir_part_directory_count(const struct weir_part *part)
{
    return part->counts[WEIR_PART_DIRECTORY - 1];
}

uint32_t
weir_part_directory_block(const struct weir_part *part, uint32_t n)
{
    return part->indices[WEIR_PART_DIRECTORY - 1][n];
}
