/* segment: the files of the log, and the next one being made ready ahead of need.
 *
 * Owns:    the next segment's file until it is taken
 * Threads: the log writer's
 * Memory:  a slice of zeros, taken at init
 * Errors:  a device error makes the state FAILED; for want of space, descriptors or memory it is
 *          FULL and tries again
 *
 *            want                slices written            synced
 *   NONE ----------> ZEROING ----------------> SYNCING ------------> READY --take--> NONE
 *     |                |                                               step: advances
 *     +---> FULL <-----+  weir_io_is_short, or size_max;  after RETRY back to NONE's edge
 *     |
 *     +---> READY    at size_max, or without space: by renaming the oldest trimmed file
 *     +---> WAITING  at size_max, while trimming is under way; back to NONE's edge at each want
 *
 * A trimmed file is not zeroed: its bytes cannot check out at its new place (docs/format/log.md).
 *
 * A reserved block that was never written costs a journal commit at its first sync (0.56 against
 * 0.35 ms), so the zeros are written out. One slice at a time is in flight: the stream's own
 * writes wait for at most one.
 */
#ifndef WEIR_STORAGE_LOG_WRITER_SEGMENT_H
#define WEIR_STORAGE_LOG_WRITER_SEGMENT_H

#include "base/clock.h"
#include "storage/io/io.h"

#define WEIR_SEGMENT_ZERO_SLICE (1u << 20)
#define WEIR_SEGMENT_RETRY_NS INT64_C(200000000)

enum weir_segment_state {
    WEIR_SEGMENT_NONE,
    WEIR_SEGMENT_ZEROING,
    WEIR_SEGMENT_SYNCING,
    WEIR_SEGMENT_READY,
    WEIR_SEGMENT_FULL,
    WEIR_SEGMENT_WAITING,
    WEIR_SEGMENT_FAILED,
};

struct weir_segment_next {
    struct weir_io *io;
    const struct weir_clock *clock; /* NULL: the machine's */
    const char *directory;
    uint64_t segment_bytes;
    uint64_t size_max;
    uint64_t files; /* segment files there are, this one included once it is made */
    uint64_t first; /* segment the log begins at; files below it are trimmed */
    uint64_t oldest; /* index of the oldest file; trimmed ones are [oldest, first) */
    bool waits;     /* at size_max trimming is worth waiting for */
    uint64_t recycled; /* files taken from the trimmed ones */
    enum weir_segment_state state;
    uint64_t index;
    weir_io_file file;
    uint64_t zeroed; /* bytes written */
    bool busy;       /* an operation is in flight */
    int64_t retry_ns;
    char reason[256]; /* of FULL and FAILED */
    uint8_t *zeros;
};

/* The caller has filled io, directory, segment_bytes, size_max, files, first and oldest. */
enum weir_err weir_segment_init(struct weir_segment_next *next) WEIR_MUST_USE;
void weir_segment_fini(struct weir_segment_next *next);

/* Segments there may be. */
uint64_t weir_segment_capacity(const struct weir_segment_next *next);
/* Starts making segment index, or tries again where it was WAITING, or FULL and the time has
 * come. */
void weir_segment_want(struct weir_segment_next *next, uint64_t index);
/* Submits what is due; `user` comes back with the completion. */
void weir_segment_step(struct weir_segment_next *next, uint64_t user);
void weir_segment_completed(struct weir_segment_next *next, int result);
/* Hands over the READY file. */
weir_io_file weir_segment_claim(struct weir_segment_next *next);

#endif
