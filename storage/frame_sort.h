/* frame_sort: order of a batch by series number, stable.
 *
 * Packets whose series ascend make runs: the runs are sorted by their first series and laid one
 * behind the other, those that overlap merged by insertion. A batch without long runs, or whose
 * runs overlap much, is sorted whole.
 *
 * Either way a radix sort of (series, place) pairs from the low digit up over the bits in use
 * (Knuth, TAOCP 3, 5.2.5): 2 passes up to 4 M series, 3 up to 8 G.
 */
#ifndef WEIR_STORAGE_FRAME_SORT_H
#define WEIR_STORAGE_FRAME_SORT_H

#include "base/sample.h"

#include <stdint.h>

#define WEIR_SORT_DIGIT_BITS 11

struct weir_sort_entry {
    uint64_t series : WEIR_SERIES_BITS;
    uint64_t place : 24; /* of the sample in its batch */
};
_Static_assert(sizeof(struct weir_sort_entry) == 8, "an entry is a word");
_Static_assert(WEIR_BATCH_SAMPLES_MAX <= 1 << 24, "a place fits");

/* Below this many samples a run, on average, runs are not worth sorting by. */
#define WEIR_SORT_RUN_MIN 4
/* Where series ascend by more than this, a run ends: the lines of a host whose series were defined
 * at different times would span the runs of many others. */
#define WEIR_SORT_RUN_GAP 64

struct weir_sort {
    struct weir_sort_entry a[WEIR_BATCH_SAMPLES_MAX];
    struct weir_sort_entry b[WEIR_BATCH_SAMPLES_MAX];
    struct weir_sort_entry runs[WEIR_BATCH_SAMPLES_MAX / WEIR_SORT_RUN_MIN];
    uint32_t counts[4][1 << WEIR_SORT_DIGIT_BITS];
};

/* Returns the entries in order: sort->a or sort->b, batch->count of them. */
const struct weir_sort_entry *weir_sort_batch(struct weir_sort *sort,
    const struct weir_batch *batch);

#endif
