/* sim_random: the one source of chance of a seed (SplitMix64: Steele, Lea, Flood, OOPSLA 2014). */
#ifndef WEIR_TESTS_SIM_RANDOM_H
#define WEIR_TESTS_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
    uint64_t state;
};

static inline uint64_t
sim_random_next(struct sim_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* 0 .. bound - 1 */
static inline uint64_t
sim_random_below(struct sim_random *random, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)sim_random_next(random) * bound) >> 64);
}

/* True once in `many` times; never where many is 0. */
static inline bool
sim_random_once_in(struct sim_random *random, uint64_t many)
{
    return many != 0 && sim_random_below(random, many) == 0;
}

#endif
