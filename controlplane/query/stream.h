/* stream: the rest of an answer that is made a piece at a time, as its client reads.
 *
 * Threads: one at a time: query threads make pieces, the event loop frees
 * Memory:  held bytes between the pieces, and no thread
 */
#ifndef WEIR_CONTROLPLANE_QUERY_STREAM_H
#define WEIR_CONTROLPLANE_QUERY_STREAM_H

#include "controlplane/http/text.h"

/* What fits one piece is answered at once, with its length. */
#define WEIR_STREAM_PIECE 65536
/* A piece ends behind the point that fills it, or the labels or warnings that follow. */
#define WEIR_STREAM_PIECE_MAX (1 << 20)

struct weir_stream {
    /* Appends until text has at least size bytes, or the answer ends: true then. */
    bool (*next)(struct weir_stream *stream, struct weir_text *text, size_t size);
    void (*free)(struct weir_stream *stream);
    size_t held;
};

#endif
