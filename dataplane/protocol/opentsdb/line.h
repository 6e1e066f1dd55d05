/* line: one line of the OpenTSDB protocol, taken apart.
 *
 *   put METRIC TIME VALUE KEY=VALUE ...
 *
 * Threads: any; no state
 * Limits:  reads up to 8 bytes past the line; their content means nothing
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_OPENTSDB_LINE_H
#define WEIR_DATAPLANE_PROTOCOL_OPENTSDB_LINE_H

#include "dataplane/protocol/common/decimal.h"
#include "dataplane/protocol/parse.h"

/* In weir_record.command. */
enum opentsdb_command {
    OPENTSDB_NONE,
    OPENTSDB_VERSION,
    OPENTSDB_STATS,
    OPENTSDB_HELP,
    OPENTSDB_EXIT,
};

struct opentsdb_word {
    const uint8_t *data;
    size_t size;
};

struct opentsdb_put {
    struct opentsdb_word metric;
    struct opentsdb_word tags; /* all of them, from the first one's first byte; empty for none */
    struct weir_decimal value;
    int64_t time_ms;
    size_t refused_at; /* where the line is wrong, counted from its begin */
};

/* The next word from *at on, which moves past it; empty at the end. */
struct opentsdb_word weir_opentsdb_word(const uint8_t *text, size_t size, size_t *at);
/* One KEY=VALUE; false where it is not one. */
bool weir_opentsdb_tag(struct opentsdb_word tag, struct opentsdb_word *name,
    struct opentsdb_word *value);

/* The command of a line whose first word is no put, OPENTSDB_NONE for one that is not known. */
enum opentsdb_command weir_opentsdb_command(const uint8_t *text, size_t size);
bool weir_opentsdb_is_put(const uint8_t *text, size_t size);
/* A put from its first byte. False where the grammar refuses it: only refused_at is set then. */
bool weir_opentsdb_put(const uint8_t *text, size_t size, enum weir_time_unit unit,
    struct opentsdb_put *out);

#endif
