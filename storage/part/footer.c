#include "storage/part/footer.h"

#include "base/crc.h"
#include "storage/part/block.h"

#include <string.h>

#define SAMPLE_TYPES_KNOWN WEIR_PART_TYPE_FLOAT

struct weir_part_trailer
weir_part_trailer_of(const uint8_t *bytes, size_t size, uint64_t file_id, uint64_t at)
{
    struct weir_part_trailer trailer = {
        .magic = WEIR_PART_FOOTER_MAGIC, .bytes = (uint32_t)size, .file_id = file_id, .at = at};
    uint32_t crc = weir_part_place_crc(file_id, at / WEIR_PART_ALIGN);
    crc = weir_crc32c(crc, bytes, size - sizeof trailer);
    trailer.crc = weir_crc32c(crc, &trailer, offsetof(struct weir_part_trailer, crc));
    return trailer;
}

void
weir_part_footer_encode(const struct weir_part_footer *footer, uint64_t at, uint8_t *out)
{
    size_t size = weir_part_footer_bytes(footer->block_count);
    memcpy(out, footer, sizeof *footer);
    struct weir_part_trailer trailer = weir_part_trailer_of(out, size, footer->file_id, at);
    memcpy(out + size - sizeof trailer, &trailer, sizeof trailer);
}

/* Blocks follow each other without gaps from the head to the first footer. *end: where it is. */
static bool
blocks_valid(
    const struct weir_part_footer *footer, const struct weir_part_block *blocks, uint64_t *end)
{
    *end = WEIR_PART_HEAD_BYTES;
    for (uint32_t i = 0; i < footer->block_count; i++) {
        const struct weir_part_block *block = &blocks[i];
        if ((uint64_t)block->place * WEIR_PART_ALIGN != *end ||
            block->bytes % WEIR_PART_ALIGN != 0 || block->bytes > WEIR_PART_BLOCK_MAX ||
            block->bytes < sizeof(struct weir_part_block_head) || block->count == 0 ||
            block->kind < WEIR_PART_VALUES || block->kind > WEIR_PART_DIRECTORY)
            return false;
        *end += block->bytes;
    }
    return true;
}

static bool
fields_valid(const struct weir_part_footer *footer)
{
    return footer->magic == WEIR_PART_FOOTER_MAGIC && footer->reserved == 0 &&
        footer->shard_first <= footer->shard_last && footer->log_from <= footer->log_through &&
        footer->partition_start_ms < footer->partition_end_ms;
}

enum weir_err
weir_part_footer_check(const uint8_t *bytes, size_t size, uint64_t file_id, uint64_t at)
{
    struct weir_part_footer footer;
    struct weir_part_trailer trailer;
    if (size < sizeof footer + sizeof trailer)
        return weir_fail(WEIR_CORRUPT, 0, "a footer of %zu bytes", size);
    memcpy(&footer, bytes, sizeof footer);
    trailer = weir_part_trailer_of(bytes, size, file_id, at);
    if (memcmp(bytes + size - sizeof trailer, &trailer, sizeof trailer) != 0)
        return weir_fail(
            WEIR_CORRUPT, 0, "the footer at %llu does not check out", (unsigned long long)at);
    if (footer.magic == WEIR_PART_FOOTER_MAGIC &&
        (footer.version > WEIR_PART_VERSION || (footer.sample_types & ~SAMPLE_TYPES_KNOWN) ||
            footer.codec_set >> WEIR_CODEC_COUNT))
        return weir_fail(WEIR_UNSUPPORTED, 0, "a part of a later version (%u)", footer.version);
    const struct weir_part_block *blocks =
        (const struct weir_part_block *)(const void *)(bytes + sizeof footer);
    uint64_t end;
    if (footer.file_id != file_id || size != weir_part_footer_bytes(footer.block_count) ||
        !fields_valid(&footer) || !blocks_valid(&footer, blocks, &end) ||
        (end != at && end + size != at))
        return weir_fail(
            WEIR_CORRUPT, 0, "the footer at %llu contradicts itself", (unsigned long long)at);
    return WEIR_OK;
}

static uint32_t
head_crc(const struct weir_part_head *head)
{
    return weir_crc32c(
        weir_part_place_crc(head->file_id, 0), head, offsetof(struct weir_part_head, crc));
}

void
weir_part_head_encode(
    const struct weir_part_footer *footer, uint64_t at, struct weir_part_head *out)
{
    *out = (struct weir_part_head){.magic = WEIR_PART_MAGIC,
        .version = footer->version,
        .sample_types = footer->sample_types,
        .file_id = footer->file_id,
        .footer_at = at,
        .footer_bytes = (uint32_t)weir_part_footer_bytes(footer->block_count)};
    out->crc = head_crc(out);
}

enum weir_err
weir_part_head_check(const uint8_t *bytes, struct weir_part_head *out)
{
    memcpy(out, bytes, sizeof *out);
    bool zero = true;
    for (size_t i = sizeof *out; i < WEIR_PART_HEAD_BYTES; i++)
        zero &= bytes[i] == 0;
    if (out->magic != WEIR_PART_MAGIC || out->crc != head_crc(out) || !zero)
        return weir_fail(WEIR_CORRUPT, 0, "the head does not check out");
    if (out->version > WEIR_PART_VERSION || (out->sample_types & ~SAMPLE_TYPES_KNOWN))
        return weir_fail(WEIR_UNSUPPORTED, 0, "a part of a later version (%u)", out->version);
    return WEIR_OK;
}

bool
weir_part_trailer_check(const struct weir_part_trailer *trailer, uint64_t file_size)
{
    return trailer->magic == WEIR_PART_FOOTER_MAGIC &&
        trailer->bytes >= weir_part_footer_bytes(0) && trailer->at >= trailer->bytes &&
        trailer->at % WEIR_PART_ALIGN == 0 && trailer->at + trailer->bytes == file_size;
}
