#include "storage/keeper/settle.h"

#include <stdbool.h>
#include <stddef.h>

/* Moves a sample that insertion may make before heapsort takes over. */
#define MOVES_A_SAMPLE 8

static bool
before(const struct weir_settled *a, const struct weir_settled *b)
{
    return a->time_ms != b->time_ms ? a->time_ms < b->time_ms
                                    : weir_settled_arrival(a) < weir_settled_arrival(b);
}

static bool
ascending(const struct weir_settled *samples, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (samples[i - 1].time_ms >= samples[i].time_ms)
            return false;
    return true;
}

/* False where that takes too many moves; the samples are all there then, in some order. */
static bool
insertion_sort(struct weir_settled *samples, uint32_t count)
{
    uint64_t moves = (uint64_t)count * MOVES_A_SAMPLE;
    for (uint32_t i = 1; i < count; i++) {
        struct weir_settled sample = samples[i];
        uint32_t place = i;
        for (; place > 0 && before(&sample, &samples[place - 1]) && moves > 0; place--, moves--)
            samples[place] = samples[place - 1];
        samples[place] = sample;
        if (moves == 0)
            return false;
    }
    return true;
}

/* Moves the sample at `root` down until no child comes after it. */
static void
sift(struct weir_settled *samples, uint32_t root, uint32_t count)
{
    struct weir_settled sample = samples[root];
    uint64_t child = (uint64_t)root * 2 + 1;
    while (child < count) {
        if (child + 1 < count && before(&samples[child], &samples[child + 1]))
            child++;
        if (!before(&sample, &samples[child]))
            break;
        samples[root] = samples[child];
        root = (uint32_t)child;
        child = child * 2 + 1;
    }
    samples[root] = sample;
}

static void
heap_sort(struct weir_settled *samples, uint32_t count)
{
    for (uint32_t i = count / 2; i-- > 0;)
        sift(samples, i, count);
    for (uint32_t last = count - 1; last > 0; last--) {
        struct weir_settled largest = samples[0];
        samples[0] = samples[last];
        samples[last] = largest;
        sift(samples, 0, last);
    }
}

static uint32_t
drop_superseded(struct weir_settled *samples, uint32_t count)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (left > 0 && samples[left - 1].time_ms == samples[i].time_ms)
            left--;
        samples[left++] = samples[i];
    }
    return left;
}

uint32_t
weir_settle(struct weir_settled *samples, uint32_t count)
{
    if (ascending(samples, count))
        return count;
    if (!insertion_sort(samples, count))
        heap_sort(samples, count);
    return drop_superseded(samples, count);
}
