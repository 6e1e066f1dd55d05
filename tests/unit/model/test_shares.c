/* Shares: who may hold how much of a table, and what is left when it gives it back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/shares.h"

#include <stdlib.h>

#define CAPACITY 1000

static struct weir_hash_key key;

static struct weir_shares *
shares_new(uint64_t capacity, uint32_t owners_max)
{
    static const uint8_t seed[WEIR_HASH_SEED_BYTES] = {1};
    weir_hash_key_init(&key, seed);
    void *memory = aligned_alloc(64, weir_shares_footprint(owners_max));
    assert_non_null(memory);
    memset(memory, 0, weir_shares_footprint(owners_max));
    return weir_shares_init(memory, capacity, owners_max, &key);
}

static struct weir_owner
ipv4(uint32_t number)
{
    struct weir_peer peer = {.port = 0};
    const uint8_t address[4] = {10, (uint8_t)(number >> 16), (uint8_t)(number >> 8),
        (uint8_t)number};
    weir_peer_set_ipv4(&peer, address);
    return weir_owner_source(&peer);
}

/* Adds as long as it is allowed, one at a time, up to max. */
static uint32_t
add_all(struct weir_shares *shares, const struct weir_owner *owner, uint32_t max)
{
    uint32_t count = 0;
    while (count < max && weir_shares_allow(shares, owner, 1)) {
        (void)weir_shares_add(shares, owner, 1);
        count++;
    }
    return count;
}

static void
test_one_owner_takes_no_more_than_half_and_others_an_eighth_each(void **state)
{
    (void)state;
    struct weir_shares *shares = shares_new(CAPACITY, CAPACITY);
    struct weir_owner first = ipv4(1), second = ipv4(2), third = weir_owner_sender(2);
    assert_int_equal(add_all(shares, &first, CAPACITY), CAPACITY / 2 + 1);
    assert_int_equal(add_all(shares, &second, CAPACITY), CAPACITY / 8);
    assert_int_equal(add_all(shares, &third, CAPACITY), CAPACITY / 8);
    assert_false(weir_shares_allow(shares, &first, 1));
    assert_int_equal(add_all(shares, NULL, 10), 10);
    free(shares);
}

static void
test_owner_that_gave_back_may_add_again(void **state)
{
    (void)state;
    struct weir_shares *shares = shares_new(CAPACITY, CAPACITY);
    struct weir_owner owner = ipv4(7);
    uint32_t nobody = weir_shares_add(shares, NULL, 600);
    uint32_t share = weir_shares_add(shares, &owner, 100);
    assert_int_equal(nobody, WEIR_SHARE_NOBODY);
    assert_true(weir_shares_allow(shares, &owner, 25));
    assert_false(weir_shares_allow(shares, &owner, 26));
    weir_shares_remove(shares, share, 40);
    assert_int_equal(weir_shares_held(shares, &owner), 60);
    assert_true(weir_shares_allow(shares, &owner, 65));
    assert_false(weir_shares_allow(shares, &owner, 66));
    weir_shares_remove(shares, nobody, 600);
    assert_true(weir_shares_allow(shares, &owner, 500));
    assert_int_equal(weir_shares_used(shares), 60);
    free(shares);
}

/* A place whose owner is gone serves the next one; so no number of owners in a row fills it. */
static void
test_owners_that_hold_nothing_leave_no_trace(void **state)
{
    (void)state;
    struct weir_shares *shares = shares_new(CAPACITY, 4);
    for (uint32_t i = 0; i < 100000; i++) {
        struct weir_owner owner = ipv4(i);
        uint32_t share = weir_shares_add(shares, &owner, 1);
        assert_int_equal(weir_shares_held(shares, &owner), 1);
        weir_shares_remove(shares, share, 1);
        assert_int_equal(weir_shares_held(shares, &owner), 0);
    }
    assert_int_equal(weir_shares_used(shares), 0);
    free(shares);
}

static void
test_owners_beyond_the_list_hold_one_share_together(void **state)
{
    (void)state;
    struct weir_shares *shares = shares_new(CAPACITY, 2);
    struct weir_owner owners[6];
    uint32_t share[6];
    (void)weir_shares_add(shares, NULL, 501);
    for (uint32_t i = 0; i < 6; i++) {
        owners[i] = ipv4(i);
        share[i] = weir_shares_add(shares, &owners[i], 40);
    }
    assert_int_equal(weir_shares_held(shares, &owners[0]), 40);
    assert_int_equal(weir_shares_held(shares, &owners[5]), 160);
    assert_true(weir_shares_allow(shares, &owners[1], 1));
    assert_false(weir_shares_allow(shares, &owners[2], 1));
    /* a place that becomes free goes to the next owner that is new, and the rest are given back
     * by the share they got */
    weir_shares_remove(shares, share[0], 40);
    assert_true(weir_shares_allow(shares, &owners[5], 125));
    uint32_t again = weir_shares_add(shares, &owners[5], 5);
    assert_int_equal(weir_shares_held(shares, &owners[5]), 5);
    weir_shares_remove(shares, share[5], 40);
    assert_int_equal(weir_shares_held(shares, &owners[5]), 5);
    weir_shares_remove(shares, again, 5);
    for (uint32_t i = 1; i < 5; i++)
        weir_shares_remove(shares, share[i], 40);
    assert_int_equal(weir_shares_used(shares), 501);
    free(shares);
}

static void
test_ipv6_sources_count_by_their_64_bits_and_never_as_sender_ids(void **state)
{
    (void)state;
    struct weir_peer a = {.address = {0x20, 1, 0x0d, 0xb8, [15] = 1}};
    struct weir_peer b = a, c = a;
    b.address[8] = 7;
    b.port = 9;
    c.address[7] = 1;
    struct weir_owner owner_a = weir_owner_source(&a), owner_b = weir_owner_source(&b);
    struct weir_owner owner_c = weir_owner_source(&c), owner_d = weir_owner_sender(owner_a.low);
    struct weir_owner v4_one = ipv4(1), v4_two = ipv4(2);
    assert_memory_equal(&owner_a, &owner_b, sizeof owner_a);
    assert_memory_not_equal(&owner_a, &owner_c, sizeof owner_a);
    assert_memory_not_equal(&owner_a, &owner_d, sizeof owner_a);
    assert_memory_not_equal(&v4_one, &v4_two, sizeof v4_one);
}

static void
test_small_table_leaves_each_owner_one_entry(void **state)
{
    (void)state;
    struct weir_shares *shares = shares_new(4, 4);
    struct weir_owner first = ipv4(1), second = ipv4(2);
    assert_int_equal(add_all(shares, &first, 4), 3);
    assert_int_equal(add_all(shares, &second, 4), 1);
    free(shares);
}

/* Against a plain array of counts. */
static void
test_shares_agree_with_plain_counts(void **state)
{
    (void)state;
    enum { OWNERS = 50, ENTRIES = 400 };
    struct weir_shares *shares = shares_new(CAPACITY, OWNERS);
    uint64_t held[OWNERS] = {0};
    struct {
        uint32_t owner, share;
        uint64_t weight;
    } entries[ENTRIES];
    uint32_t count = 0;
    uint64_t total = 0;
    uint32_t random = 12345;
    for (uint32_t step = 0; step < 200000; step++) {
        random = random * 1664525 + 1013904223;
        uint32_t who = (random >> 8) % OWNERS;
        uint64_t weight = 1 + (random >> 20) % 9;
        struct weir_owner owner = ipv4(who);
        if (count < ENTRIES && (random >> 4 & 3) != 0) {
            bool wanted = total <= CAPACITY / 2 || held[who] + weight <= CAPACITY / 8;
            assert_int_equal(weir_shares_allow(shares, &owner, weight), wanted);
            entries[count].owner = who;
            entries[count].weight = weight;
            entries[count++].share = weir_shares_add(shares, &owner, weight);
            held[who] += weight;
            total += weight;
        } else if (count > 0) {
            uint32_t at = random % count;
            weir_shares_remove(shares, entries[at].share, entries[at].weight);
            held[entries[at].owner] -= entries[at].weight;
            total -= entries[at].weight;
            entries[at] = entries[--count];
        }
        assert_int_equal(weir_shares_held(shares, &owner), held[who]);
        assert_int_equal(weir_shares_used(shares), total);
    }
    free(shares);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_owner_takes_no_more_than_half_and_others_an_eighth_each),
        cmocka_unit_test(test_owner_that_gave_back_may_add_again),
        cmocka_unit_test(test_owners_that_hold_nothing_leave_no_trace),
        cmocka_unit_test(test_owners_beyond_the_list_hold_one_share_together),
        cmocka_unit_test(test_ipv6_sources_count_by_their_64_bits_and_never_as_sender_ids),
        cmocka_unit_test(test_small_table_leaves_each_owner_one_entry),
        cmocka_unit_test(test_shares_agree_with_plain_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
