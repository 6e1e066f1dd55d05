/* ledger: three closed sums (packets, records, samples) over stages in different threads.
 *
 *   received + generated = stored + absorbed + rejected + dropped + in_flight
 *
 * Owns:    nothing; blocks and edges are in the shared region
 * Threads: one writer a block; readers in any process
 * Memory:  fixed structs
 *
 * How it closes at every read. A stage (worker, registrar, log writer) keeps its counts privately
 * and publishes them as one block under a sequence lock, once a burst. Units inside a stage
 * are `held`, counted from its open batch or its frames in flight. Stages are joined by edges:
 * queues of numbered items (batches, deferrals of lines). The producer writes an item's counts into
 * the edge's slot, then publishes its own block (held without the item, pushed = number), and
 * only then pushes the item: so nobody can have taken an item that its producer's block does not
 * name. The reader takes the blocks from the last stage to the first and adds the slots between
 * the consumer's `popped` and the producer's `pushed`: every item is counted exactly once,
 * wherever it is. in_flight is that sum of held and of slots, never a difference of classes.
 */
#ifndef WEIR_MODEL_LEDGER_H
#define WEIR_MODEL_LEDGER_H

#include "base/assert.h"
#include "base/err.h"
#include "model/metrics.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum weir_unit { WEIR_UNIT_PACKETS, WEIR_UNIT_RECORDS, WEIR_UNIT_SAMPLES, WEIR_UNIT_COUNT };
extern const char *const weir_unit_names[WEIR_UNIT_COUNT];

#define WEIR_WORKERS_MAX 16
#define WEIR_BLOCK_WRITER 0
#define WEIR_BLOCK_REGISTRAR 1
#define WEIR_BLOCK_WORKER 2 /* and up, one a worker */
#define WEIR_BLOCKS_MAX (WEIR_BLOCK_WORKER + WEIR_WORKERS_MAX)

/* Edges: registrar -> writer, then for each worker -> writer and -> registrar. */
#define WEIR_EDGE_REGISTRAR_WRITER 0
#define WEIR_EDGE_WORKER_WRITER(worker) (1 + 2 * (worker))
#define WEIR_EDGE_WORKER_REGISTRAR(worker) (2 + 2 * (worker))
#define WEIR_EDGES_MAX (1 + 2 * WEIR_WORKERS_MAX)
/* Items of one edge that can be under way. Every queue holds at most half as many, because then no
 * writer overtakes a reader. */
#define WEIR_EDGE_SLOTS 128
#define WEIR_EDGE_CAPACITY_MAX (WEIR_EDGE_SLOTS / 2)

struct weir_ledger_unit {
    uint64_t received;
    uint64_t generated;
    uint64_t stored;
    uint64_t absorbed;
    uint64_t held; /* inside this stage now */
    uint64_t rejected[WEIR_REASON_COUNT];
    uint64_t dropped[WEIR_REASON_COUNT];
};

/* Counts of one stage; private to its thread until published. */
struct weir_counts {
    struct weir_ledger_unit unit[WEIR_UNIT_COUNT];
    uint64_t pushed[WEIR_EDGES_MAX]; /* number of the last item pushed, by edge */
    uint64_t popped[WEIR_EDGES_MAX]; /* number of the last item popped, by edge */
    uint64_t counter[WEIR_COUNTER_COUNT];
    uint64_t cycles[WEIR_STAGE_COUNT]; /* TSC ticks spent, by stage */
    uint64_t samples[WEIR_STAGE_COUNT]; /* samples that passed the stage */
};
_Static_assert(sizeof(struct weir_counts) % 8 == 0, "counts are words");
#define WEIR_COUNTS_WORDS (sizeof(struct weir_counts) / 8)

struct weir_ledger_block {
    alignas(WEIR_CACHE_LINE) _Atomic uint64_t sequence; /* odd while being written */
    _Atomic uint64_t words[WEIR_COUNTS_WORDS];
};

struct weir_edge_slot {
    _Atomic uint64_t number;
    _Atomic uint64_t count[WEIR_UNIT_COUNT];
};

struct weir_edge {
    alignas(WEIR_CACHE_LINE) struct weir_edge_slot slots[WEIR_EDGE_SLOTS];
};

/* The whole ledger in the shared region; zero bytes are a valid empty one. */
struct weir_ledger {
    struct weir_ledger_block blocks[WEIR_BLOCKS_MAX];
    struct weir_edge edges[WEIR_EDGES_MAX];
};

/* Publishes one stage's counts as its block. Writer's thread only. */
void weir_ledger_publish(struct weir_ledger_block *block, const struct weir_counts *counts);

/* Writes an item's counts into its edge, before the producer publishes and pushes it. */
void weir_edge_put(struct weir_edge *edge, uint64_t number, uint64_t packets, uint64_t records,
    uint64_t samples);

/* The sum over all stages at one point of their order. */
struct weir_ledger_sum {
    struct weir_counts total;              /* pushed, popped without meaning; held summed */
    struct weir_counts block[WEIR_BLOCKS_MAX];
    uint64_t in_flight[WEIR_UNIT_COUNT];   /* held + items on edges */
    int64_t residual[WEIR_UNIT_COUNT];     /* 0 where the ledger closes */
};

/* Reads blocks and edges without waiting: WEIR_AGAIN during a stage's publication, or if one was
 * published meanwhile. sum is large (tens of KiB). */
enum weir_err weir_ledger_read_now(struct weir_ledger *ledger, struct weir_ledger_sum *sum)
    WEIR_MUST_USE;
/* Sums the counters of the stages whose blocks can be read now. False where that is not all. */
bool weir_ledger_read_counters(struct weir_ledger *ledger, uint64_t counters[WEIR_COUNTER_COUNT]);

/* As weir_ledger_read_now, but sleeps during a stage's publication. After a second: WEIR_AGAIN. */
enum weir_err weir_ledger_read(struct weir_ledger *ledger, struct weir_ledger_sum *sum)
    WEIR_MUST_USE;

#endif
