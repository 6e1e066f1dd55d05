#include "storage/log/chain.h"

#include "base/mutant.h"
#include "storage/log/format.h"

/* No text for what does not fit: it is most pages of a gap. */
enum weir_err
weir_chain_check(const struct weir_chain *chain, const struct weir_frame_header *header,
    uint64_t offset)
{
    if (header->magic != WEIR_FRAME_MAGIC)
        return WEIR_CORRUPT;
    enum weir_err err = weir_frame_check_header(header, WEIR_LOG_STREAM, offset);
    if (err != WEIR_OK && err != WEIR_UNSUPPORTED)
        return WEIR_CORRUPT;
    if (header->bytes < WEIR_FRAME_ALIGN || header->bytes % WEIR_FRAME_ALIGN != 0 ||
        header->bytes > chain->segment_bytes - offset % chain->segment_bytes)
        return WEIR_CORRUPT;
    if (weir_mutant(chain_unchecked))
        return err;
    if (header->durable_watermark > offset || header->dataplane_epoch < chain->dataplane_epoch)
        return WEIR_CORRUPT;
    if (offset >= chain->fresh_offset && header->dataplane_epoch < chain->fresh_epoch)
        return WEIR_CORRUPT;
    return !chain->crc_known || header->previous_crc == chain->crc ? err : WEIR_CORRUPT;
}

void
weir_chain_advance(struct weir_chain *chain, const struct weir_frame_header *header)
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
