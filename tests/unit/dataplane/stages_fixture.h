/* stages_fixture: what lies between the stages of a dataplane, for tests of one stage that play the
 * others: rings, batches, deferrals, the series table, and a ledger that has to close. */
#ifndef WEIR_TESTS_UNIT_DATAPLANE_STAGES_FIXTURE_H
#define WEIR_TESTS_UNIT_DATAPLANE_STAGES_FIXTURE_H

#include "base/ring.h"
#include "dataplane/protocol/deferral.h"
#include "dataplane/protocol/parse.h"
#include "dataplane/series/series.h"
#include "model/ledger.h"
#include "model/progress.h"
#include "model/sample.h"
#include "model/shared.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define STAGES_BATCHES_MAX 8

static struct {
    struct weir_hash_key key;
    struct weir_progress progress;
    struct weir_counts counts; /* of the stage under test */
    struct weir_counts writer; /* what the played log writer says of itself */
    struct weir_degraded degraded;
    struct weir_ledger *ledger;
    struct weir_ledger_sum *sum;
    struct weir_series *series;
    struct weir_parsed *parsed;
    struct weir_ring *deferrals, *completed;  /* between worker and registrar */
    struct weir_ring *batches, *empties; /* between the stage under test and the log writer */
    struct weir_deferral *made_deferrals[WEIR_DEFERRALS];
    uint32_t deferral_count;
    struct weir_batch *made_batches[STAGES_BATCHES_MAX];
    uint32_t batch_count;
} stages;

static inline void *
zeroed_aligned(size_t alignment, size_t size)
{
    size = (size + alignment - 1) & ~(alignment - 1);
    void *memory = aligned_alloc(alignment, size);
    assert_non_null(memory);
    memset(memory, 0, size);
    return memory;
}

static inline void *
zeroed(size_t size)
{
    return zeroed_aligned(WEIR_CACHE_LINE, size);
}

static inline struct weir_ring *
ring(size_t capacity)
{
    return weir_ring_init(zeroed(weir_ring_footprint(capacity)), capacity);
}

static inline struct weir_series *
series_new(const struct weir_hash_key *key, uint64_t series_max)
{
    return weir_series_init(zeroed_aligned(4096, weir_series_footprint(series_max)),
        series_max, key);
}

static inline struct weir_batch *
batch_new(void)
{
    struct weir_batch *batch = zeroed(sizeof *batch);
    weir_batch_reset(batch);
    batch->sender_state = zeroed(WEIR_BATCH_STATE_BYTES_MAX);
    batch->definitions = zeroed(WEIR_BATCH_DEFINITIONS_MAX);
    return batch;
}

static inline void
batch_free(struct weir_batch *batch)
{
    free(batch->sender_state);
    free(batch->definitions);
    free(batch);
}

/* Makes a batch, which stages_end() frees, and lays it into a ring. */
static inline void
stages_give_batch(struct weir_ring *empties)
{
    assert_true(stages.batch_count < STAGES_BATCHES_MAX);
    struct weir_batch *batch = batch_new();
    stages.made_batches[stages.batch_count++] = batch;
    assert_true(weir_ring_push(empties, batch));
}

/* Ingest is open, so many deferrals are completed, and there is no batch yet. */
static inline void
stages_begin(uint64_t series_max, uint32_t deferrals)
{
    static const uint8_t seed[WEIR_HASH_SEED_BYTES] = "stages of a test";
    memset(&stages, 0, sizeof stages);
    weir_hash_key_init(&stages.key, seed);
    atomic_store(&stages.progress.state, WEIR_INGEST_OPEN);
    stages.ledger = zeroed(sizeof *stages.ledger);
    stages.sum = zeroed(sizeof *stages.sum);
    stages.series = series_new(&stages.key, series_max);
    stages.parsed = zeroed(sizeof *stages.parsed);
    stages.deferrals = ring(deferrals);
    stages.completed = ring(deferrals);
    stages.batches = ring(STAGES_BATCHES_MAX);
    stages.empties = ring(STAGES_BATCHES_MAX);
    for (; stages.deferral_count < deferrals; stages.deferral_count++) {
        struct weir_deferral *deferral = zeroed(sizeof *deferral);
        stages.made_deferrals[stages.deferral_count] = deferral;
        assert_true(weir_ring_push(stages.completed, deferral));
    }
}

static inline void
stages_end(void)
{
    for (uint32_t i = 0; i < stages.batch_count; i++)
        batch_free(stages.made_batches[i]);
    for (uint32_t i = 0; i < stages.deferral_count; i++)
        free(stages.made_deferrals[i]);
    void *const owned[] = {stages.ledger, stages.sum, stages.series, stages.parsed,
        stages.deferrals, stages.completed, stages.batches, stages.empties};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
}

/* Reads the ledger, which has to close. */
static inline const struct weir_ledger_sum *
closed(void)
{
    assert_int_equal(weir_ledger_read(stages.ledger, stages.sum), WEIR_OK);
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
        if (stages.sum->residual[unit] != 0)
            fail_msg("residual %lld %s", (long long)stages.sum->residual[unit],
                weir_unit_names[unit]);
    return stages.sum;
}

static inline uint64_t
rejected(enum weir_unit unit, enum weir_reason reason)
{
    return closed()->total.unit[unit].rejected[reason];
}

/* xorshift64* (Vigna, ACM TOMS 2016) */
static inline uint64_t
next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

#endif
