/* trim: what the log writer and the checkpointer report to each other about the oldest segments,
 * which the log gives up.
 *
 *   writer: wanted_index, whole_index ---> checkpointer: checkpoint ---> first_index ---> writer:
 *   its next segments are the trimmed files
 *
 * Threads: each field has one writer, named below
 */
#ifndef WEIR_STORAGE_LOG_WRITER_TRIM_H
#define WEIR_STORAGE_LOG_WRITER_TRIM_H

#include <stdatomic.h>
#include <stdint.h>

enum weir_trim_state {
    WEIR_TRIM_OFF,     /* nobody makes checkpoints: at size_max the log refuses */
    WEIR_TRIM_ON,      /* at size_max the log waits for the next checkpoint */
    WEIR_TRIM_FAILING, /* the last checkpoint could not be made: the log refuses meanwhile */
};

/* Segments that a log with checkpoints needs: one whole and durable, the one being written, the
 * next one, and one to recycle. config/config.c refuses a smaller log.size_max. */
#define WEIR_TRIM_SEGMENTS_MIN 4

struct weir_trim {
    uint64_t segments_max;  /* the log's, constant while it is open */
    uint64_t segment_bytes; /* the same */
    /* Checkpointer: of all segments below first_index; the index is stored after it with
     * release, once the checkpoint that says so is durable. */
    _Atomic uint64_t samples;
    _Atomic uint64_t frames_corrupt;   /* damaged ranges met there since the log was opened */
    _Atomic uint64_t definitions_lost; /* the same: series */
    _Atomic uint64_t first_index;
    _Atomic uint32_t state; /* enum weir_trim_state; a hint, relaxed */
    /* Log writer: segments below it are durable, and a whole one after them too (release: so are
     * their bytes); up to where it would like them to be trimmed (a hint, relaxed). */
    uint8_t apart[64]; /* a cache line is between the two */
    _Atomic uint64_t whole_index;
    _Atomic uint64_t wanted_index;
};

#endif
