/* utf8: are these bytes well-formed UTF-8 (Unicode 15, table 3-7)? */
#ifndef WEIR_BASE_UTF8_H
#define WEIR_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool weir_utf8_valid(const uint8_t *text, size_t size);

#endif
