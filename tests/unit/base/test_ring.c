#include "base/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define CAPACITY 4

static int items[64];

static int
setup(void **state)
{
    *state = weir_ring_init(aligned_alloc(64, weir_ring_footprint(CAPACITY)), CAPACITY);
    return 0;
}

static int
teardown(void **state)
{
    free(*state);
    return 0;
}

static void
test_ring_gives_items_back_in_order(void **state)
{
    struct weir_ring *ring = *state;
    for (int round = 0; round < 10; round++) { /* more than once around */
        for (int i = 0; i < 3; i++)
            assert_true(weir_ring_push(ring, &items[3 * round + i]));
        assert_int_equal(weir_ring_count(ring), 3);
        for (int i = 0; i < 3; i++)
            assert_ptr_equal(weir_ring_pop(ring), &items[3 * round + i]);
        assert_null(weir_ring_pop(ring));
    }
}

static void
test_ring_refuses_a_push_when_full(void **state)
{
    struct weir_ring *ring = *state;
    for (int i = 0; i < CAPACITY; i++) {
        assert_false(weir_ring_full(ring));
        assert_true(weir_ring_push(ring, &items[i]));
    }
    assert_true(weir_ring_full(ring));
    assert_false(weir_ring_push(ring, &items[CAPACITY]));
    assert_ptr_equal(weir_ring_pop(ring), &items[0]);
    assert_false(weir_ring_full(ring));
    assert_true(weir_ring_push(ring, &items[CAPACITY]));
    for (int i = 1; i <= CAPACITY; i++)
        assert_ptr_equal(weir_ring_pop(ring), &items[i]);
}

static void
test_ring_peek_leaves_the_item(void **state)
{
    struct weir_ring *ring = *state;
    assert_null(weir_ring_peek(ring));
    assert_true(weir_ring_push(ring, &items[7]));
    assert_ptr_equal(weir_ring_peek(ring), &items[7]);
    assert_int_equal(weir_ring_count(ring), 1);
    assert_ptr_equal(weir_ring_pop(ring), &items[7]);
    assert_int_equal(weir_ring_count(ring), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ring_gives_items_back_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ring_refuses_a_push_when_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ring_peek_leaves_the_item, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
