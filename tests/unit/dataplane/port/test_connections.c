#include "dataplane/port/tcp/connections.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int
descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static struct weir_connections *
table_new(uint32_t max)
{
    struct weir_connections *table;
    assert_int_equal(weir_connections_new(max, &table), WEIR_OK);
    return table;
}

static void
test_add_stops_at_the_limit(void **state)
{
    (void)state;
    struct weir_connections *table = table_new(3);
    for (int i = 0; i < 3; i++)
        assert_non_null(weir_connection_add(table, descriptor(), 0));
    assert_null(weir_connection_add(table, 0, 0));
    weir_connection_drop(table, weir_connection_at(table, 1));
    assert_non_null(weir_connection_add(table, descriptor(), 0));
    weir_connections_free(table);
}

static void
test_name_of_a_closed_connection_finds_nobody(void **state)
{
    (void)state;
    struct weir_connections *table = table_new(1);
    struct weir_connection *first = weir_connection_add(table, descriptor(), 0);
    uint32_t name = first->name;
    assert_int_not_equal(name, 0);
    assert_ptr_equal(weir_connection_find(table, weir_source(5, name)), first);
    weir_connection_drop(table, first);
    assert_null(weir_connection_find(table, name));
    struct weir_connection *second = weir_connection_add(table, descriptor(), 0);
    assert_ptr_equal(second, first);
    assert_null(weir_connection_find(table, name));
    assert_ptr_equal(weir_connection_find(table, second->name), second);
    weir_connections_free(table);
}

static void
test_names_outside_the_table_find_nobody(void **state)
{
    (void)state;
    struct weir_connections *table = table_new(3);
    for (uint32_t name = 0; name < 64; name++)
        assert_null(weir_connection_find(table, name));
    weir_connections_free(table);
}

/* 65,536 slots leave 8 bits of generation; generation 0 is left out. */
static void
test_generation_wraps_without_the_name_zero(void **state)
{
    (void)state;
    struct weir_connections *table = table_new(WEIR_CONNECTIONS_LIMIT);
    weir_connection_at(table, 0)->name = 0xff0000;
    struct weir_connection *connection = weir_connection_add(table, descriptor(), 0);
    assert_int_equal(connection->slot, 0);
    assert_int_equal(connection->name, 0x010000);
    weir_connections_free(table);
}

/* Another connection is taken before the same slot comes back. */
static void
test_slots_come_back_as_late_as_possible(void **state)
{
    (void)state;
    struct weir_connections *table = table_new(3);
    uint32_t slots[6];
    for (int i = 0; i < 6; i++) {
        struct weir_connection *connection = weir_connection_add(table, descriptor(), 0);
        slots[i] = connection->slot;
        weir_connection_drop(table, connection);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(slots[i], slots[i + 3]);
        assert_int_not_equal(slots[i], slots[(i + 1) % 3]);
    }
    weir_connections_free(table);
}

static void
test_kept_bytes_add_up_and_are_forgotten(void **state)
{
    (void)state;
    struct weir_connections *table = table_new(2);
    struct weir_connection *a = weir_connection_add(table, descriptor(), 0);
    struct weir_connection *b = weir_connection_add(table, descriptor(), 0);
    static uint8_t large[WEIR_STRETCH_MAX];
    memset(large, 'b', sizeof large);
    weir_connection_keep(table, a, (const uint8_t *)"one", 3);
    weir_connection_keep(table, b, large, sizeof large);
    weir_connection_keep(table, a, (const uint8_t *)"two", 3);
    assert_int_equal(a->kept, 6);
    assert_memory_equal(weir_connection_bytes(table, a), "onetwo", 6);
    assert_memory_equal(weir_connection_bytes(table, b), large, sizeof large);
    weir_connection_forget(table, b);
    assert_int_equal(b->kept, 0);
    /* what was large has gone back to the kernel */
    assert_int_equal(weir_connection_bytes(table, b)[WEIR_STRETCH_MAX - 1], 0);
    assert_memory_equal(weir_connection_bytes(table, a), "onetwo", 6);
    weir_connections_free(table);
}

static void
test_list_keeps_order_when_any_place_leaves(void **state)
{
    (void)state;
    struct weir_connections *table = table_new(3);
    for (int out = 0; out < 3; out++) {
        struct weir_connection_list list = {NULL, NULL};
        struct weir_connection *c[3];
        for (int i = 0; i < 3; i++) {
            c[i] = weir_connection_add(table, descriptor(), 0);
            weir_connection_list_add(&list, c[i]);
        }
        weir_connection_list_remove(c[out]);
        weir_connection_list_remove(c[out]);
        struct weir_connection *first = c[out == 0 ? 1 : 0];
        struct weir_connection *last = c[out == 2 ? 1 : 2];
        assert_ptr_equal(list.first, first);
        assert_ptr_equal(list.last, last);
        assert_ptr_equal(first->next, last);
        assert_ptr_equal(last->previous, first);
        for (int i = 0; i < 3; i++)
            weir_connection_drop(table, c[i]);
        assert_null(list.first);
        assert_null(list.last);
    }
    weir_connections_free(table);
}

static void
test_new_refuses_sizes_a_name_cannot_tell_apart(void **state)
{
    (void)state;
    struct weir_connections *table;
    assert_int_equal(weir_connections_new(0, &table), WEIR_INVALID);
    assert_int_equal(weir_connections_new(WEIR_CONNECTIONS_LIMIT + 1, &table), WEIR_INVALID);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_stops_at_the_limit),
        cmocka_unit_test(test_name_of_a_closed_connection_finds_nobody),
        cmocka_unit_test(test_names_outside_the_table_find_nobody),
        cmocka_unit_test(test_generation_wraps_without_the_name_zero),
        cmocka_unit_test(test_slots_come_back_as_late_as_possible),
        cmocka_unit_test(test_kept_bytes_add_up_and_are_forgotten),
        cmocka_unit_test(test_list_keeps_order_when_any_place_leaves),
        cmocka_unit_test(test_new_refuses_sizes_a_name_cannot_tell_apart),
    };
    return cmocka_run_group_tests_name("connections", tests, NULL, NULL);
}
