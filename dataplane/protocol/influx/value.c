#include "dataplane/protocol/influx/fast.h"

#include "base/assert.h"

bool
weir_influx_fast_value(const uint8_t *text, size_t size, uint32_t *rounded,
    struct weir_decimal *out)
{
    uint8_t first = text[0], last = text[size - 1];
    if (WEIR_UNLIKELY(last == 'i')) {
        int64_t integer;
        if (weir_int_read(text, size - 1, &integer) != WEIR_DECIMAL_OK)
            return false;
        *rounded += weir_decimal_from_int(integer, out);
        return true;
    }
    if (WEIR_LIKELY((uint8_t)(first - '0') <= 9 || first == '-' || first == '.'))
        return last != 'u' && weir_decimal_read(text, size, out) == WEIR_DECIMAL_OK;
    return false;
}
