/* twin_part: slow, obvious decoders of what a part is made of (docs/format/part.md), bit by bit,
 * and the comparison of storage/part with them. Bytes are copied to memory of their own size and
 * slack, whose slack differs from try to try.
 */
#ifndef WEIR_TESTS_FUZZ_TWIN_PART_H
#define WEIR_TESTS_FUZZ_TWIN_PART_H

#include "storage/part/directory.h"
#include "storage/part/footer.h"
#include "storage/part/times.h"

/* Do both decoders say the same of these bytes? */
bool twin_chunk_agrees(const struct weir_chunk *chunk);
bool twin_times_agree(
    const uint8_t *rest, size_t rest_size, const uint8_t *front, size_t front_size, uint32_t count);
bool twin_directory_agrees(const uint8_t *rest, size_t rest_size,
    const struct weir_part_block_head *head, const struct weir_part_footer *footer,
    uint32_t value_blocks);
bool twin_footer_agrees(const uint8_t *bytes, size_t size, uint64_t file_id, uint64_t at);
bool twin_block_opens_alike(
    const uint8_t *bytes, size_t size, uint64_t file_id, const struct weir_part_block *entry);

#endif
