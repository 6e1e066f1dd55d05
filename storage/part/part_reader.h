/* part_reader: opens parts and decodes their blocks.
 *
 * Threads: an open part is read-only and shared; a reader belongs to one thread at a time
 * Memory:  a part's footer is allocated by open; a reader's memory comes from the caller
 * Errors:  WEIR_CORRUPT names file and offset (base/err.h) and costs a block; WEIR_UNSUPPORTED
 * where a later program wrote it; WEIR_IO, WEIR_NOMEM
 *
 * A cursor walks the directory blocks of each part in its order; an entry leads to values (one
 * pread for a block, which the chunks after it share) and to a time column.
 */
#ifndef WEIR_STORAGE_PART_PART_READER_H
#define WEIR_STORAGE_PART_PART_READER_H

#include "base/err.h"
#include "storage/io/io.h"
#include "storage/part/part.h"

struct weir_part;

/* Reads head and footer only: three preads. */
enum weir_err weir_part_open(
    struct weir_io *io, const char *path, struct weir_part **out) WEIR_MUST_USE;
void weir_part_close(struct weir_io *io, struct weir_part *part);
/* The next three are valid until close. */
const struct weir_part_footer *weir_part_footer(const struct weir_part *part);
const struct weir_part_block *weir_part_blocks(const struct weir_part *part);
const char *weir_part_path(const struct weir_part *part);
uint64_t weir_part_bytes(const struct weir_part *part); /* of the file */
/* Directory blocks: their count, and the index in weir_part_blocks() of number n. Their first and
 * last series say where to look: whoever knows ranks of series searches them by halves. */
uint32_t weir_part_directory_count(const struct weir_part *part);
uint32_t weir_part_directory_block(const struct weir_part *part, uint32_t n);

/* Bits of the ends of a file that did not check out, as far as open or check looked. */
enum weir_part_end {
    WEIR_PART_HEAD_DAMAGED = 1,
    WEIR_PART_FIRST_FOOTER_DAMAGED = 2,
    WEIR_PART_SECOND_FOOTER_DAMAGED = 4,
};
/* Those that open met: the part is readable all the same, and is to be written anew. */
unsigned weir_part_ends_damaged(const struct weir_part *part);

struct weir_part_reader;
size_t weir_part_reader_footprint(void);
/* memory: weir_part_reader_footprint() bytes, aligned to 64. io is kept. */
struct weir_part_reader *weir_part_reader_init(void *memory, struct weir_io *io);

/* Blocks and bytes that did not check out, and the last of them. */
struct weir_part_damage {
    uint64_t blocks;
    uint64_t bytes;
    uint64_t last_at; /* offset in its file */
};
const struct weir_part_damage *weir_part_reader_damage(const struct weir_part_reader *reader);
/* Bytes read so far, for a budget. */
uint64_t weir_part_reader_bytes_read(const struct weir_part_reader *reader);

/* Entries of directory block number n, in order; *entries is valid until the next call. */
enum weir_err weir_part_read_directory(struct weir_part_reader *reader,
    const struct weir_part *part, uint32_t n, const struct weir_part_entry **entries,
    uint32_t *count) WEIR_MUST_USE;
/* Values of an entry, as doubles or as an encoder takes them (chunk.h): WEIR_CHUNK_ROOM places. */
enum weir_err weir_part_read_values(struct weir_part_reader *reader, const struct weir_part *part,
    const struct weir_part_entry *entry, double *values) WEIR_MUST_USE;
enum weir_err weir_part_read_decimals(struct weir_part_reader *reader, const struct weir_part *part,
    const struct weir_part_entry *entry, uint64_t *values, int8_t *exponents,
    uint8_t *kinds) WEIR_MUST_USE;
/* Times of an entry: entry->count of them, valid until the next call for another column. Entries of
 * a part that have the same column have the same times. */
enum weir_err weir_part_read_times(struct weir_part_reader *reader, const struct weir_part *part,
    const struct weir_part_entry *entry, const int64_t **times_ms) WEIR_MUST_USE;

/* Reads the whole file: head, both footers (those damaged in *ends), and every block down to its
 * values; damaged ones are counted. WEIR_CORRUPT where something is damaged. */
enum weir_err weir_part_check(
    struct weir_part_reader *reader, const struct weir_part *part, unsigned *ends) WEIR_MUST_USE;

#endif
