/* source: the lines that weir send sends: of a file, of standard input, or made up.
 *
 * Threads: the main thread
 * Memory:  one line
 */
#ifndef WEIR_APP_CLI_SEND_SOURCE_H
#define WEIR_APP_CLI_SEND_SOURCE_H

#include "base/err.h"
#include "dataplane/protocol/protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct weir_send_source {
    FILE *file;       /* NULL: generate */
    const char *name; /* of it, for messages; borrowed */
    uint64_t count;
    uint64_t made;
    uint64_t series;
    const struct weir_protocol *protocol; /* of the lines */
    int64_t first_ms;
    char *line;
    size_t capacity;
    size_t left; /* bytes of line that weir_send_source_fill has not handed out */
    size_t left_at;
    int error; /* errno of the read that ended it; 0: none did */
};

enum weir_err weir_send_source_open(
    struct weir_send_source *source, const char *path) WEIR_MUST_USE;
void weir_send_source_close(struct weir_send_source *source);
/* The next line with its newline, in source->line; false at the end, or where reading failed. */
bool weir_send_source_next(struct weir_send_source *source, size_t *size);
/* WEIR_IO where it was a failed read that ended the lines. */
enum weir_err weir_send_source_ended(const struct weir_send_source *source) WEIR_MUST_USE;
/* As many bytes of lines as are there now, at most room; waits for the first. 0 at the end. */
enum weir_err weir_send_source_fill(
    struct weir_send_source *source, uint8_t *out, size_t room, size_t *size) WEIR_MUST_USE;

#endif
