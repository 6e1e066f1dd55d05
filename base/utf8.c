#include "base/utf8.h"

#include <string.h>

/* Size of the sequence that lead begins, and the bounds of its second byte, which keep out
 * overlong forms, surrogates and what lies past U+10FFFF. 0 where lead begins none. */
static size_t
sequence_size(uint8_t lead, uint8_t *second_min, uint8_t *second_max)
{
    *second_min = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    *second_max = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

bool
weir_utf8_valid(const uint8_t *text, size_t size)
{
    size_t at = 0;
    uint64_t word;
    for (; size - at >= sizeof word; at += sizeof word) { /* ASCII, mostly */
        memcpy(&word, text + at, sizeof word);
        if ((word & UINT64_C(0x8080808080808080)) != 0)
            break;
    }
    while (at < size) {
        if (text[at] < 0x80) {
            at++;
            continue;
        }
        uint8_t min, max;
        size_t bytes = sequence_size(text[at], &min, &max);
        if (bytes == 0 || bytes > size - at || text[at + 1] < min || text[at + 1] > max)
            return false;
        for (size_t i = 2; i < bytes; i++)
            if ((text[at + i] & 0xc0) != 0x80)
                return false;
        at += bytes;
    }
    return true;
}
