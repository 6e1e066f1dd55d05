/* double_text: doubles as the shortest decimals that read back the same.
 *
 * Source:  R. Giulietti, "The Schubfach way to render doubles" (2020); short decimals are found by
 *          trying, before it
 * Threads: any; no state
 * Errors:  none
 *
 * Of the decimals with the fewest digits that read back to the double, the nearest one is printed,
 * as Go's strconv does for precision -1.
 */
#ifndef WEIR_BASE_DOUBLE_TEXT_H
#define WEIR_BASE_DOUBLE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* digits * 10^exponent; digits is 0, or does not end in 0. */
struct weir_decimal_digits {
    uint64_t digits; /* below 10^17 */
    int32_t exponent;
};

/* value is finite and not negative. */
struct weir_decimal_digits weir_double_digits(double value);

/* Where a number is written with an exponent of at least two digits. */
enum weir_double_form {
    WEIR_DOUBLE_PLAIN,   /* never: Go's 'f' */
    WEIR_DOUBLE_JSON,    /* below 1e-6 and from 1e21 on: values in Prometheus's answers */
    WEIR_DOUBLE_GENERAL, /* below 1e-4 and from 1e6 on: Go's %g and %v */
    WEIR_DOUBLE_C, /* below 1e-4, and from 1e15 on or its count of digits: C's %.15g to %.17g */
};

/* Longest: -2.2250738585072014e-308 as plain digits. */
#define WEIR_DOUBLE_PLAIN_MAX 352
/* The same unless plain. */
#define WEIR_DOUBLE_JSON_MAX 32

/* Also NaN, +Inf, -Inf and -0; no zero at the end. Returns the length. */
size_t weir_double_text(double value, enum weir_double_form form, char *out);

#endif
