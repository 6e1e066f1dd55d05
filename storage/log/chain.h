/* chain: checks on a walk over the frames of a log whether a header may follow the one before.
 *
 * Format:  docs/format/log.md, "Recovery"
 * Threads: its owner's; no memory of its own
 */
#ifndef WEIR_STORAGE_LOG_CHAIN_H
#define WEIR_STORAGE_LOG_CHAIN_H

#include "storage/frame/frame.h"

#include <stdbool.h>

struct weir_chain {
    uint64_t segment_bytes;
    /* frames at or after the offset are of this dataplane epoch or later (the epoch file) */
    uint64_t fresh_offset;
    uint64_t fresh_epoch;
    /* of the last frame that was taken */
    uint64_t dataplane_epoch;
    uint32_t crc;
    bool crc_known; /* false after a gap */
};

/* Does the header check out at the offset, fit its segment, continue the chain, and is it not left
 * over from a log that was cut off before ("Stale frames")? WEIR_CORRUPT where it does not;
 * WEIR_UNSUPPORTED where it does, and a later program wrote it: a walk stops there. */
enum weir_err weir_chain_check(const struct weir_chain *chain,
    const struct weir_frame_header *header, uint64_t offset) WEIR_MUST_USE;
/* The walk goes on after this frame. */
void weir_chain_advance(struct weir_chain *chain, const struct weir_frame_header *header);
/* The walk goes on after a page without a frame. */
void weir_chain_gap(struct weir_chain *chain);

#endif
