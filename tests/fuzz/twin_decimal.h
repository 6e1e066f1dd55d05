/* twin_decimal: weir_decimal_read against strtod. */
#ifndef WEIR_TESTS_FUZZ_TWIN_DECIMAL_H
#define WEIR_TESTS_FUZZ_TWIN_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True where the text is refused by both, or gives the same bits; where a decimal is possible it
 * must have been kept. Says on standard error where they differ. */
bool twin_decimal_agrees(const uint8_t *text, size_t size);

#endif
