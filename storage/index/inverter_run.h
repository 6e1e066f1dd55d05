/* index_inverter_run: a sorted run of terms in the scratch file, as it is written and read.
 *
 *   term   | varint name size | varint value size | varint ordinals | name | value |
 *          | the first ordinal, then gaps less 1, each a varint |
 *
 * Threads: its inverter's
 * Memory:  a buffer of the caller's
 * Errors:  those of the file; WEIR_CORRUPT where its bytes changed
 */
#ifndef WEIR_STORAGE_INDEX_INVERTER_RUN_H
#define WEIR_STORAGE_INDEX_INVERTER_RUN_H

#include "model/labels.h"
#include "storage/index/file_writer.h"
#include "storage/index/ordinal_list.h"

#define WEIR_RUN_BUFFER_MIN 32768

struct weir_run_reader {
    struct weir_io *io;
    weir_io_file file;
    uint64_t at; /* of the file, after what is in the buffer */
    uint64_t end;
    uint8_t *buffer;
    size_t capacity;
    size_t from; /* unread bytes of the buffer: from .. from + left - 1 */
    size_t left;
    struct weir_label label; /* in the buffer, until the next term is read */
    uint32_t ordinals;       /* of it, not read yet */
};

enum weir_err weir_run_append(struct weir_file_writer *file, const struct weir_label *label,
    const struct weir_ordinal_list *ordinals) WEIR_MUST_USE;
/* Reads the head of the next term. WEIR_END. */
enum weir_err weir_run_next(struct weir_run_reader *run, uint8_t label_copy[]) WEIR_MUST_USE;
/* Reads the ordinals of the term and appends them. */
enum weir_err weir_run_ordinals(struct weir_run_reader *run, struct weir_ordinal_list *ordinals)
    WEIR_MUST_USE;

#endif
