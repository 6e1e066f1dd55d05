/* digits: numbers as text of a fixed width. */
#ifndef WEIR_BENCH_LOAD_DIGITS_H
#define WEIR_BENCH_LOAD_DIGITS_H

#include <stdint.h>

/* Decimal digits of value, right-aligned before end, with leading zeros. */
void weir_bench_put_digits(uint8_t *end, uint64_t value, unsigned count);

#endif
