/* The cache of blocks: what is pinned stays, what is used lasts longer than what is not, and where
 * all is pinned a block has memory of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "storage/index/cache.h"

#include "tests/unit/faults/alloc.h"

#include <string.h>

#define SLOTS 64 /* of the smallest cache */

static struct weir_index_cache *cache;

static int
set_up(void **state)
{
    (void)state;
    return weir_index_cache_new(1, &cache) == WEIR_OK ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    weir_index_cache_free(cache);
    return 0;
}

/* Fills a block with its place, and leaves it pinned. */
static struct weir_index_block
fill(uint32_t place)
{
    uint8_t *memory;
    struct weir_index_block block = {0};
    assert_int_equal(weir_index_cache_reserve(cache, 7, place, &block.slot, &memory), WEIR_OK);
    memset(memory, (int)(place & 255), WEIR_INDEX_RAW_MAX);
    block.raw = memory;
    block.raw_bytes = WEIR_INDEX_RAW_MAX;
    block.first = place;
    weir_index_cache_publish(cache, &block);
    return block;
}

static bool
is_there(uint32_t place)
{
    struct weir_index_block block;
    if (!weir_index_cache_get(cache, 7, place, &block))
        return false;
    assert_int_equal(block.first, place);
    assert_int_equal(block.raw[WEIR_INDEX_RAW_MAX - 1], place & 255);
    weir_index_cache_release(cache, &block);
    return true;
}

static void
test_pinned_block_is_not_evicted(void **state)
{
    (void)state;
    struct weir_index_block pinned = fill(1);
    for (uint32_t place = 2; place < 500; place++) {
        struct weir_index_block block = fill(place);
        weir_index_cache_release(cache, &block);
    }
    assert_true(is_there(1));
    assert_false(is_there(2));
    assert_int_equal(pinned.raw[0], 1);
    weir_index_cache_release(cache, &pinned);
}

static void
test_used_block_outlives_one_that_is_not(void **state)
{
    (void)state;
    for (uint32_t place = 0; place < SLOTS; place++) {
        struct weir_index_block block = fill(place);
        weir_index_cache_release(cache, &block);
    }
    struct weir_index_block block = fill(SLOTS); /* the hand passed all, and took one */
    weir_index_cache_release(cache, &block);
    assert_true(is_there(40));
    for (uint32_t place = SLOTS + 1; place < SLOTS + 60; place++) {
        block = fill(place);
        weir_index_cache_release(cache, &block);
    }
    assert_true(is_there(40));
    assert_false(is_there(41));
}

static void
test_block_that_two_threads_read_is_kept_once(void **state)
{
    (void)state;
    struct weir_index_block first = fill(9), second = fill(9);
    assert_ptr_not_equal(first.raw, second.raw);
    weir_index_cache_release(cache, &second);
    assert_true(is_there(9));
    weir_index_cache_release(cache, &first);
    assert_true(is_there(9));
}

static void
test_block_beside_a_cache_of_pinned_ones_has_its_own_memory(void **state)
{
    (void)state;
    struct weir_index_block blocks[SLOTS];
    for (uint32_t place = 0; place < SLOTS; place++)
        blocks[place] = fill(place);
    struct weir_index_block alone = fill(SLOTS);
    assert_int_equal(alone.raw[5], SLOTS);
    assert_false(is_there(SLOTS));
    weir_index_cache_release(cache, &alone);
    uint8_t *memory;
    struct weir_cache_slot *slot;
    alloc_faults_arm(1, alloc_faults_one);
    enum weir_err err = weir_index_cache_reserve(cache, 7, SLOTS, &slot, &memory);
    assert_true(alloc_faults_disarm());
    assert_int_equal(err, WEIR_NOMEM);
    for (uint32_t place = 0; place < SLOTS; place++) {
        assert_int_equal(blocks[place].raw[0], place);
        weir_index_cache_release(cache, &blocks[place]);
    }
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_pinned_block_is_not_evicted),
        TEST(test_used_block_outlives_one_that_is_not),
        TEST(test_block_that_two_threads_read_is_kept_once),
        TEST(test_block_beside_a_cache_of_pinned_ones_has_its_own_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
