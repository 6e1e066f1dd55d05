/* frame_crc: checksums that include the place of their bytes. A block that was written to the wrong
 * place fails its check. */
#ifndef WEIR_STORAGE_FRAME_CRC_H
#define WEIR_STORAGE_FRAME_CRC_H

#include "base/crc.h"
#include "storage/frame/frame.h"

/* Seed for bytes at an offset of a stream. */
static inline uint32_t
weir_place_crc(uint32_t stream, uint64_t offset)
{
    uint64_t place[2] = {stream, offset};
    return weir_crc32c(0, place, sizeof place);
}

static inline uint32_t
weir_header_crc(const struct weir_frame_header *header)
{
    return weir_crc32c(weir_place_crc(header->stream, header->offset), header,
        offsetof(struct weir_frame_header, header_crc));
}

#endif
