/* influx_frame: where a record of Influx line protocol ends, good or refused.
 *
 * docs/format/influx.md, "Where a record ends", is the rule.
 *
 * Threads: any; no state
 * Memory:  none
 * Limits:  reads up to 8 bytes after the text; their content means nothing
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_INFLUX_FRAME_H
#define WEIR_DATAPLANE_PROTOCOL_INFLUX_FRAME_H

#include "dataplane/protocol/influx/line.h"

/* A decoder for the line at `at`. It sees the longest line and one byte more: a line that needs
 * what comes after them is refused, whether that has been received or not, so the result does not
 * depend on where a stream is cut. */
struct weir_influx_decoder weir_influx_window(const uint8_t *data, size_t size, size_t at,
    bool final);

/* Ends the line that began at `start`, on which a decoder of weir_influx_window stopped with
 * `result`. Sets *end past it and *reason (enum weir_reason; WEIR_REASON_NONE where the grammar
 * takes the line). False where the text is too short to decide, only where it is not final. Of a
 * line that is too long and has no newline yet, *end is size. */
bool weir_influx_end(const struct weir_influx_decoder *decoder, enum weir_influx_result result,
    size_t size, size_t start, size_t *end, uint8_t *reason);

#endif
