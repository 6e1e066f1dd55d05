#define ZSTD_STATIC_LINKING_ONLY /* contexts in memory of the caller */
#include "storage/part/block.h"

#include "base/assert.h"
#include "base/crc.h"

#include <string.h>
#include <zstd.h>

#define ZSTD_LEVEL 1
/* zstd is kept where it saves a tenth: less does not pay for reading it. */
#define WORTH(size) ((size) - (size) / 10)
/* Less than this is not tried: zstd's own head takes about as much as it could save. */
#define COMPRESS_MIN 64

struct weir_block_compressor {
    ZSTD_CCtx *context;
    _Alignas(64) uint8_t workspace[];
};

struct weir_block_opener {
    ZSTD_DCtx *context;
    uint8_t front[WEIR_PART_BLOCK_MAX + WEIR_CHUNK_SLACK];
    uint8_t rest[WEIR_PART_BLOCK_MAX + WEIR_CHUNK_SLACK];
    _Alignas(64) uint8_t workspace[];
};

static size_t
rounded(size_t size)
{
    return (size + 63) & ~(size_t)63;
}

/* Room for blocks of this size alone: zstd's tables shrink with them. */
static size_t
compressor_workspace(void)
{
    ZSTD_compressionParameters parameters = ZSTD_getCParams(ZSTD_LEVEL, WEIR_PART_BLOCK_MAX, 0);
    size_t any = ZSTD_estimateCCtxSize(ZSTD_LEVEL);
    size_t block = ZSTD_estimateCCtxSize_usingCParams(parameters);
    return rounded(any > block ? any : block);
}

size_t
weir_block_compressor_footprint(void)
{
    return sizeof(struct weir_block_compressor) + compressor_workspace();
}

struct weir_block_compressor *
weir_block_compressor_init(void *memory)
{
    struct weir_block_compressor *compressor = memory;
    compressor->context = ZSTD_initStaticCCtx(compressor->workspace, compressor_workspace());
    WEIR_ASSERT(compressor->context != NULL);
    return compressor;
}

uint32_t
weir_part_place_crc(uint64_t file_id, uint64_t place)
{
    uint64_t seed[2] = {file_id, place};
    return weir_crc32c(0, seed, sizeof seed);
}

void
weir_block_builder_reset(struct weir_block_builder *builder, enum weir_part_kind kind)
{
    builder->head = (struct weir_part_block_head){
        .magic = WEIR_PART_BLOCK_MAGIC, .kind = kind, .version = WEIR_PART_VERSION};
    builder->front_size = 0;
    builder->rest_size = 0;
}

/* Blocks end at multiples of WEIR_PART_ALIGN; the zeros are covered by the checksum. */
static uint32_t
padded(uint32_t size)
{
    return (size + WEIR_PART_ALIGN - 1) & ~(uint32_t)(WEIR_PART_ALIGN - 1);
}

/* Stores raw bytes at out, by zstd where that is worth it; returns the stored size. */
static uint32_t
store(struct weir_block_compressor *compressor, const uint8_t *raw, uint32_t size, bool compress,
    uint8_t *out)
{
    if (compress && size >= COMPRESS_MIN) {
        size_t stored =
            ZSTD_compressCCtx(compressor->context, out, WORTH(size), raw, size, ZSTD_LEVEL);
        if (!ZSTD_isError(stored))
            return (uint32_t)stored;
    }
    memcpy(out, raw, size);
    return size;
}

void
weir_block_seal(struct weir_block_compressor *compressor, struct weir_block_builder *builder,
    uint64_t file_id, uint32_t place, bool compress, uint8_t *out, struct weir_part_block *entry)
{
    struct weir_part_block_head *head = &builder->head;
    WEIR_ASSERT(weir_block_builder_fits(builder, 0, 0));
    uint8_t *at = out + sizeof *head;
    uint32_t front = store(compressor, builder->front, builder->front_size, compress, at);
    uint32_t rest = store(compressor, builder->rest, builder->rest_size, compress, at + front);
    head->front_raw = (uint16_t)builder->front_size;
    head->front_bytes = (uint16_t)front;
    head->rest_raw = (uint16_t)builder->rest_size;
    head->rest_bytes = (uint16_t)rest;
    head->place = place;
    head->file_id = file_id;
    memcpy(out, head, sizeof *head);
    uint32_t stored = padded(front + rest);
    memset(at + front + rest, 0, stored - front - rest);
    uint32_t crc = weir_crc32c(
        weir_part_place_crc(file_id, place), out, offsetof(struct weir_part_block_head, crc));
    head->crc = weir_crc32c(crc, at, stored);
    memcpy(out, head, sizeof *head);
    *entry = (struct weir_part_block){.place = place,
        .bytes = (uint32_t)sizeof *head + stored,
        .crc = head->crc,
        .shard = head->shard,
        .first = head->first,
        .last = head->last,
        .count = head->count,
        .kind = head->kind};
}

size_t
weir_block_opener_footprint(void)
{
    return rounded(sizeof(struct weir_block_opener)) + rounded(ZSTD_estimateDCtxSize());
}

struct weir_block_opener *
weir_block_opener_init(void *memory)
{
    struct weir_block_opener *opener = memory;
    opener->context = ZSTD_initStaticDCtx(opener->workspace, rounded(ZSTD_estimateDCtxSize()));
    WEIR_ASSERT(opener->context != NULL);
    return opener;
}

/* Finds raw bytes: in place, or expanded into room. NULL where they are not what the head says. */
static const uint8_t *
expand(
    struct weir_block_opener *opener, const uint8_t *stored, size_t size, size_t raw, uint8_t *room)
{
    if (size == raw)
        return stored;
    size_t found = ZSTD_decompressDCtx(opener->context, room, WEIR_PART_BLOCK_MAX, stored, size);
    return !ZSTD_isError(found) && found == raw ? room : NULL;
}

static bool
is_the_entrys(const struct weir_part_block_head *head, const struct weir_part_block *entry)
{
    return head->place == entry->place && head->crc == entry->crc && head->shard == entry->shard &&
        head->first == entry->first && head->last == entry->last && head->count == entry->count &&
        head->kind == entry->kind;
}

bool
weir_block_open(struct weir_block_opener *opener, const uint8_t *bytes, uint64_t file_id,
    const struct weir_part_block *entry, struct weir_block_view *out)
{
    struct weir_part_block_head *head = &out->head;
    if (entry->bytes < sizeof *head || entry->bytes > WEIR_PART_BLOCK_MAX)
        return false;
    memcpy(head, bytes, sizeof *head);
    uint32_t crc = weir_crc32c(weir_part_place_crc(file_id, entry->place), bytes,
        offsetof(struct weir_part_block_head, crc));
    const uint8_t *stored = bytes + sizeof *head;
    if (head->magic != WEIR_PART_BLOCK_MAGIC || head->version != WEIR_PART_VERSION ||
        head->file_id != file_id || !is_the_entrys(head, entry) ||
        weir_crc32c(crc, stored, entry->bytes - sizeof *head) != head->crc)
        return false;
    if (sizeof *head + padded((uint32_t)head->front_bytes + head->rest_bytes) != entry->bytes ||
        (size_t)head->front_raw + head->rest_raw > WEIR_PART_RAW_MAX)
        return false;
    out->front = expand(opener, stored, head->front_bytes, head->front_raw, opener->front);
    out->rest =
        expand(opener, stored + head->front_bytes, head->rest_bytes, head->rest_raw, opener->rest);
    return out->front != NULL && out->rest != NULL;
}
