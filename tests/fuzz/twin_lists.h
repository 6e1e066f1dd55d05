/* twin_lists: a slow, obvious reader of definitions and state entries in a frame
 * (docs/format/frame.md), and the comparison of storage/frame/decode.c with it.
 */
#ifndef WEIR_TESTS_FUZZ_TWIN_LISTS_H
#define WEIR_TESTS_FUZZ_TWIN_LISTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CRC-32C of { stream, offset } and then the bytes, a bit at a time. */
uint32_t twin_placed_crc(uint64_t stream, uint64_t offset, const uint8_t *bytes, size_t size);

/* Do both see the same definitions and state entries, piece for piece, in these first `bytes` bytes
 * of a frame with samples whose header checks out? Frames of versions 1 and 2. */
bool twin_lists_agree(const uint8_t *frame, size_t bytes);

#endif
