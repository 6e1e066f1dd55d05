/* Folded state entries against a replay of all of them, from random numbers;
 * tests/fuzz/fuzz_state.c does the same from bytes. */
#include "dataplane/protocol/weir/channels/internal.h"
#include "tests/fuzz/twin_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
run_seed(uint64_t seed, uint64_t channels, uint64_t lists)
{
    struct twin_state_source source = {.random = seed};
    twin_state_compare(&source, channels, lists);
}

static void
test_a_folded_list_leaves_what_the_whole_one_leaves(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++)
        run_seed(seed, 1 + seed % 7, 1 + seed % 60);
}

static void
test_more_channels_are_forgotten_than_are_remembered(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++)
        run_seed(seed, 3000, 600);
}

static size_t
put(uint8_t *list, size_t at, const struct weir_state_entry *state_entry)
{
    memcpy(list + at, state_entry, sizeof *state_entry);
    return at + sizeof *state_entry;
}

/* The later of two entries of a forgotten channel tells where it goes on, and it goes on once. */
static void
test_a_channel_forgotten_twice_comes_back_once(void **state)
{
    (void)state;
    struct weir_channels *channels = twin_state_channels_new();
    uint64_t gaps = 0;
    alignas(8) uint8_t list[4 * sizeof(struct weir_state_entry)];
    struct weir_state_entry state_entry = {.type = WEIR_STATE_FORGOTTEN,
        .bytes = sizeof state_entry,
        .sender = 7,
        .epoch = 3,
        .sequence = 20};
    size_t size = put(list, 0, &state_entry);
    state_entry.sequence = 30;
    size = put(list, size, &state_entry);
    state_entry.epoch = 2; /* of an older epoch: no meaning */
    state_entry.sequence = 40;
    size = put(list, size, &state_entry);
    weir_channels_restore(channels, list, size, 0);
    struct weir_channel *back = weir_channels_find_or_add(channels, 7, 0, 3, &gaps);
    assert_int_equal(back->highest, 30);
    assert_int_equal(back->epoch, 3);
    struct weir_forgotten entry;
    assert_false(weir_channels_remembered(channels, 7, 0, &entry));
    twin_state_channels_free(channels);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_folded_list_leaves_what_the_whole_one_leaves),
        cmocka_unit_test(test_more_channels_are_forgotten_than_are_remembered),
        cmocka_unit_test(test_a_channel_forgotten_twice_comes_back_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
