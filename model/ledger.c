#include "model/ledger.h"

#include "base/seqlock.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

/* A stage may lose its core in the middle of a publication; then only sleeping helps. 2,000 x
 * 0.5 ms outlast any time slice. */
#define READ_TRIES 2000
#define READ_PAUSE_NS 500000
#define BLOCK_TRIES 100

const char *const weir_unit_names[WEIR_UNIT_COUNT] = {"packets", "records", "samples"};

void
weir_ledger_publish(struct weir_ledger_block *block, const struct weir_counts *counts)
{
    weir_seqlock_write(&block->sequence, block->words, (const uint64_t *)counts,
        WEIR_COUNTS_WORDS);
}

/* As a sequence lock (base/seqlock.h), with the item's number for the sequence: a reader that meets
 * a count of a newer item also sees that the number has gone. */
void
weir_edge_put(struct weir_edge *edge, uint64_t number, uint64_t packets, uint64_t records,
    uint64_t samples)
{
    struct weir_edge_slot *slot = &edge->slots[number % WEIR_EDGE_SLOTS];
    const uint64_t counts[WEIR_UNIT_COUNT] = {[WEIR_UNIT_PACKETS] = packets,
        [WEIR_UNIT_RECORDS] = records,
        [WEIR_UNIT_SAMPLES] = samples};
    atomic_store_explicit(&slot->number, 0, memory_order_relaxed);
    /* release pairs with the acquire loads of count in edge_read: new count, no old number */
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
        atomic_store_explicit(&slot->count[unit], counts[unit], memory_order_release);
    /* release pairs with the acquire load of number in edge_read */
    atomic_store_explicit(&slot->number, number, memory_order_release);
}

/* A block that moves is read again by itself: that keeps the order of the blocks, and one busy
 * stage does not spoil what was read of the others. */
static bool
block_read(struct weir_ledger_block *block, struct weir_counts *out)
{
    uint64_t seen;
    for (int attempt = 0; attempt < BLOCK_TRIES; attempt++)
        if (weir_seqlock_read(&block->sequence, block->words, (uint64_t *)out, WEIR_COUNTS_WORDS,
                &seen))
            return true;
    return false;
}

/* Adds the items of one edge numbered popped+1 .. pushed. False, to be read again, where a slot is
 * not that item's any more, or where the consumer names more than its producer: the difference
 * then wraps round. */
static bool
edge_read(struct weir_edge *edge, uint64_t popped, uint64_t pushed, uint64_t *in_flight)
{
    if (pushed - popped > WEIR_EDGE_SLOTS)
        return false;
    for (uint64_t number = popped + 1; number <= pushed; number++) {
        struct weir_edge_slot *slot = &edge->slots[number % WEIR_EDGE_SLOTS];
        /* acquire pairs with the last release in weir_edge_put */
        if (atomic_load_explicit(&slot->number, memory_order_acquire) != number)
            return false;
        uint64_t count[WEIR_UNIT_COUNT];
        for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
            count[unit] = atomic_load_explicit(&slot->count[unit], memory_order_acquire);
        if (atomic_load_explicit(&slot->number, memory_order_relaxed) != number)
            return false;
        for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
            in_flight[unit] += count[unit];
    }
    return true;
}

/* Blocks in the order of their index: the log writer first, the workers last. */
static bool
read_once(struct weir_ledger *ledger, struct weir_ledger_sum *sum)
{
    memset(&sum->total, 0, sizeof sum->total);
    memset(sum->in_flight, 0, sizeof sum->in_flight);
    for (int i = 0; i < WEIR_BLOCKS_MAX; i++)
        if (!block_read(&ledger->blocks[i], &sum->block[i]))
            return false;
    uint64_t *total = (uint64_t *)&sum->total;
    for (int i = 0; i < WEIR_BLOCKS_MAX; i++) {
        const uint64_t *part = (const uint64_t *)&sum->block[i];
        for (size_t word = 0; word < WEIR_COUNTS_WORDS; word++)
            total[word] += part[word];
    }
    /* each edge has one producer and one consumer, so the totals are their cursors */
    for (int edge = 0; edge < WEIR_EDGES_MAX; edge++)
        if (!edge_read(&ledger->edges[edge], sum->total.popped[edge], sum->total.pushed[edge],
                sum->in_flight))
            return false;
    return true;
}

static int64_t
unit_residual(const struct weir_ledger_unit *unit, uint64_t in_flight)
{
    uint64_t ended = unit->stored + unit->absorbed + in_flight;
    for (int reason = 0; reason < WEIR_REASON_COUNT; reason++)
        ended += unit->rejected[reason] + unit->dropped[reason];
    return (int64_t)(unit->received + unit->generated - ended);
}

enum weir_err
weir_ledger_read_now(struct weir_ledger *ledger, struct weir_ledger_sum *sum)
{
    if (!read_once(ledger, sum))
        return weir_fail(WEIR_AGAIN, 0, "a stage is in the middle of a publication");
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        sum->in_flight[unit] += sum->total.unit[unit].held;
        sum->residual[unit] = unit_residual(&sum->total.unit[unit], sum->in_flight[unit]);
    }
    return WEIR_OK;
}

bool
weir_ledger_read_counters(struct weir_ledger *ledger, uint64_t counters[WEIR_COUNTER_COUNT])
{
    struct weir_counts counts;
    bool all = true;
    memset(counters, 0, WEIR_COUNTER_COUNT * sizeof *counters);
    for (int i = 0; i < WEIR_BLOCKS_MAX; i++) {
        if (!block_read(&ledger->blocks[i], &counts)) {
            all = false;
            continue;
        }
        for (int counter = 0; counter < WEIR_COUNTER_COUNT; counter++)
            counters[counter] += counts.counter[counter];
    }
    return all;
}

enum weir_err
weir_ledger_read(struct weir_ledger *ledger, struct weir_ledger_sum *sum)
{
    const struct timespec pause = {.tv_nsec = READ_PAUSE_NS};
    for (int attempt = 0; attempt < READ_TRIES; attempt++) {
        if (weir_ledger_read_now(ledger, sum) == WEIR_OK)
            return WEIR_OK;
        nanosleep(&pause, NULL);
    }
    return weir_fail(WEIR_AGAIN, 0, "the ledger moved during %d reads", READ_TRIES);
}
