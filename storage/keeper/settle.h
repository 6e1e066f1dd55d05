/* settle: the samples of one series in the order of time, each time once.
 *
 * Threads: any; no state
 * Memory:  in place; nothing is allocated
 */
#ifndef WEIR_STORAGE_KEEPER_SETTLE_H
#define WEIR_STORAGE_KEEPER_SETTLE_H

#include <stdint.h>

struct weir_settled {
    int64_t time_ms;
    uint64_t value;   /* mantissa or bits, by kind */
    uint32_t arrival; /* of samples with equal times the larger one wins; unique in a series */
    int8_t exponent;
    uint8_t kind; /* enum weir_value_kind */
    uint16_t unused;
};
_Static_assert(sizeof(struct weir_settled) == 24, "24 bytes a sample are the keeper's budget");

/* Sorts, drops what is superseded, and returns the count of samples left. Ascending samples are
 * only looked at; a few late ones cost moves; any other order n log n (heapsort: Williams, CACM
 * 1964). */
uint32_t weir_settle(struct weir_settled *samples, uint32_t count);

#endif
