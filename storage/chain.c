#include "storage/chain.h"

#include "storage/log.h"

bool
weir_chain_fits(const struct weir_chain *chain, const struct weir_frame_header *header,
    uint64_t offset)
{
    if (header->magic != WEIR_FRAME_MAGIC ||
        weir_frame_check_header(header, WEIR_LOG_STREAM, offset) != WEIR_OK)
        return false;
    if (header->bytes < WEIR_FRAME_ALIGN || header->bytes % WEIR_FRAME_ALIGN != 0 ||
        header->bytes > chain->segment_bytes - offset % chain->segment_bytes)
        return false;
    if (header->durable_watermark > offset || header->dataplane_epoch < chain->dataplane_epoch)
        return false;
    if (offset >= chain->fresh_offset && header->dataplane_epoch < chain->fresh_epoch)
        return false;
    return !chain->crc_known || header->previous_crc == chain->crc;
}

void
weir_chain_take(struct weir_chain *chain, const struct weir_frame_header *header)
{
    chain->dataplane_epoch = header->dataplane_epoch;
    chain->crc = header->header_crc;
    chain->crc_known = true;
}

void
weir_chain_gap(struct weir_chain *chain)
{
    chain->crc_known = false;
}
