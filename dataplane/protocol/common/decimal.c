#include "dataplane/protocol/common/decimal.h"

#include "dataplane/protocol/common/decimal_powers.h"
#include "model/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 19             /* 10^19 - 1 fits in 64 bits */
#define EXPONENT_LIMIT 1000000    /* past any line's length; keeps the sums in 32 bits */
#define SLOW_DIGITS 800           /* a halfway case of doubles has at most 767 digits */
#define MANTISSA_BITS 52
#define INFINITY_BITS (UINT64_C(0x7ff) << MANTISSA_BITS)
#define SIGN_BIT (UINT64_C(1) << 63)

static const uint64_t powers_of_ten[DIGITS_MAX + 1] = {UINT64_C(1), UINT64_C(10), UINT64_C(100),
    UINT64_C(1000), UINT64_C(10000), UINT64_C(100000), UINT64_C(1000000), UINT64_C(10000000),
    UINT64_C(100000000), UINT64_C(1000000000), UINT64_C(10000000000), UINT64_C(100000000000),
    UINT64_C(1000000000000), UINT64_C(10000000000000), UINT64_C(100000000000000),
    UINT64_C(1000000000000000), UINT64_C(10000000000000000), UINT64_C(100000000000000000),
    UINT64_C(1000000000000000000), UINT64_C(10000000000000000000)};

static inline bool
is_digit(uint8_t byte)
{
    return (uint8_t)(byte - '0') <= 9;
}

static inline uint64_t
load8(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* The top bit of each byte that is no ASCII digit. */
static inline uint64_t
no_digits(uint64_t word)
{
    uint64_t digit = word ^ UINT64_C(0x3030303030303030);
    uint64_t above = (digit & UINT64_C(0x7f7f7f7f7f7f7f7f)) + UINT64_C(0x7676767676767676);
    return (above | digit) & UINT64_C(0x8080808080808080);
}

/* The number that eight digits spell, the first in the lowest byte; 0 bytes count as digit 0. */
static inline uint64_t
eight_digits(uint64_t word)
{
    word &= UINT64_C(0x0f0f0f0f0f0f0f0f);
    word = (word * 10 + (word >> 8)) & UINT64_C(0x00ff00ff00ff00ff);
    word = (word * 100 + (word >> 16)) & UINT64_C(0x0000ffff0000ffff);
    return (word * 10000 + (word >> 32)) & UINT64_C(0xffffffff);
}

/* Reads the digits at `at` into *value, modulo 2^64, and returns its end. */
static inline const uint8_t *
read_digits(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    while (at < end) {
        uint64_t word = load8(at);
        uint64_t other = no_digits(word);
        size_t count = other == 0 ? 8 : (size_t)__builtin_ctzll(other) >> 3;
        if (count > (size_t)(end - at))
            count = (size_t)(end - at);
        if (count == 0)
            break;
        /* Shifted to the top, the digits in front of them read as zeros. */
        *value = *value * powers_of_ten[count] + eight_digits(word << (64 - 8 * count));
        at += count;
        if (count < 8)
            break;
    }
    return at;
}

/* The exponent part at `at`, if there is one, added to *exponent; NULL where it is malformed. */
static const uint8_t *
read_exponent(const uint8_t *at, const uint8_t *end, int32_t *exponent)
{
    if (at == end || (*at | 0x20) != 'e')
        return at;
    at++;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (at == end || !is_digit(*at))
        return NULL;
    int32_t value = 0;
    for (; at < end && is_digit(*at); at++)
        if (value < EXPONENT_LIMIT)
            value = value * 10 + (*at - '0');
    *exponent += negative ? -value : value;
    return at;
}

/* Reads again, digit by digit, a number of more than 19 digits: leading zeros do not count, and
 * of those after the 19th only `cut` says anything. */
static void
read_long(const uint8_t *at, const uint8_t *end, struct weir_digits *out)
{
    uint64_t mantissa = 0;
    int32_t exponent = 0;
    int digit_count = 0;
    bool point = false, cut = false;
    for (; at < end; at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        if (digit_count < DIGITS_MAX) {
            mantissa = mantissa * 10 + (uint64_t)(*at - '0');
            digit_count += mantissa != 0;
            exponent -= point;
        } else {
            cut |= *at != '0';
            exponent += !point;
        }
    }
    out->mantissa = mantissa;
    out->exponent = exponent;
    out->cut = cut;
}

bool
weir_digits_read(const uint8_t *text, size_t size, struct weir_digits *out)
{
    const uint8_t *at = text, *end = text + size;
    if (size == 0)
        return false;
    out->negative = *at == '-';
    at += *at == '-' || *at == '+';
    const uint8_t *first = at;
    uint64_t mantissa = 0;
    at = read_digits(at, end, &mantissa);
    size_t digits = (size_t)(at - first);
    int32_t exponent = 0;
    if (at < end && *at == '.') {
        const uint8_t *fraction = ++at;
        at = read_digits(at, end, &mantissa);
        digits += (size_t)(at - fraction);
        exponent = -(int32_t)(at - fraction);
    }
    if (digits == 0)
        return false;
    out->mantissa = mantissa;
    out->exponent = exponent;
    out->cut = false;
    if (digits > DIGITS_MAX)
        read_long(first, at, out);
    at = read_exponent(at, end, &out->exponent);
    return at == end;
}

/* Nearest double of mantissa x 10^exponent, mantissa > 0, as bits; false where the 128-bit
 * product leaves open on which side of a halfway point it is. */
static bool
nearest_double(uint64_t mantissa, int32_t exponent, uint64_t *bits)
{
    if (exponent < WEIR_POWER_MIN) { /* below half of the smallest double, even with 2^64 - 1 */
        *bits = 0;
        return true;
    }
    if (exponent > WEIR_POWER_MAX) {
        *bits = INFINITY_BITS;
        return true;
    }
    const uint64_t *power = weir_powers_of_five[exponent - WEIR_POWER_MIN];
    int shift = __builtin_clzll(mantissa);
    mantissa <<= shift;
    unsigned __int128 product = (unsigned __int128)mantissa * power[0];
    uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
    /* A double takes 53 bits and one to round by; one more may be lost to normalising. Only where
     * the nine bits below are all ones can the power's lower half still carry into them. */
    if ((high & 0x1ff) == 0x1ff) {
        uint64_t carry = (uint64_t)((unsigned __int128)mantissa * power[1] >> 64);
        low += carry;
        high += low < carry;
    }
    if (low == UINT64_MAX && (exponent < -27 || exponent > 55))
        return false;
    int top = (int)(high >> 63);
    int drop = 64 - (MANTISSA_BITS + 3) + top;
    uint64_t rounded = high >> drop;
    /* floor(exponent x log2(10)) + 63: 217706 / 2^16 serves for these exponents */
    int binary = (int)((217706 * (int64_t)exponent) >> 16) + 63 + top - shift + 1023;
    if (binary <= 0) { /* subnormal */
        if (1 - binary >= 64) {
            *bits = 0;
            return true;
        }
        rounded >>= 1 - binary;
        rounded = (rounded + (rounded & 1)) >> 1;
        *bits = rounded; /* 2^52 is the smallest normal double, whose exponent field is 1 */
        return true;
    }
    /* Exactly halfway, which needs a power of five that divides 2^64: to even. */
    if (low <= 1 && exponent >= -4 && exponent <= 23 && (rounded & 3) == 1
        && rounded << drop == high)
        rounded--;
    rounded = (rounded + (rounded & 1)) >> 1;
    if (rounded == UINT64_C(1) << (MANTISSA_BITS + 1)) {
        rounded >>= 1;
        binary++;
    }
    *bits = binary >= 0x7ff ? INFINITY_BITS
                            : (uint64_t)binary << MANTISSA_BITS
                                  | (rounded & ((UINT64_C(1) << MANTISSA_BITS) - 1));
    return true;
}

/* strtod on a copy without a decimal point, whatever the locale: all digits that can matter, then
 * one for the rest. */
static uint64_t
slow_double(const uint8_t *text, size_t size)
{
    char copy[SLOW_DIGITS + 32];
    size_t used = 0;
    int32_t exponent = 0;
    bool point = false, cut = false;
    const uint8_t *at = text, *end = text + size;
    at += *at == '-' || *at == '+';
    for (; at < end && (*at | 0x20) != 'e'; at++) {
        if (*at == '.') {
            point = true;
        } else if (used < SLOW_DIGITS) {
            if (used > 0 || *at != '0')
                copy[used++] = (char)*at;
            exponent -= point;
        } else {
            cut |= *at != '0';
            exponent += !point;
        }
    }
    if (cut) {
        copy[used++] = '1';
        exponent--;
    }
    read_exponent(at, end, &exponent);
    snprintf(copy + used, sizeof copy - used, "e%d", exponent);
    return weir_double_bits(strtod(copy, NULL));
}

/* Brings mantissa x 10^exponent into the bounds of a kept decimal, if it can be. */
static bool
keep_decimal(uint64_t mantissa, int32_t exponent, struct weir_decimal *out)
{
    while ((mantissa > WEIR_MANTISSA_MAX || exponent < -WEIR_EXPONENT_MAX) && mantissa % 10 == 0) {
        mantissa /= 10;
        exponent++;
    }
    while (exponent > WEIR_EXPONENT_MAX && mantissa <= WEIR_MANTISSA_MAX / 10) {
        mantissa *= 10;
        exponent--;
    }
    if (mantissa > WEIR_MANTISSA_MAX || exponent < -WEIR_EXPONENT_MAX
        || exponent > WEIR_EXPONENT_MAX)
        return false;
    *out = (struct weir_decimal){mantissa, (int8_t)exponent, WEIR_VALUE_DECIMAL};
    return true;
}

/* Numbers that the fast path of weir_decimal_read does not read. */
static enum weir_decimal_result
convert(const uint8_t *text, size_t size, const struct weir_digits *digits,
    struct weir_decimal *out)
{
    uint64_t sign = digits->negative ? SIGN_BIT : 0;
    if (digits->mantissa == 0) {
        *out = (struct weir_decimal){sign, 0, sign ? WEIR_VALUE_DOUBLE : WEIR_VALUE_DECIMAL};
        return WEIR_DECIMAL_OK;
    }
    if (!digits->cut && keep_decimal(digits->mantissa, digits->exponent, out)) {
        if (digits->negative)
            out->value = -out->value;
        return WEIR_DECIMAL_OK;
    }
    uint64_t bits, next;
    bool decided = nearest_double(digits->mantissa, digits->exponent, &bits);
    /* With digits cut off, the number is between two mantissas that must agree. */
    if (decided && digits->cut)
        decided = nearest_double(digits->mantissa + 1, digits->exponent, &next) && bits == next;
    if (!decided)
        bits = slow_double(text, size);
    *out = (struct weir_decimal){bits | sign, 0, WEIR_VALUE_DOUBLE};
    return bits == INFINITY_BITS ? WEIR_DECIMAL_RANGE : WEIR_DECIMAL_OK;
}

enum weir_decimal_result
weir_decimal_read(const uint8_t *text, size_t size, struct weir_decimal *out)
{
    struct weir_digits digits;
    if (!weir_digits_read(text, size, &digits))
        return WEIR_DECIMAL_SYNTAX;
    if (WEIR_LIKELY(!digits.cut && digits.mantissa - 1 < WEIR_MANTISSA_MAX
            && digits.exponent >= -WEIR_EXPONENT_MAX && digits.exponent <= WEIR_EXPONENT_MAX)) {
        uint64_t mantissa = digits.negative ? -digits.mantissa : digits.mantissa;
        *out = (struct weir_decimal){mantissa, (int8_t)digits.exponent, WEIR_VALUE_DECIMAL};
        return WEIR_DECIMAL_OK;
    }
    return convert(text, size, &digits, out);
}

enum weir_decimal_result
weir_uint_read(const uint8_t *text, size_t size, uint64_t *out)
{
    const uint8_t *end = text + size;
    uint64_t value = 0;
    if (size == 0)
        return WEIR_DECIMAL_SYNTAX;
    if (read_digits(text, end, &value) != end)
        return WEIR_DECIMAL_SYNTAX;
    while (size > DIGITS_MAX && *text == '0') {
        text++;
        size--;
    }
    if (size > DIGITS_MAX) { /* 20 digits may fit, and value may have wrapped */
        uint64_t upper = 0;
        read_digits(text, text + DIGITS_MAX, &upper);
        if (size > DIGITS_MAX + 1 || __builtin_mul_overflow(upper, 10, &value)
            || __builtin_add_overflow(value, (uint64_t)(text[DIGITS_MAX] - '0'), &value))
            return WEIR_DECIMAL_RANGE;
    }
    *out = value;
    return WEIR_DECIMAL_OK;
}

enum weir_decimal_result
weir_int_read(const uint8_t *text, size_t size, int64_t *out)
{
    bool negative = size > 0 && *text == '-';
    uint64_t magnitude;
    enum weir_decimal_result result = weir_uint_read(text + negative, size - negative, &magnitude);
    if (result != WEIR_DECIMAL_OK)
        return result;
    if (magnitude > (uint64_t)INT64_MAX + negative)
        return WEIR_DECIMAL_RANGE;
    *out = (int64_t)(negative ? -magnitude : magnitude);
    return WEIR_DECIMAL_OK;
}

bool
weir_decimal_from_int(int64_t value, struct weir_decimal *out)
{
    *out = (struct weir_decimal){(uint64_t)value, 0, WEIR_VALUE_DECIMAL};
    if (value >= -WEIR_MANTISSA_MAX && value <= WEIR_MANTISSA_MAX)
        return false;
    weir_decimal_from_double((double)value, out);
    return true;
}

bool
weir_decimal_from_uint(uint64_t value, struct weir_decimal *out)
{
    *out = (struct weir_decimal){value, 0, WEIR_VALUE_DECIMAL};
    if (value <= WEIR_MANTISSA_MAX)
        return false;
    weir_decimal_from_double((double)value, out);
    return true;
}

void
weir_decimal_from_double(double value, struct weir_decimal *out)
{
    *out = (struct weir_decimal){weir_double_bits(value), 0, WEIR_VALUE_DOUBLE};
}
