/* Parts from a hostile disk: each decoder of storage/part against its slow twin. The first byte
 * chooses: a chunk, a time column, a directory, a footer or a block; checksums are made right, so
 * that what lies behind them is reached. */
#include "base/crc.h"
#include "tests/fuzz/twin_part.h"

#include <stdlib.h>

#define FILE_ID UINT64_C(0x1122334455667788)
#define PLACE 512 /* the first block's */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Three bytes of count and codec, one of exponent, then front and rest. */
static bool
chunk(const uint8_t *data, size_t size)
{
    struct weir_chunk chunk = {.count = data[0] | (uint32_t)(data[1] & 0x1f) << 8,
        .codec = data[1] >> 5,
        .exponent = (int8_t)data[2]};
    uint32_t front = weir_chunk_front_size(chunk.codec, chunk.count);
    data += 3;
    size -= 3;
    if (front > size || size > WEIR_PART_RAW_MAX)
        return true;
    chunk.front = data;
    chunk.rest = data + front;
    chunk.rest_size = (uint32_t)(size - front);
    return twin_chunk_agrees(&chunk);
}

static bool
times(const uint8_t *data, size_t size)
{
    uint32_t count = 1 + (data[0] | (uint32_t)(data[1] & 0xf) << 8);
    size_t front = data[1] & 0x80 ? count : 0;
    data += 2;
    size -= 2;
    if (front > size)
        return true;
    return twin_times_agree(data + front, size - front, data, front, count);
}

static bool
directory(const uint8_t *data, size_t size)
{
    struct weir_part_footer footer = {.shard_last = 3, .columns = 1000};
    struct weir_part_block_head head = {.kind = WEIR_PART_DIRECTORY,
        .count = data[0] | (uint32_t)(data[1] & 7) << 8,
        .shard = data[2] & 3,
        .first = data[3],
        .last = data[4]};
    if (size - 5 > WEIR_PART_RAW_MAX)
        return true;
    return twin_directory_agrees(data + 5, size - 5, &head, &footer, 7);
}

static bool
footer(const uint8_t *data, size_t size)
{
    uint8_t *bytes = malloc(size);
    uint64_t at = (uint64_t)data[0] << 12;
    memcpy(bytes, data, size);
    struct weir_part_footer head;
    if (size >= weir_part_footer_bytes(0)) {
        memcpy(&head, bytes, sizeof head);
        head.magic = WEIR_PART_FOOTER_MAGIC;
        head.version = data[4] & 1;
        head.file_id = FILE_ID;
        memcpy(bytes, &head, sizeof head);
        struct weir_part_trailer trailer = weir_part_trailer_of(bytes, size, FILE_ID, at);
        memcpy(bytes + size - sizeof trailer, &trailer, sizeof trailer);
    }
    bool agrees = twin_footer_agrees(bytes, size, FILE_ID, at);
    free(bytes);
    return agrees;
}

static bool
block(const uint8_t *data, size_t size)
{
    uint8_t *bytes = malloc(size);
    struct weir_part_block_head head;
    memcpy(bytes, data, size);
    struct weir_part_block entry = {.place = PLACE, .bytes = (uint32_t)size, .kind = data[4]};
    if (size >= sizeof head && size <= WEIR_PART_BLOCK_MAX) {
        memcpy(&head, bytes, sizeof head);
        head.magic = WEIR_PART_BLOCK_MAGIC;
        head.file_id = FILE_ID;
        head.place = PLACE;
        memcpy(bytes, &head, sizeof head);
        head.crc =
            weir_crc32c(weir_crc32c(weir_part_place_crc(FILE_ID, PLACE), bytes, sizeof head - 4),
                bytes + sizeof head, size - sizeof head);
        memcpy(bytes, &head, sizeof head);
        entry = (struct weir_part_block){PLACE, (uint32_t)size, head.crc, head.shard, head.first,
            head.last, head.count, head.kind};
    }
    bool agrees = twin_block_opens_alike(bytes, size, FILE_ID, &entry);
    free(bytes);
    return agrees;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool (*const decoders[])(const uint8_t *, size_t) = {
        chunk, times, directory, footer, block};
    if (size < 7)
        return 0;
    if (!decoders[data[0] % (sizeof decoders / sizeof decoders[0])](data + 1, size - 1))
        abort();
    return 0;
}
