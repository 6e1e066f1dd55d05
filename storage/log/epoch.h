/* epoch: the small file <log directory>/epoch, what a log knows about itself ahead of its frames.
 *
 * Format:  docs/format/log.md
 * Threads: the opener of the log
 * Errors:  WEIR_NOT_FOUND no file (a new log); WEIR_CORRUPT bytes that do not check out
 */
#ifndef WEIR_STORAGE_LOG_EPOCH_H
#define WEIR_STORAGE_LOG_EPOCH_H

#include "storage/io/io.h"
#include "storage/log/format.h"

enum weir_err weir_epoch_read(struct weir_io *io, const char *directory, uint32_t stream,
    struct weir_epoch *out) WEIR_MUST_USE;
/* Fills in magic, version and crc. */
enum weir_err weir_epoch_write(struct weir_io *io, const char *directory,
    struct weir_epoch epoch) WEIR_MUST_USE;

#endif
