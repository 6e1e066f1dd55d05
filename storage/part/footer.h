/* footer: head and footer of a part as bytes, and their checks.
 *
 * Format:  docs/format/part.md
 * Threads: any; no state
 * Errors:  WEIR_CORRUPT, WEIR_UNSUPPORTED where a later program wrote it; any bytes are taken
 */
#ifndef WEIR_STORAGE_PART_FOOTER_H
#define WEIR_STORAGE_PART_FOOTER_H

#include "base/err.h"
#include "storage/part/part.h"

/* Bytes of a footer with its blocks and trailer. */
static inline size_t
weir_part_footer_bytes(uint32_t block_count)
{
    return sizeof(struct weir_part_footer) + (size_t)block_count * sizeof(struct weir_part_block) +
        sizeof(struct weir_part_trailer);
}

/* Writes the footer for its place `at` in the file: out has weir_part_footer_bytes() bytes, aligned
 * to 8. blocks lie where they belong already: out + sizeof(struct weir_part_footer). */
void weir_part_footer_encode(const struct weir_part_footer *footer, uint64_t at, uint8_t *out);
/* The trailer of a footer of `size` bytes at place `at`; its own in bytes is not looked at. */
struct weir_part_trailer weir_part_trailer_of(
    const uint8_t *bytes, size_t size, uint64_t file_id, uint64_t at);
/* Checks a footer of `bytes` bytes at place `at`; bytes is aligned to 8. */
enum weir_err weir_part_footer_check(
    const uint8_t *bytes, size_t size, uint64_t file_id, uint64_t at) WEIR_MUST_USE;

void weir_part_head_encode(
    const struct weir_part_footer *footer, uint64_t at, struct weir_part_head *out);
/* bytes: WEIR_PART_HEAD_BYTES of them. *out: the head, also where it does not check out. */
enum weir_err weir_part_head_check(const uint8_t *bytes, struct weir_part_head *out) WEIR_MUST_USE;
/* The same of a trailer that ends at file_size: the second footer's. */
bool weir_part_trailer_check(const struct weir_part_trailer *trailer, uint64_t file_size);

#endif
