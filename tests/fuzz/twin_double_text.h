/* twin_double_text: the slow and obvious way to print a double: all lengths are tried. */
#ifndef WEIR_TESTS_FUZZ_TWIN_DOUBLE_TEXT_H
#define WEIR_TESTS_FUZZ_TWIN_DOUBLE_TEXT_H

#include <stdbool.h>

/* Whether text is value, finite, in the fewest digits that read back to it, and the nearest such
 * decimal. Prints why not. */
bool twin_double_text_agrees(double value, const char *text);

#endif
