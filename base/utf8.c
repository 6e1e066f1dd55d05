#include "base/utf8.h"

#include <string.h>

/* Size of the sequence that lead begins, and the bounds of its second byte: they exclude overlong
 * forms, surrogates and code points past U+10FFFF. 0 if lead begins none. */
static size_t
sequence_size(uint8_t lead, uint8_t *second_min, uint8_t *second_max)
{
    *second_min = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    *second_max = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

size_t
weir_utf8_next(const uint8_t *bytes, size_t size, uint32_t *code)
{
    uint8_t min, max;
    *code = bytes[0];
    if (bytes[0] < 0x80)
        return 1;
    size_t length = sequence_size(bytes[0], &min, &max);
    if (length == 0 || length > size || bytes[1] < min || bytes[1] > max)
        return 0;
    *code &= 0x7fu >> length;
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (bytes[i] & 0x3f);
    }
    return length;
}

bool
weir_utf8_valid(const uint8_t *text, size_t size)
{
    size_t at = 0;
    uint64_t word;
    uint32_t code;
    for (; size - at >= sizeof word; at += sizeof word) { /* ASCII, mostly */
        memcpy(&word, text + at, sizeof word);
        if ((word & UINT64_C(0x8080808080808080)) != 0)
            break;
    }
    while (at < size) {
        size_t length = weir_utf8_next(text + at, size - at, &code);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}
