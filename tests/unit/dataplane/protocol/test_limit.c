/* Lines as long as a line may be, and a little longer, in streams that are cut anywhere: the
 * parsers take and refuse what their slow twins do. */
#include "tests/fuzz/twin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static uint64_t state = 1;

static uint32_t
draw(uint32_t below)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((state >> 33) % below);
}

/* A long line among short ones, its size around the limit, cut in many places. */
static void
compare_long_lines(enum weir_proto proto, const char *before, const char *filler,
    const char *after)
{
    static uint8_t text[4 * WEIR_LINE_MAX];
    for (int extra = -3; extra <= 16; extra += extra < 4 ? 1 : 12) {
        size_t used = 0, body = WEIR_LINE_MAX + (size_t)extra - strlen(before) - strlen(after);
        for (int copies = 0; copies < 2; copies++) {
            used += (size_t)sprintf((char *)text + used, "%s", before);
            for (size_t i = 0; i < body; i++)
                text[used++] = (uint8_t)filler[i % strlen(filler)];
            used += (size_t)sprintf((char *)text + used, "%s\nm v=1\nm 2 3\n", after);
        }
        for (int i = 0; i < 3; i++) {
            uint32_t cuts[3] = {WEIR_LINE_MAX - 4 + draw(60), draw((uint32_t)used),
                draw((uint32_t)used)};
            assert_true(twin_agrees(proto, WEIR_TIME_AUTO, text, used, cuts));
        }
        uint32_t cuts[3] = {1, WEIR_LINE_MAX, WEIR_LINE_MAX + 1};
        assert_true(twin_agrees(proto, WEIR_TIME_AUTO, text, used - 13, cuts));
        assert_true(twin_agrees(proto, WEIR_TIME_AUTO, text, used / 2 - 12, cuts));
    }
}

static void
test_influx_lines_around_the_limit_do_not_depend_on_cuts(void **unused)
{
    (void)unused;
    compare_long_lines(WEIR_PROTO_INFLUX, "m,a=", "x", " v=1 5");
    compare_long_lines(WEIR_PROTO_INFLUX, "m v=1", ",a=2", ",b=3");
    compare_long_lines(WEIR_PROTO_INFLUX, "m s=\"", "a\nb", "\"");
    compare_long_lines(WEIR_PROTO_INFLUX, "m s=\"", "a\nb", "");
    compare_long_lines(WEIR_PROTO_INFLUX, "m ", " ", "v=1\r");
    compare_long_lines(WEIR_PROTO_INFLUX, "#", "c", "");
    compare_long_lines(WEIR_PROTO_INFLUX, "m =", "c", "\r");
}

static void
test_graphite_lines_around_the_limit_do_not_depend_on_cuts(void **unused)
{
    (void)unused;
    compare_long_lines(WEIR_PROTO_GRAPHITE, "a.", "x", " 1 5");
    compare_long_lines(WEIR_PROTO_GRAPHITE, " ", " ", "a 1 5\r");
    compare_long_lines(WEIR_PROTO_GRAPHITE, "a ", "1", " 5");
}

static void
test_opentsdb_lines_around_the_limit_do_not_depend_on_cuts(void **unused)
{
    (void)unused;
    compare_long_lines(WEIR_PROTO_OPENTSDB, "put a", "x", " 5 1 k=v");
    compare_long_lines(WEIR_PROTO_OPENTSDB, " put a 5 1", " k=v", " \r");
    compare_long_lines(WEIR_PROTO_OPENTSDB, "exit ", " ", " \r");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_influx_lines_around_the_limit_do_not_depend_on_cuts),
        cmocka_unit_test(test_graphite_lines_around_the_limit_do_not_depend_on_cuts),
        cmocka_unit_test(test_opentsdb_lines_around_the_limit_do_not_depend_on_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
