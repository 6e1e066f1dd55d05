#define ZSTD_STATIC_LINKING_ONLY /* contexts in memory of the caller */
#include "storage/index/block.h"

#include "base/assert.h"
#include "base/crc.h"

#include <string.h>
#include <zstd.h>

#define ZSTD_LEVEL 1
/* zstd is kept where it saves a tenth: less does not pay for reading it. */
#define WORTH(size) ((size) - (size) / 10)
/* Less than this is not tried: zstd's own head takes about as much as it could save. */
#define COMPRESS_MIN 64

struct weir_index_packer {
    ZSTD_CCtx *context;
    _Alignas(64) uint8_t workspace[];
};

struct weir_index_unpacker {
    ZSTD_DCtx *context;
    _Alignas(64) uint8_t workspace[];
};

static size_t
rounded(size_t size)
{
    return (size + 63) & ~(size_t)63;
}

static size_t
packer_workspace(void)
{
    size_t any = ZSTD_estimateCCtxSize(ZSTD_LEVEL);
    size_t block = ZSTD_estimateCCtxSize_usingCParams(
        ZSTD_getCParams(ZSTD_LEVEL, WEIR_INDEX_RAW_MAX, 0));
    return rounded(any > block ? any : block);
}

size_t
weir_index_packer_footprint(void)
{
    return sizeof(struct weir_index_packer) + packer_workspace();
}

struct weir_index_packer *
weir_index_packer_init(void *memory)
{
    struct weir_index_packer *packer = memory;
    packer->context = ZSTD_initStaticCCtx(packer->workspace, packer_workspace());
    WEIR_ASSERT(packer->context != NULL);
    return packer;
}

size_t
weir_index_unpacker_footprint(void)
{
    return sizeof(struct weir_index_unpacker) + rounded(ZSTD_estimateDCtxSize());
}

struct weir_index_unpacker *
weir_index_unpacker_init(void *memory)
{
    struct weir_index_unpacker *unpacker = memory;
    unpacker->context = ZSTD_initStaticDCtx(unpacker->workspace, rounded(ZSTD_estimateDCtxSize()));
    WEIR_ASSERT(unpacker->context != NULL);
    return unpacker;
}

uint32_t
weir_index_place_crc(uint64_t file_id, uint64_t place)
{
    uint64_t seed[2] = {file_id, place};
    return weir_crc32c(0, seed, sizeof seed);
}

static uint32_t
block_crc(const uint8_t *bytes, size_t size, uint64_t file_id, uint32_t place)
{
    uint32_t crc = weir_crc32c(weir_index_place_crc(file_id, place), bytes,
        offsetof(struct weir_index_block_head, crc));
    return weir_crc32c(crc, bytes + sizeof(struct weir_index_block_head),
        size - sizeof(struct weir_index_block_head));
}

uint32_t
weir_index_pack(struct weir_index_packer *packer, struct weir_index_block_head *head,
    const uint8_t *raw, uint8_t *out)
{
    uint8_t *body = out + sizeof *head;
    size_t size = head->raw_bytes;
    WEIR_ASSERT(size <= WEIR_INDEX_RAW_MAX);
    size_t stored = 0;
    if (size >= COMPRESS_MIN) {
        stored = ZSTD_compressCCtx(packer->context, body, WORTH(size), raw, size, ZSTD_LEVEL);
        stored = ZSTD_isError(stored) ? 0 : stored;
    }
    if (stored == 0) {
        memcpy(body, raw, size);
        stored = size;
    }
    head->magic = WEIR_INDEX_BLOCK_MAGIC;
    head->version = WEIR_INDEX_VERSION;
    head->bytes = (uint16_t)stored;
    memcpy(out, head, sizeof *head);
    head->crc = block_crc(out, sizeof *head + stored, head->file_id, head->place);
    memcpy(out, head, sizeof *head);
    return (uint32_t)(sizeof *head + stored);
}

bool
weir_index_unpack(struct weir_index_unpacker *unpacker, const uint8_t *bytes, uint64_t file_id,
    struct weir_index_place at, struct weir_index_block_head *head, uint8_t *raw)
{
    if (at.bytes < sizeof *head || at.bytes > WEIR_INDEX_BLOCK_MAX)
        return false;
    memcpy(head, bytes, sizeof *head);
    if (head->magic != WEIR_INDEX_BLOCK_MAGIC || head->version != WEIR_INDEX_VERSION ||
        head->file_id != file_id || head->place != at.place ||
        head->bytes != at.bytes - sizeof *head || head->raw_bytes > WEIR_INDEX_RAW_MAX ||
        head->crc != block_crc(bytes, at.bytes, file_id, at.place))
        return false;
    const uint8_t *body = bytes + sizeof *head;
    if (head->bytes == head->raw_bytes) {
        memcpy(raw, body, head->raw_bytes);
        return true;
    }
    size_t found = ZSTD_decompressDCtx(unpacker->context, raw, WEIR_INDEX_RAW_MAX, body,
        head->bytes);
    return !ZSTD_isError(found) && found == head->raw_bytes;
}

void
weir_index_array_encode(const uint32_t *values, uint32_t count, uint8_t *out)
{
    uint32_t before = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t delta = values[i] - before;
        uint32_t stored = delta << 1 ^ -(delta >> 31);
        before = values[i];
        for (unsigned plane = 0; plane < 4; plane++)
            out[plane * count + i] = (uint8_t)(stored >> 8 * plane);
    }
}

void
weir_index_array_decode(const uint8_t *bytes, uint32_t count, uint32_t *values)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t stored = bytes[i] | (uint32_t)bytes[count + i] << 8 |
                          (uint32_t)bytes[2 * count + i] << 16 |
                          (uint32_t)bytes[3 * count + i] << 24;
        value += stored >> 1 ^ -(stored & 1);
        values[i] = value;
    }
}
