/* scan: what a scan wants, for the sources it walks: frames of the log and parts.
 *
 * Threads: its reader's
 */
#ifndef WEIR_STORAGE_READ_SCAN_H
#define WEIR_STORAGE_READ_SCAN_H

#include "storage/reader.h"

struct weir_read_scan {
    const uint64_t *numbers; /* ascending; NULL: all series */
    const size_t *places;    /* of those in the caller's list; NULL: they are the same */
    size_t number_count;
    int64_t from_ms;
    int64_t to_ms;
    weir_reader_sample_fn *call;
    void *context;
};

/* Place of the first number >= wanted. */
static inline size_t
weir_scan_lower_bound(const uint64_t *numbers, size_t count, uint64_t wanted)
{
    size_t low = 0;
    while (count > 0) {
        size_t half = count / 2;
        if (numbers[low + half] < wanted) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return low;
}

#endif
