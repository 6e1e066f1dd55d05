/* Doubles as text: forms as the reference prints them, and the slow twin. */
#include "base/double_text.h"
#include "tests/fuzz/twin_double_text.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *
text_of(double value, enum weir_double_form form)
{
    static char text[WEIR_DOUBLE_PLAIN_MAX + 1];
    size_t size = weir_double_text(value, form, text);
    assert_true(size <= (form == WEIR_DOUBLE_PLAIN ? WEIR_DOUBLE_PLAIN_MAX : WEIR_DOUBLE_JSON_MAX));
    text[size] = '\0';
    return text;
}

static void
test_forms_are_those_of_go(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *plain, *json, *general;
    } cases[] = {
        {0, "0", "0", "0"},
        {-0.0, "-0", "-0", "-0"},
        {1, "1", "1", "1"},
        {-1.5, "-1.5", "-1.5", "-1.5"},
        {0.1, "0.1", "0.1", "0.1"},
        {100, "100", "100", "100"},
        {123456, "123456", "123456", "123456"},
        {1234567, "1234567", "1234567", "1.234567e+06"},
        {1e6, "1000000", "1000000", "1e+06"},
        {0.0001, "0.0001", "0.0001", "0.0001"},
        {0.00001, "0.00001", "0.00001", "1e-05"},
        {0.000001, "0.000001", "0.000001", "1e-06"},
        {0.0000001, "0.0000001", "1e-07", "1e-07"},
        {1e20, "100000000000000000000", "100000000000000000000", "1e+20"},
        {1e21, "1000000000000000000000", "1e+21", "1e+21"},
        {1.25e22, "12500000000000000000000", "1.25e+22", "1.25e+22"},
        {608863452348.1149, "608863452348.1149", "608863452348.1149", "6.088634523481149e+11"},
        {1.0 / 3, "0.3333333333333333", "0.3333333333333333", "0.3333333333333333"},
        {9007199254740993.0, "9007199254740992", "9007199254740992", "9.007199254740992e+15"},
        {HUGE_VAL, "+Inf", "+Inf", "+Inf"},
        {-HUGE_VAL, "-Inf", "-Inf", "-Inf"},
        {NAN, "NaN", "NaN", "NaN"},
        {-NAN, "NaN", "NaN", "NaN"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(text_of(cases[i].value, WEIR_DOUBLE_PLAIN), cases[i].plain);
        assert_string_equal(text_of(cases[i].value, WEIR_DOUBLE_JSON), cases[i].json);
        assert_string_equal(text_of(cases[i].value, WEIR_DOUBLE_GENERAL), cases[i].general);
    }
    assert_string_equal(text_of(123456789012345.6, WEIR_DOUBLE_C), "123456789012345.6");
    assert_string_equal(text_of(1e15, WEIR_DOUBLE_C), "1e+15");
    assert_string_equal(text_of(DBL_MAX, WEIR_DOUBLE_JSON), "1.7976931348623157e+308");
    assert_string_equal(text_of(5e-324, WEIR_DOUBLE_JSON), "5e-324");
    assert_int_equal(strlen(text_of(-DBL_TRUE_MIN, WEIR_DOUBLE_PLAIN)), 327);
}

static void
check(double value)
{
    for (int form = WEIR_DOUBLE_PLAIN; form <= WEIR_DOUBLE_C; form++)
        assert_true(twin_double_text_agrees(value, text_of(value, (enum weir_double_form)form)));
}

/* Where the distance to the neighbours changes, and the tables' indexes do. */
static void
test_every_power_of_two_and_its_neighbours_agree_with_the_twin(void **state)
{
    (void)state;
    for (int e = -1074; e < 1024; e++) {
        double power = ldexp(1, e);
        check(power);
        check(nextafter(power, 0));
        check(nextafter(power, DBL_MAX));
        check(ldexp(3, e < 1023 ? e : 1022));
    }
}

static void
test_random_values_agree_with_the_twin(void **state)
{
    (void)state;
    uint64_t random = UINT64_C(88172645463325252);
    for (int i = 0; i < 100000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        double value;
        memcpy(&value, &random, sizeof value);
        if (isfinite(value))
            check(value);
        check((double)(random % 100000000) / 1000);
        check((double)(int64_t)random / 7e12);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms_are_those_of_go),
        cmocka_unit_test(test_every_power_of_two_and_its_neighbours_agree_with_the_twin),
        cmocka_unit_test(test_random_values_agree_with_the_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
