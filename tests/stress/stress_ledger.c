/* Two workers, a registrar and a log writer pass random items along the ledger's edges as fast as
 * they can, while a reader asserts that all three sums close at every single read. */
#include "base/ring.h"
#include "model/ledger.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORKERS 2
#define ITEMS 16        /* of one edge, under way at once */
#define RING 16
/* of a worker */
#ifdef __SANITIZE_THREAD__
#define ROUNDS 15000
#else
#define ROUNDS 60000
#endif
#define IN_FLIGHT 8     /* items the writer holds before they are durable */

struct item {
    uint64_t number;
    uint64_t count[WEIR_UNIT_COUNT];
};

struct lane {
    struct weir_ring *full;
    struct weir_ring *empty;
    uint32_t edge;
};

struct stage {
    struct weir_counts counts;
    struct weir_ledger_block *block;
    uint64_t random;
};

static struct weir_ledger *ledger;
static struct lane to_writer[1 + WORKERS]; /* [0] from the registrar */
static struct lane to_registrar[WORKERS];
static _Atomic int workers_left;   /* release at a worker's end pairs with acquire in the others */
static _Atomic bool registrar_done; /* as above */
static _Atomic bool writer_done;

static uint64_t
draw(struct stage *stage, uint64_t below)
{
    stage->random ^= stage->random << 13;
    stage->random ^= stage->random >> 7;
    stage->random ^= stage->random << 17;
    return (stage->random >> 20) % below;
}

static void
publish(struct stage *stage)
{
    weir_ledger_publish(stage->block, &stage->counts);
}

/* Lets others run between two steps of the protocol now and then: that is where a wrong order
 * shows. */
static void
seam(struct stage *stage)
{
    if (draw(stage, 16) == 0)
        sched_yield();
}

/* Refuses a random share of what the stage holds. */
static void
reject_some(struct stage *stage)
{
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        struct weir_ledger_unit *counts = &stage->counts.unit[unit];
        uint64_t rejected = draw(stage, counts->held + 1);
        counts->held -= rejected;
        counts->rejected[draw(stage, WEIR_REASON_COUNT)] += rejected;
    }
}

/* Sends all or a part of what is held on; false where every item is under way. */
static bool
send_on(struct stage *stage, struct lane *lane, bool all)
{
    struct item *item = weir_ring_pop(lane->empty);
    if (item == NULL)
        return false;
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        struct weir_ledger_unit *counts = &stage->counts.unit[unit];
        item->count[unit] = all ? counts->held : draw(stage, counts->held + 1);
        counts->held -= item->count[unit];
    }
    item->number = ++stage->counts.pushed[lane->edge];
    weir_edge_put(&ledger->edges[lane->edge], item->number, item->count[0], item->count[1],
        item->count[2]);
    seam(stage);
    publish(stage);
    seam(stage);
    bool pushed = weir_ring_push(lane->full, item);
    WEIR_ASSERT(pushed);
    seam(stage);
    return true;
}

static bool
pop_item(struct stage *stage, struct lane *lane, uint64_t *taken)
{
    struct item *item = weir_ring_pop(lane->full);
    if (item == NULL)
        return false;
    stage->counts.popped[lane->edge] = item->number;
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        stage->counts.unit[unit].held += item->count[unit];
        taken[unit] += item->count[unit];
    }
    seam(stage);
    if (draw(stage, 2) == 0)
        publish(stage);
    seam(stage);
    bool pushed = weir_ring_push(lane->empty, item);
    WEIR_ASSERT(pushed);
    return true;
}

static void *
run_worker(void *argument)
{
    int index = (int)(intptr_t)argument;
    struct stage *stage = calloc(1, sizeof *stage);
    stage->block = &ledger->blocks[WEIR_BLOCK_WORKER + index];
    stage->random = 77 + (uint64_t)index;
    for (int round = 0; round < ROUNDS; round++) {
        for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
            uint64_t came = draw(stage, 100);
            stage->counts.unit[unit].received += came;
            stage->counts.unit[unit].held += came;
        }
        if (draw(stage, 8) == 0)
            reject_some(stage);
        if (draw(stage, 3) == 0)
            publish(stage);
        struct lane *lane = draw(stage, 2) == 0 ? &to_writer[1 + index] : &to_registrar[index];
        if (!send_on(stage, lane, false))
            sched_yield();
    }
    while (!send_on(stage, &to_writer[1 + index], true))
        sched_yield();
    atomic_fetch_sub_explicit(&workers_left, 1, memory_order_release);
    free(stage);
    return NULL;
}

static void *
run_registrar(void *argument)
{
    (void)argument;
    struct stage *stage = calloc(1, sizeof *stage);
    stage->block = &ledger->blocks[WEIR_BLOCK_REGISTRAR];
    stage->random = 5;
    for (bool last = false; !last;) {
        last = atomic_load_explicit(&workers_left, memory_order_acquire) == 0;
        uint64_t taken[WEIR_UNIT_COUNT] = {0};
        bool any = false;
        for (int i = 0; i < WORKERS; i++)
            while (pop_item(stage, &to_registrar[i], taken))
                any = true;
        if (any && draw(stage, 4) == 0)
            reject_some(stage);
        if (any && draw(stage, 4) != 0)
            send_on(stage, &to_writer[0], false);
        publish(stage);
        if (!any)
            sched_yield();
    }
    while (!send_on(stage, &to_writer[0], true))
        sched_yield();
    atomic_store_explicit(&registrar_done, true, memory_order_release);
    free(stage);
    return NULL;
}

/* A frame has become durable. */
static void
store(struct stage *stage, uint64_t *frame)
{
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        stage->counts.unit[unit].stored += frame[unit];
        stage->counts.unit[unit].held -= frame[unit];
        frame[unit] = 0;
    }
}

static void *
run_writer(void *argument)
{
    (void)argument;
    struct stage *stage = calloc(1, sizeof *stage);
    stage->block = &ledger->blocks[WEIR_BLOCK_WRITER];
    stage->random = 9;
    uint64_t flying[IN_FLIGHT][WEIR_UNIT_COUNT] = {0};
    unsigned next = 0;
    for (bool last = false, any = true; !last || any;) {
        last = atomic_load_explicit(&registrar_done, memory_order_acquire) &&
            atomic_load_explicit(&workers_left, memory_order_acquire) == 0;
        any = false;
        for (int i = 0; i <= WORKERS; i++) {
            uint64_t *frame = flying[next % IN_FLIGHT];
            store(stage, frame);
            if (pop_item(stage, &to_writer[i], frame)) {
                next++;
                any = true;
            }
        }
        publish(stage);
        if (!any)
            sched_yield();
    }
    for (int i = 0; i < IN_FLIGHT; i++)
        store(stage, flying[i]);
    publish(stage);
    atomic_store_explicit(&writer_done, true, memory_order_release);
    free(stage);
    return NULL;
}

static void
make_lane(struct lane *lane, uint32_t edge)
{
    lane->edge = edge;
    lane->full = weir_ring_init(aligned_alloc(64, weir_ring_footprint(RING)), RING);
    lane->empty = weir_ring_init(aligned_alloc(64, weir_ring_footprint(RING)), RING);
    for (int i = 0; i < ITEMS; i++)
        weir_ring_push(lane->empty, calloc(1, sizeof(struct item)));
}

static void
free_lane(struct lane *lane)
{
    struct item *item;
    while ((item = weir_ring_pop(lane->empty)) != NULL)
        free(item);
    free(lane->full);
    free(lane->empty);
}

static void
test_ledger_closes_at_every_read_while_stages_run(void **state)
{
    (void)state;
    ledger = aligned_alloc(64, sizeof *ledger);
    memset(ledger, 0, sizeof *ledger);
    struct weir_ledger_sum *sum = malloc(sizeof *sum);
    atomic_store(&workers_left, WORKERS);
    make_lane(&to_writer[0], WEIR_EDGE_REGISTRAR_WRITER);
    for (uint32_t i = 0; i < WORKERS; i++) {
        make_lane(&to_writer[1 + i], WEIR_EDGE_WORKER_WRITER(i));
        make_lane(&to_registrar[i], WEIR_EDGE_WORKER_REGISTRAR(i));
    }
    pthread_t threads[WORKERS + 2];
    pthread_create(&threads[WORKERS], NULL, run_registrar, NULL);
    pthread_create(&threads[WORKERS + 1], NULL, run_writer, NULL);
    for (int i = 0; i < WORKERS; i++)
        pthread_create(&threads[i], NULL, run_worker, (void *)(intptr_t)i);

    unsigned reads = 0, with_edges = 0;
    while (!atomic_load_explicit(&writer_done, memory_order_acquire)) {
        if (weir_ledger_read(ledger, sum) != WEIR_OK)
            continue;
        for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
            if (sum->residual[unit] != 0)
                fail_msg("read %u: residual %lld %s", reads, (long long)sum->residual[unit],
                    weir_unit_names[unit]);
        with_edges += sum->in_flight[WEIR_UNIT_SAMPLES] >
            sum->total.unit[WEIR_UNIT_SAMPLES].held;
        reads++;
    }
    for (int i = 0; i < WORKERS + 2; i++)
        pthread_join(threads[i], NULL);
    /* a run in which the reader never met an item between two stages shows nothing */
    assert_true(with_edges > 0);
    assert_int_equal(weir_ledger_read(ledger, sum), WEIR_OK);
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        assert_int_equal(sum->residual[unit], 0);
        assert_int_equal(sum->in_flight[unit], 0);
        assert_true(sum->total.unit[unit].stored > 0);
    }
    print_message("# %u reads, %u with items on edges\n", reads, with_edges);
    for (int i = 0; i <= WORKERS; i++)
        free_lane(&to_writer[i]);
    for (int i = 0; i < WORKERS; i++)
        free_lane(&to_registrar[i]);
    free(sum);
    free(ledger);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ledger_closes_at_every_read_while_stages_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
