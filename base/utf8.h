/* utf8: well-formed UTF-8 (RFC 3629, section 4; Unicode 15, table 3-7). */
#ifndef WEIR_BASE_UTF8_H
#define WEIR_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The sequence at bytes, which are at least one. Returns its length and its code point; 0 if there
 * is none. */
size_t weir_utf8_next(const uint8_t *bytes, size_t size, uint32_t *code);

/* Whether all of text is UTF-8. */
bool weir_utf8_valid(const uint8_t *text, size_t size);

#endif
