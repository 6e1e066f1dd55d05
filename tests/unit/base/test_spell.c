/* Spells: told when they begin, once a minute, and when they are over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/spell.h"

static void
test_spell_is_told_at_its_ends_and_once_a_minute(void **state)
{
    (void)state;
    struct weir_spell spell = {0};
    int told[4] = {0};
    int64_t now_ns = 5;
    assert_int_equal(weir_spell_look(&spell, now_ns), WEIR_SPELL_NOTHING);
    assert_int_equal(weir_spell_met(&spell, 3, now_ns), WEIR_SPELL_BEGINS);
    for (int i = 0; i < 600; i++) { /* for ten minutes, each second */
        now_ns += INT64_C(1000000000);
        assert_int_equal(weir_spell_look(&spell, now_ns), WEIR_SPELL_NOTHING);
        told[weir_spell_met(&spell, 2, now_ns)]++;
    }
    assert_int_equal(told[WEIR_SPELL_LASTS], 10);
    assert_int_equal(told[WEIR_SPELL_NOTHING], 590);
    assert_int_equal(spell.count, 1203);
    assert_int_equal(weir_spell_look(&spell, now_ns + WEIR_SPELL_NS - 1), WEIR_SPELL_NOTHING);
    assert_int_equal(weir_spell_look(&spell, now_ns + WEIR_SPELL_NS), WEIR_SPELL_ENDS);
    assert_int_equal(spell.met_ns - spell.begun_ns, INT64_C(600000000000));
    assert_int_equal(weir_spell_look(&spell, now_ns + 2 * WEIR_SPELL_NS), WEIR_SPELL_NOTHING);
    assert_int_equal(weir_spell_met(&spell, 1, now_ns + 2 * WEIR_SPELL_NS), WEIR_SPELL_BEGINS);
    assert_int_equal(spell.count, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spell_is_told_at_its_ends_and_once_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
