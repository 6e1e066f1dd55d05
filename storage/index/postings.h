/* index_postings: the ordinals of one label's series as bytes, and back.
 *
 *   up to 4,096 ordinals   the gaps to the one before, less 1, each a varint; without the first
 *   more                   the portable form of Roaring bitmaps (RoaringFormatSpec), every ordinal
 *
 * Gaps, because neighbours in a dictionary (hosts) have series at the same distances: their bytes
 * repeat, and zstd sees it.
 *
 * Threads: any; no state
 * Errors:  a decoder takes any bytes; false where they are no postings of this many series
 */
#ifndef WEIR_STORAGE_INDEX_POSTINGS_H
#define WEIR_STORAGE_INDEX_POSTINGS_H

#include "storage/index/ordinals.h"

/* Postings as the dictionary has them. */
struct weir_postings {
    uint32_t count;
    uint32_t first; /* the least ordinal */
    uint32_t size;  /* bytes in the section of postings; 0: first to first + count - 1 */
    uint64_t at;    /* of those bytes */
};

/* Sixteen containers of 8 KiB, and their heads. */
#define WEIR_POSTINGS_BYTES_MAX (16 * 8192 + 512)

/* ordinals ascend; count is 2 to WEIR_INDEX_GAPS_MAX. Returns the bytes' end. */
uint8_t *weir_postings_encode_gaps(const uint32_t *ordinals, uint32_t count, uint8_t *out);
/* Members of the set, which is not empty; bits that are no ordinals are zero. */
uint8_t *weir_postings_encode_roaring(const struct weir_ordinals *set,
    uint8_t *out);

/* Adds the ordinals to a set. What was added before bytes turned out bad stays: the caller gives
 * the set up. series: ordinals are below it. */
bool weir_postings_decode(const struct weir_postings *postings, const uint8_t *bytes,
    uint32_t series, struct weir_ordinals *set);
/* Is one of the ordinals in the set? scratch: a set for large postings; its content is lost. False
 * in *met where bytes are bad, and false is returned. */
bool weir_postings_meet(const struct weir_postings *postings, const uint8_t *bytes,
    uint32_t series, const struct weir_ordinals *set, struct weir_ordinals *scratch, bool *met);

#endif
