/* marks_fold_internal: what fold.c and fold_write.c share.
 *
 * Channels are in an array in the order in which they came; an index of open addressing finds them.
 * A channel that leaves stays as a gap in both until the array is full and made anew.
 *
 * A channel that was forgotten stays too, marked with its place: entries of forgotten channels are
 * numbered from 1, and the last WEIR_STATE_FORGOTTEN_MAX are remembered.
 */
#ifndef WEIR_MODEL_SENDER_STATE_FOLD_INTERNAL_H
#define WEIR_MODEL_SENDER_STATE_FOLD_INTERNAL_H

#include "base/hash.h"
#include "base/number_ranges.h"
#include "model/sender_state/fold.h"

#include <stdbool.h>

struct weir_fold_template {
    uint64_t sequence; /* of the packet that began it */
    struct weir_number_ranges numbers;
    uint32_t hash;
    uint16_t id;
};

struct weir_fold_channel {
    uint64_t sender;
    uint64_t highest;
    uint8_t *window; /* WEIR_STATE_WINDOW_BYTES; NULL where no number is missing */
    struct weir_fold_template *templates; /* in the order in which they were begun */
    uint64_t forgotten; /* its place among forgotten channels; 0: in the table */
    uint32_t epoch;     /* 0: has left */
    uint16_t channel;
    uint8_t template_count;
    uint8_t template_capacity;
    bool delivered; /* some sequence said so, or it was remembered */
};

struct weir_fold_name {
    uint64_t sender;
    uint64_t channel;
};

struct weir_state_fold {
    struct weir_hash_key key; /* nobody outside can choose ids that meet in one place */
    enum weir_err failed;
    struct weir_fold_channel *channels;
    uint32_t *index; /* twice capacity: number of a channel + 1, or 0 */
    uint32_t capacity; /* a power of two */
    uint32_t used;
    uint32_t living; /* of used */
    uint64_t series_count;
    uint64_t forgotten_count;
    struct weir_fold_name forgotten[WEIR_STATE_FORGOTTEN_MAX]; /* by place */
};

/* The channel whose entry has this place, where that entry counts still. */
struct weir_fold_channel *weir_state_fold_remembered(const struct weir_state_fold *fold,
    uint64_t place);
/* WEIR_OK, or WEIR_NOMEM once a call has lacked memory. */
enum weir_err weir_state_fold_check(const struct weir_state_fold *fold) WEIR_MUST_USE;

#endif
