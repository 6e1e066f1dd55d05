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
    uint64_t value; /* mantissa or bits, by kind */
    /* bits 0-31 arrival: of samples with equal times the larger one wins; unique in a series;
     * 32-39 exponent (int8), 40 enum weir_value_kind. One word, because it is one store. */
    uint64_t rest;
};
_Static_assert(sizeof(struct weir_settled) == 24, "24 bytes a sample are the keeper's budget");

static inline uint64_t
weir_settled_rest(uint32_t arrival, int8_t exponent, uint8_t kind)
{
    return arrival | (uint64_t)(uint8_t)exponent << 32 | (uint64_t)kind << 40;
}

static inline uint32_t
weir_settled_arrival(const struct weir_settled *sample)
{
    return (uint32_t)sample->rest;
}

static inline int8_t
weir_settled_exponent(const struct weir_settled *sample)
{
    return (int8_t)(sample->rest >> 32);
}

static inline uint8_t
weir_settled_kind(const struct weir_settled *sample)
{
    return (uint8_t)(sample->rest >> 40);
}

/* Sorts, drops what is superseded, and returns the count of samples left. Ascending samples are
 * only looked at; a few late ones cost moves; any other order n log n (heapsort: Williams, CACM
 * 1964). */
uint32_t weir_settle(struct weir_settled *samples, uint32_t count);

#endif
