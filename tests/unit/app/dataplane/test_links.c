/* Links are made as the topology's table says, and a start without memory says so. */
#include "app/dataplane/parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY_MAX 1024

static void *memory[MEMORY_MAX];
static uint32_t memory_count;
static uint32_t memory_limit; /* allocations that succeed */

/* In place of dataplane.c's. */
enum weir_err
weir_dataplane_memory(struct weir_dataplane *dataplane, size_t bytes, void **out)
{
    (void)dataplane;
    if (memory_count == memory_limit)
        return weir_fail(WEIR_NOMEM, 0, "%zu bytes", bytes);
    *out = aligned_alloc(WEIR_CACHE_LINE, (bytes + 63) / 64 * 64);
    memory[memory_count++] = *out;
    return WEIR_OK;
}

static int
free_memory(void **state)
{
    (void)state;
    while (memory_count > 0)
        free(memory[--memory_count]);
    return 0;
}

static struct weir_dataplane *
planned(uint32_t workers)
{
    static const int32_t cores[] = {0, 1, 2, 3};
    static struct weir_dataplane dataplane;
    memset(&dataplane, 0, sizeof dataplane);
    weir_config_init(&dataplane.config);
    dataplane.config.workers = workers;
    memory_limit = MEMORY_MAX;
    assert_int_equal(weir_topology_plan(&dataplane.config, cores, 4, &dataplane.topology), WEIR_OK);
    return &dataplane;
}

static void
test_a_link_begins_with_all_its_items_empty(void **state)
{
    (void)state;
    struct weir_dataplane *dataplane = planned(2);
    assert_int_equal(weir_dataplane_links_open(dataplane), WEIR_OK);
    assert_int_equal(dataplane->topology.link_count, 5);
    for (uint32_t i = 0; i < dataplane->topology.link_count; i++) {
        const struct weir_topology_link *link = &dataplane->topology.links[i];
        void *item;
        uint32_t count = 0;
        assert_null(weir_ring_pop(link->full));
        while ((item = weir_ring_pop(link->empty)) != NULL) {
            count++;
            assert_true(weir_ring_push(link->full, item)); /* there is room for all of them */
        }
        assert_int_equal(count, link->count);
    }
}

static void
check_batches(struct weir_dataplane *dataplane, enum weir_topology_kind from, uint32_t index)
{
    const struct weir_topology_link *link =
        weir_dataplane_link(dataplane, from, index, WEIR_TOPOLOGY_WRITER);
    bool registrar = from == WEIR_TOPOLOGY_REGISTRAR;
    bool sender_state = !registrar && index == WEIR_WIRE_WORKER;
    void *item;
    while ((item = weir_ring_pop(link->empty)) != NULL) {
        struct weir_batch *batch = item;
        assert_int_equal(
            batch->producer, registrar ? WEIR_PRODUCER_REGISTRAR : WEIR_PRODUCER_WORKER(index));
        assert_int_equal(batch->count, 0);
        assert_int_equal(batch->definitions != NULL, registrar);
        assert_int_equal(batch->sender_state != NULL, sender_state);
        if (registrar) /* the plan's bytes are there */
            memset(batch->definitions, 0, WEIR_BATCH_DEFINITIONS_MAX);
        if (sender_state)
            memset(batch->sender_state, 0, WEIR_BATCH_STATE_BYTES_MAX);
    }
}

static void
test_batches_belong_to_their_producer(void **state)
{
    (void)state;
    struct weir_dataplane *dataplane = planned(2);
    assert_int_equal(weir_dataplane_links_open(dataplane), WEIR_OK);
    check_batches(dataplane, WEIR_TOPOLOGY_REGISTRAR, 0);
    check_batches(dataplane, WEIR_TOPOLOGY_WORKER, 0);
    check_batches(dataplane, WEIR_TOPOLOGY_WORKER, 1);
}

static void
test_every_allocation_that_fails_is_an_error(void **state)
{
    (void)state;
    struct weir_dataplane *dataplane = planned(1);
    assert_int_equal(weir_dataplane_links_open(dataplane), WEIR_OK);
    uint32_t all = memory_count;
    free_memory(NULL);
    for (uint32_t limit = 0; limit < all; limit++) {
        dataplane = planned(1);
        memory_limit = limit;
        assert_int_equal(weir_dataplane_links_open(dataplane), WEIR_NOMEM);
        free_memory(NULL);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_link_begins_with_all_its_items_empty, free_memory),
        cmocka_unit_test_teardown(test_batches_belong_to_their_producer, free_memory),
        cmocka_unit_test_teardown(test_every_allocation_that_fails_is_an_error, free_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
