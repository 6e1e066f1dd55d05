/* points: records of a source as points of series, for `weir send --proto weir`.
 *
 * A series is known by the keyed hash of its text in the line, as in Weir itself.
 *
 * Threads: the main thread
 * Memory:  grows with the series and with the points of a block
 * Errors:  lines that do not parse are reported on standard error, counted, and passed over
 */
#ifndef WEIR_APP_CLI_SEND_POINTS_H
#define WEIR_APP_CLI_SEND_POINTS_H

#include "app/cli/send/records.h"

struct weir_send_series {
    struct weir_hash128 raw;
    uint16_t channel; /* these three are the sender's: which template defines it */
    uint16_t template;
    uint16_t index;
};

struct weir_send_point {
    int64_t time_ms;
    double value;
    uint32_t series;
    uint32_t order; /* in the block: of two samples of one series and time the later counts */
};

struct weir_send_points {
    /* read since the sender emptied it: points, and the lines that held them */
    struct weir_send_point *points;
    uint32_t count;
    uint64_t lines;
    /* of all so far */
    struct weir_send_series *series;
    uint32_t series_count;
    struct weir_send_records records;
    /* canonical labels of the series that came since then, as a definition list */
    uint8_t *labels;
    size_t labels_used;

    /* inside */
    uint32_t room;
    uint32_t series_room;
    size_t labels_room;
    uint32_t *slots; /* by hash: series + 1, 0 free */
    uint32_t slot_count;
    struct weir_line_labels line;
    enum weir_err line_begun; /* what beginning with line came to */
};

/* The struct is zeroed. seed: WEIR_HASH_SEED_BYTES random ones. */
void weir_send_points_init(struct weir_send_points *points, const uint8_t *seed,
    const struct weir_protocol *protocol);
void weir_send_points_fini(struct weir_send_points *points);
/* Reads the next block. *final: it is the last one. */
enum weir_err weir_send_points_read(struct weir_send_points *points,
    struct weir_send_source *source, bool *final) WEIR_MUST_USE;

#endif
