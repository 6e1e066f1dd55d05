#include "dataplane/protocol/common/decimal.h"
#include "dataplane/protocol/common/decimal_powers.h"
#include "model/sample.h"
#include "tests/fuzz/twin_decimal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static enum weir_decimal_result
read_text(const char *text, struct weir_decimal *out)
{
    uint8_t padded[256 + 8];
    size_t size = strlen(text);
    assert_true(size <= 256);
    memcpy(padded, text, size);
    memset(padded + size, '5', 8);
    return weir_decimal_read(padded, size, out);
}

static void
test_decimal_is_kept_as_written(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        int64_t mantissa;
        int exponent;
    } cases[] = {{"0", 0, 0}, {"0e99", 0, 0}, {"1.50", 150, -2}, {"-12.25", -1225, -2},
        {".5", 5, -1}, {"5.", 5, 0}, {"+7", 7, 0},
        {"9007199254740992", INT64_C(9007199254740992), 0},
        {"90071992547409920", INT64_C(9007199254740992), 1}, {"1e22", 1, 22}, {"1e23", 10, 22},
        {"1000000000000000000000000", 1000000, 18}, {"10e-23", 1, -22},
        {"123.000000000000000000000000000000", 123, 0}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct weir_decimal found;
        assert_int_equal(read_text(cases[i].text, &found), WEIR_DECIMAL_OK);
        assert_int_equal(found.kind, WEIR_VALUE_DECIMAL);
        struct weir_sample sample = {
            weir_sample_key(0, found.kind, found.exponent), 0, found.value};
        assert_true(weir_sample_double(&sample)
            == weir_decimal_double(cases[i].mantissa, cases[i].exponent));
    }
}

static void
test_what_is_no_decimal_is_kept_as_double(void **unused)
{
    (void)unused;
    struct weir_decimal found;
    assert_int_equal(read_text("-0", &found), WEIR_DECIMAL_OK);
    assert_int_equal(found.kind, WEIR_VALUE_DOUBLE);
    assert_true(found.value == UINT64_C(1) << 63);
    assert_int_equal(read_text("9007199254740993", &found), WEIR_DECIMAL_OK);
    assert_int_equal(found.kind, WEIR_VALUE_DOUBLE);
    assert_int_equal(read_text("1e400", &found), WEIR_DECIMAL_RANGE);
    assert_true(isinf(weir_bits_double(found.value)));
    assert_int_equal(read_text("1e-400", &found), WEIR_DECIMAL_OK);
    assert_true(found.value == 0);
}

static void
test_hard_numbers_agree_with_strtod(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"0.30000000000000004", "2.2250738585072011e-308",
        "2.2250738585072014e-308", "4.9406564584124654e-324", "2.4703282292062327e-324",
        "2.4703282292062328e-324", "1.7976931348623157e308", "1.7976931348623158e308",
        "1.7976931348623159e308", "9007199254740993", "9007199254740993.0", "9007199254740995",
        "9007199254740992.9999999999999999999999999", "9007199254740993.00000000000000000000001",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126",
        "8.5e-323", "1e-323", "3e-324", "123456789012345678901234567890", "-5e-324",
        "6929495644600919.5", "3.5e-46", "7.2057594037927933e16", "1e309", "18446744073709551616",
        "0.000000000000000000000000000000000000000000000000000000000000000000000001e72"};
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_true(twin_decimal_agrees((const uint8_t *)texts[i], strlen(texts[i])));
}

static void
test_random_numbers_agree_with_strtod(void **unused)
{
    (void)unused;
    uint64_t state = 42;
    char text[800];
    for (int i = 0; i < 60000; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t bits = state ^ state >> 31;
        double value = weir_bits_double(bits);
        if (!isfinite(value))
            continue;
        int digits = (int)(state >> 40) % 25;
        snprintf(text, sizeof text, i % 2 ? "%.*e" : "%.*g", digits, value);
        assert_true(twin_decimal_agrees((const uint8_t *)text, strlen(text)));
        snprintf(text, sizeof text, "%.*f", digits % 12, (double)(int64_t)bits / 65536);
        assert_true(twin_decimal_agrees((const uint8_t *)text, strlen(text)));
    }
}

/* The points halfway between two doubles, exactly, and their neighbours in the last digit. */
static void
test_halfway_cases_round_to_even(void **unused)
{
    (void)unused;
    uint64_t state = 7;
    char text[1200];
    for (int i = 0; i < 4000; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t mantissa = (state >> 11) | UINT64_C(1) << 52;
        int exponent = (int)(state % 160) - 80;
        long double half = ldexpl((long double)mantissa + 0.5L, exponent);
        snprintf(text, sizeof text, "%.*Lf", exponent < 1 ? 1 - exponent : 0, half);
        size_t size = strlen(text);
        assert_true(twin_decimal_agrees((const uint8_t *)text, size));
        text[size - 1]++;
        if (text[size - 1] <= '9')
            assert_true(twin_decimal_agrees((const uint8_t *)text, size));
        text[size - 1] = text[size - 1] - 2 >= '0' ? text[size - 1] - 2 : '0';
        assert_true(twin_decimal_agrees((const uint8_t *)text, size));
    }
}

static void
test_what_is_no_number_is_refused(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"", "+", "-", ".", "e5", "1e", "1e+", "1.2.3", "1 ", " 1",
        "0x10", "inf", "nan", "1_0", "--1", "1e5.0", "-.e1"};
    struct weir_decimal found;
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_int_equal(read_text(texts[i], &found), WEIR_DECIMAL_SYNTAX);
}

static void
test_integers_end_at_their_range(void **unused)
{
    (void)unused;
    uint8_t text[64] = "9223372036854775807";
    int64_t integer;
    uint64_t natural;
    assert_int_equal(weir_int_read(text, 19, &integer), WEIR_DECIMAL_OK);
    assert_true(integer == INT64_MAX);
    memcpy(text, "9223372036854775808", 19);
    assert_int_equal(weir_int_read(text, 19, &integer), WEIR_DECIMAL_RANGE);
    memcpy(text, "-9223372036854775808", 20);
    assert_int_equal(weir_int_read(text, 20, &integer), WEIR_DECIMAL_OK);
    assert_true(integer == INT64_MIN);
    memcpy(text, "-9223372036854775809", 20);
    assert_int_equal(weir_int_read(text, 20, &integer), WEIR_DECIMAL_RANGE);
    memcpy(text, "0000018446744073709551615", 25);
    assert_int_equal(weir_uint_read(text, 25, &natural), WEIR_DECIMAL_OK);
    assert_true(natural == UINT64_MAX);
    memcpy(text, "18446744073709551616", 20);
    assert_int_equal(weir_uint_read(text, 20, &natural), WEIR_DECIMAL_RANGE);
    memcpy(text, "118446744073709551615", 21);
    assert_int_equal(weir_uint_read(text, 21, &natural), WEIR_DECIMAL_RANGE);
    assert_int_equal(weir_uint_read(text, 0, &natural), WEIR_DECIMAL_SYNTAX);
    memcpy(text, "-1", 2);
    assert_int_equal(weir_uint_read(text, 2, &natural), WEIR_DECIMAL_SYNTAX);
    assert_int_equal(weir_int_read(text, 1, &integer), WEIR_DECIMAL_SYNTAX);
}

static void
test_integers_past_2_53_are_rounded_and_told(void **unused)
{
    (void)unused;
    struct weir_decimal found;
    assert_false(weir_decimal_from_int(-(INT64_C(1) << 53), &found));
    assert_int_equal(found.kind, WEIR_VALUE_DECIMAL);
    assert_true(weir_decimal_from_int((INT64_C(1) << 53) + 1, &found));
    assert_true(weir_bits_double(found.value) == 9007199254740992.0);
    assert_true(weir_decimal_from_uint(UINT64_MAX, &found));
    assert_true(weir_bits_double(found.value) == 18446744073709551616.0);
}

/* Whole numbers of 2,048 bits, lowest limb first: enough for 2^(127 + 795) and 5^342. */
#define LIMBS 64
struct big {
    uint32_t limb[LIMBS];
};

static void
big_multiply(struct big *big, uint32_t factor)
{
    uint64_t carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        carry += (uint64_t)big->limb[i] * factor;
        big->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    assert_true(carry == 0);
}

static void
big_add(struct big *big, const struct big *more)
{
    uint64_t carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        carry += (uint64_t)big->limb[i] + more->limb[i];
        big->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

static int
big_bits(const struct big *big)
{
    for (int i = LIMBS; i-- > 0;)
        if (big->limb[i] != 0)
            return 32 * i + 32 - __builtin_clz(big->limb[i]);
    return 0;
}

static int
big_compare(const struct big *a, const struct big *b)
{
    for (int i = LIMBS; i-- > 0;)
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0;
}

static int
big_bit(const struct big *big, int at)
{
    return at < 0 ? 0 : (int)(big->limb[at / 32] >> at % 32 & 1);
}

/* The product of big and a table entry. */
static struct big
times_entry(const struct big *big, const uint64_t entry[2])
{
    struct big product = {{0}};
    for (int i = 0; i < 128; i++) {
        for (int k = LIMBS - 1; k > 0; k--)
            product.limb[k] = product.limb[k] << 1 | product.limb[k - 1] >> 31;
        product.limb[0] <<= 1;
        if (entry[i / 64] >> (63 - i % 64) & 1)
            big_add(&product, big);
    }
    return product;
}

static void
test_powers_of_five_are_what_the_table_says(void **unused)
{
    (void)unused;
    struct big power = {{1}};
    for (int q = 0; q <= -WEIR_POWER_MIN; q++) {
        int bits = big_bits(&power);
        if (q <= WEIR_POWER_MAX) {
            const uint64_t *entry = weir_powers_of_five[q - WEIR_POWER_MIN];
            for (int i = 0; i < 128; i++)
                assert_int_equal(entry[i / 64] >> (63 - i % 64) & 1,
                    big_bit(&power, bits - 1 - i));
        }
        if (q > 0) {
            /* entry = 2^(bits + 127) / 5^q, rounded down, or up from -27 on */
            const uint64_t *entry = weir_powers_of_five[-q - WEIR_POWER_MIN];
            struct big one = {{0}}, product = times_entry(&power, entry);
            one.limb[(bits + 127) / 32] = UINT32_C(1) << (bits + 127) % 32;
            if (q > 27) {
                assert_int_equal(big_compare(&product, &one), -1);
                big_add(&product, &power);
                assert_int_equal(big_compare(&product, &one), 1);
            } else {
                assert_int_equal(big_compare(&product, &one), 1);
                big_add(&one, &power);
                assert_int_equal(big_compare(&product, &one), -1);
            }
        }
        big_multiply(&power, 5);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimal_is_kept_as_written),
        cmocka_unit_test(test_what_is_no_decimal_is_kept_as_double),
        cmocka_unit_test(test_hard_numbers_agree_with_strtod),
        cmocka_unit_test(test_random_numbers_agree_with_strtod),
        cmocka_unit_test(test_halfway_cases_round_to_even),
        cmocka_unit_test(test_what_is_no_number_is_refused),
        cmocka_unit_test(test_integers_end_at_their_range),
        cmocka_unit_test(test_integers_past_2_53_are_rounded_and_told),
        cmocka_unit_test(test_powers_of_five_are_what_the_table_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
