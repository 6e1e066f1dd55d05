#include "base/double_text.h"

#include "base/assert.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define FRACTION_BITS 52
#define EXPONENT_BIAS 1075 /* of the significand as a whole number */
#define INTEGERS_EXACT 9007199254740992.0 /* 2^53 */
/* Decimals of up to so many places are tried first: most values of metrics have fewer. */
#define PLACES_TRIED 6
/* A decimal of 15 digits is the only one of its length that reads back to its double. */
#define DIGITS_UNIQUE 1e15
#define POWER_MIN (-292) /* of the table */

struct power {
    uint64_t high, low;
};

/* Made at build time by powers_of_ten.py. */
static const struct power powers[] = {
#include "base/powers_of_ten.h"
};

/* floor(log10(2^e)), floor(log10(3/4 * 2^e)) and floor(log2(10^e)); exact for |e| <= 1233, 1233 and
 * 1650 (test_double_text.c compares them with whole numbers). */
static int
log10_of_power2(int e)
{
    return e * 1262611 >> 22;
}

static int
log10_of_three_quarters(int e)
{
    return (e * 1262611 - 524031) >> 22;
}

static int
log2_of_power10(int e)
{
    return e * 1741647 >> 19;
}

/* The upper 64 bits of power * factor / 2^64, the lowest one set where anything but zero was cut
 * off. The power is rounded up, so a cut-off part of 1 is a zero. */
static uint64_t
multiply_sticky(const struct power *power, uint64_t factor)
{
    unsigned __int128 low = (unsigned __int128)power->low * factor;
    unsigned __int128 high = (unsigned __int128)power->high * factor + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* A double c * 2^q lies between its neighbours' middles. All three, times 4 * 10^-k, with the
 * lowest bit sticky: candidates are whole multiples of 4. */
struct interval {
    uint64_t value, lower, upper;
    int k;
};

static struct interval
find_interval(uint64_t c, int q, bool near_lower)
{
    int k = near_lower ? log10_of_three_quarters(q) : log10_of_power2(q);
    int shift = q + log2_of_power10(-k) + 1;
    const struct power *power = &powers[-k - POWER_MIN];
    uint64_t odd = c & 1; /* the middles read back to an even significand alone */
    return (struct interval){multiply_sticky(power, 4 * c << shift),
        multiply_sticky(power, (4 * c - 2 + near_lower) << shift) + odd,
        multiply_sticky(power, (4 * c + 2) << shift) - odd, k};
}

/* The shortest decimal in the interval, and of those of one length the nearest to the value. */
static struct weir_decimal_digits
choose(const struct interval *interval)
{
    uint64_t whole = interval->value / 4, tens = whole / 10;
    if (whole >= 10) { /* is there one of a digit less? At most one multiple of 10 lies inside. */
        bool below = interval->lower <= 40 * tens;
        bool above = 40 * tens + 40 <= interval->upper;
        if (below != above)
            return (struct weir_decimal_digits){tens + above, interval->k + 1};
    }
    bool below = interval->lower <= 4 * whole;
    bool above = 4 * whole + 4 <= interval->upper;
    if (below != above)
        return (struct weir_decimal_digits){whole + above, interval->k};
    uint64_t middle = 4 * whole + 2;
    bool up = interval->value > middle || (interval->value == middle && (whole & 1) != 0);
    return (struct weir_decimal_digits){whole + up, interval->k};
}

static struct weir_decimal_digits
strip_zeros(struct weir_decimal_digits decimal)
{
    while (decimal.digits % 10 == 0 && decimal.digits != 0) {
        decimal.digits /= 10;
        decimal.exponent++;
    }
    return decimal;
}

static bool
find_short(double value, struct weir_decimal_digits *out)
{
    static const double tens[PLACES_TRIED + 1] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
    for (int places = 1; places <= PLACES_TRIED; places++) {
        double scaled = value * tens[places];
        if (scaled >= DIGITS_UNIQUE)
            return false;
        uint64_t digits = (uint64_t)(scaled + 0.5);
        if ((double)digits / tens[places] != value)
            continue;
        *out = (struct weir_decimal_digits){digits, -places};
        return true;
    }
    return false;
}

struct weir_decimal_digits
weir_double_digits(double value)
{
    struct weir_decimal_digits decimal;
    uint64_t bits;
    WEIR_DCHECK(isfinite(value) && !signbit(value));
    if (value < INTEGERS_EXACT && value == (double)(uint64_t)value)
        return strip_zeros((struct weir_decimal_digits){(uint64_t)value, 0});
    if (find_short(value, &decimal))
        return decimal;
    memcpy(&bits, &value, sizeof bits);
    uint64_t fraction = bits & ((UINT64_C(1) << FRACTION_BITS) - 1);
    int exponent = (int)(bits >> FRACTION_BITS);
    bool normal = exponent != 0;
    uint64_t c = normal ? fraction | UINT64_C(1) << FRACTION_BITS : fraction;
    /* below a power of two doubles are twice as close */
    bool near_lower = fraction == 0 && exponent > 1;
    int q = (normal ? exponent : 1) - EXPONENT_BIAS;
    struct interval interval = find_interval(c, q, near_lower);
    return strip_zeros(choose(&interval));
}

static const char pairs[] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546"
    "4748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293"
    "949596979899";

static unsigned
count_digits(uint64_t value)
{
    static const uint64_t tens[] = {0, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000,
        1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000,
        1000000000000000, 10000000000000000, 100000000000000000};
    /* 1233 / 4096 is log10(2) from above */
    unsigned guess = (unsigned)(64 - __builtin_clzll(value | 1)) * 1233 >> 12;
    return guess + (value >= tens[guess]);
}

/* Writes count digits; zeros in front where value has fewer. */
static void
put_digits(char *out, uint64_t value, unsigned count)
{
    char *at = out + count;
    while (at - out >= 2) {
        at -= 2;
        memcpy(at, pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (at > out)
        *out = (char)('0' + value);
}

/* d.ddde+XX */
static size_t
put_exponent(char *out, uint64_t digits, unsigned count, int exponent)
{
    char *at = out;
    put_digits(at + 1, digits, count);
    at[0] = at[1];
    at[1] = '.';
    at += count > 1 ? count + 1 : 1;
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    unsigned size = (unsigned)(exponent < 0 ? -exponent : exponent);
    unsigned width = size < 100 ? 2 : 3;
    put_digits(at, size, width);
    return (size_t)(at + width - out);
}

static size_t
put_plain(char *out, uint64_t digits, unsigned count, int exponent)
{
    int point = (int)count + exponent; /* digits before it */
    if (exponent >= 0) {
        put_digits(out, digits, count);
        memset(out + count, '0', (size_t)exponent);
        return (size_t)point;
    }
    if (point > 0) {
        put_digits(out + 1, digits, count);
        memmove(out, out + 1, (size_t)point);
        out[point] = '.';
        return count + 1;
    }
    memset(out, '0', (size_t)(2 - point));
    out[1] = '.';
    put_digits(out + 2 - point, digits, count);
    return count + 2 + (size_t)-point;
}

/* Decimal exponents from which on, and below which, a form has an exponent. */
static const struct {
    int low, high;
} forms[] = {
    [WEIR_DOUBLE_PLAIN] = {-1000, 1000},
    [WEIR_DOUBLE_JSON] = {-6, 21},
    [WEIR_DOUBLE_GENERAL] = {-4, 6},
    [WEIR_DOUBLE_C] = {-4, 15},
};

static size_t
put_special(double value, char *out)
{
    const char *text = isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
    size_t size = strlen(text);
    memcpy(out, text, size);
    return size;
}

size_t
weir_double_text(double value, enum weir_double_form form, char *out)
{
    char *at = out;
    if (!isfinite(value))
        return put_special(value, out);
    if (signbit(value))
        *at++ = '-';
    struct weir_decimal_digits decimal = weir_double_digits(fabs(value));
    unsigned count = decimal.digits == 0 ? 1 : count_digits(decimal.digits);
    int exponent = (int)count - 1 + decimal.exponent;
    int high = forms[form].high;
    if (form == WEIR_DOUBLE_C && (int)count > high)
        high = (int)count;
    bool plain = decimal.digits == 0 || (exponent >= forms[form].low && exponent < high);
    return (size_t)(at - out) +
        (plain ? put_plain(at, decimal.digits, count, decimal.exponent)
               : put_exponent(at, decimal.digits, count, exponent));
}
