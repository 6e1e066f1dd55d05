/* frame_sort: order of a batch by series number, stable.
 *
 * Packets whose series ascend make runs (model/sample.h): the runs are sorted by their first series
 * and laid one after the other, those that overlap by counting where their series are close
 * together, else by insertion. A batch without long runs, or whose runs overlap much, is sorted
 * whole.
 *
 * Either way a radix sort of (series, place) pairs from the low digit up over the bits in use
 * (Knuth, TAOCP 3, 5.2.5): 2 passes up to 4 M series, 3 up to 8 G.
 */
#ifndef WEIR_STORAGE_FRAME_SORT_H
#define WEIR_STORAGE_FRAME_SORT_H

#include "model/sample.h"

#include <stdint.h>

#define WEIR_SORT_DIGIT_BITS 11

struct weir_sort {
    uint64_t a[WEIR_BATCH_SAMPLES_MAX]; /* pairs on their way through the radix sort */
    uint64_t b[WEIR_BATCH_SAMPLES_MAX];
    uint32_t order[WEIR_BATCH_SAMPLES_MAX];
    uint32_t counts[4][1 << WEIR_SORT_DIGIT_BITS];
};

/* Returns the places of the batch's samples in order: sort->order, batch->count of them. */
const uint32_t *weir_sort_batch(struct weir_sort *sort, const struct weir_batch *batch);

#endif
