/* decimal: numbers as senders write them, to what a sample keeps.
 *
 * Threads: any; no state
 * Memory:  none
 * Errors:  enum weir_decimal_result; a refused token is no failure of ours and leaves no detail
 * Limits:  functions read up to 8 bytes after text + size; their content means nothing
 *
 * Digits are taken eight at a time from one 64-bit word. Values are bit-exact with strtod: a
 * decimal is kept where mantissa and exponent give the double back by one rounding
 * (model/sample.h); all others go through a 128-bit product with a power of five (Lemire, "Number
 * Parsing at a Gigabyte per Second", Software: Practice and Experience 51, 2021), and what that
 * cannot decide through strtod.
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_COMMON_DECIMAL_H
#define WEIR_DATAPLANE_PROTOCOL_COMMON_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum weir_decimal_result {
    WEIR_DECIMAL_OK,
    WEIR_DECIMAL_SYNTAX, /* no number of this grammar */
    WEIR_DECIMAL_RANGE,  /* a number past the type's range */
};

/* A number as written: mantissa x 10^exponent, its sign kept apart. */
struct weir_digits {
    uint64_t mantissa; /* the first 19 significant digits */
    int32_t exponent;
    bool negative;
    bool cut; /* digits other than 0 follow after the mantissa's */
};

/* As struct weir_sample keeps it. */
struct weir_decimal {
    uint64_t value;  /* mantissa (int64) or bits of the double, by kind */
    int8_t exponent; /* 0 where kind is WEIR_VALUE_DOUBLE */
    uint8_t kind;    /* enum weir_value_kind */
};

/* Reads all of text as  [+-] digits [. digits] [(e|E) [+-] digits]  with at least one digit in
 * front of the exponent. False where it is none. */
bool weir_digits_read(const uint8_t *text, size_t size, struct weir_digits *out);

/* The same grammar, to a sample's value. On WEIR_DECIMAL_RANGE out holds the infinity. Values
 * too small for a double are 0, as in IEEE 754. */
enum weir_decimal_result weir_decimal_read(const uint8_t *text, size_t size,
    struct weir_decimal *out);

/* Reads all of text as  [-] digits  within int64, or  digits  within uint64. */
enum weir_decimal_result weir_int_read(const uint8_t *text, size_t size, int64_t *out);
enum weir_decimal_result weir_uint_read(const uint8_t *text, size_t size, uint64_t *out);

/* An integer as a sample keeps it; true where it is past 2^53 and is the nearest double. */
bool weir_decimal_from_int(int64_t value, struct weir_decimal *out);
bool weir_decimal_from_uint(uint64_t value, struct weir_decimal *out);
void weir_decimal_from_double(double value, struct weir_decimal *out);

#endif
