/* channel_view: the channels of the weir protocol that lost the most, in the shared region.
 *
 * Threads: one worker publishes, anyone reads
 * Memory:  the caller's; zero bytes are a valid empty view
 * Errors:  WEIR_AGAIN during a publication; a read does not wait for its end
 * Limits:  WEIR_CHANNEL_VIEW_ROWS rows
 */
#ifndef WEIR_MODEL_CHANNEL_VIEW_H
#define WEIR_MODEL_CHANNEL_VIEW_H

#include "base/assert.h"
#include "base/err.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WEIR_CHANNEL_VIEW_ROWS 64

/* State of a channel, counted since the dataplane started. */
struct weir_channel_row {
    uint64_t sender;
    uint64_t channel;
    uint64_t epoch;
    uint64_t highest; /* number received, or named by a heartbeat */
    uint64_t gaps;
    uint64_t duplicates;
    uint64_t reorderings;
    uint64_t jumps; /* of its numbers */
    int64_t last_seen_ms; /* when the second began in which it was seen last */
};
_Static_assert(sizeof(struct weir_channel_row) == 72, "a row is words");

struct weir_channel_rows {
    uint64_t channels; /* known, with and without losses */
    uint64_t count;    /* rows: the worst, in no order */
    struct weir_channel_row rows[WEIR_CHANNEL_VIEW_ROWS];
};
#define WEIR_CHANNEL_VIEW_WORDS (sizeof(struct weir_channel_rows) / 8)

struct weir_channel_view {
    alignas(WEIR_CACHE_LINE) _Atomic uint64_t sequence; /* odd while being written */
    _Atomic uint64_t words[WEIR_CHANNEL_VIEW_WORDS];
};

/* Whether anything was published since the region was made anew. */
bool weir_channel_view_published(struct weir_channel_view *view);
void weir_channel_view_publish(struct weir_channel_view *view,
    const struct weir_channel_rows *rows);
enum weir_err weir_channel_view_read(struct weir_channel_view *view,
    struct weir_channel_rows *out) WEIR_MUST_USE;

#endif
