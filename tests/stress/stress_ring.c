#include "base/ring.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ITEMS 200000

struct item {
    uint64_t value; /* plain: the ring alone orders it */
};

static struct item *items;

static void *
produce(void *argument)
{
    struct weir_ring *ring = argument;
    for (uint64_t i = 0; i < ITEMS; i++) {
        items[i].value = i * 3 + 1;
        while (!weir_ring_push(ring, &items[i]))
            sched_yield();
    }
    return NULL;
}

/* Every item comes once, in order, with what its producer wrote into it. */
static void
pass_through(size_t capacity)
{
    struct weir_ring *ring =
        weir_ring_init(aligned_alloc(64, weir_ring_footprint(capacity)), capacity);
    items = calloc(ITEMS, sizeof *items);
    pthread_t producer;
    pthread_create(&producer, NULL, produce, ring);
    for (uint64_t i = 0; i < ITEMS;) {
        struct item *item = weir_ring_pop(ring);
        if (item == NULL) {
            sched_yield();
            continue;
        }
        if (item != &items[i] || item->value != i * 3 + 1)
            fail_msg("item %llu came wrong", (unsigned long long)i);
        if (i % 1000 == 0)
            assert_true(weir_ring_count(ring) <= capacity);
        i++;
    }
    pthread_join(producer, NULL);
    assert_null(weir_ring_pop(ring));
    free(items);
    free(ring);
}

static void
test_ring_keeps_order_and_content_through_one_slot(void **state)
{
    (void)state;
    pass_through(1);
}

static void
test_ring_keeps_order_and_content_through_many_slots(void **state)
{
    (void)state;
    pass_through(64);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_keeps_order_and_content_through_one_slot),
        cmocka_unit_test(test_ring_keeps_order_and_content_through_many_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
