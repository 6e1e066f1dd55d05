#include "model/sample.h"
#include "storage/part/codec.h"

uint8_t *
weir_constant_encode(uint64_t value, unsigned kind, uint8_t *out)
{
    *out++ = (uint8_t)kind;
    if (kind == WEIR_VALUE_DECIMAL)
        return weir_varint_put_signed(out, value);
    memcpy(out, &value, sizeof value);
    return out + sizeof value;
}

bool
weir_constant_decode(struct weir_bytes *bytes, uint64_t *value, unsigned *kind)
{
    const uint8_t *head = weir_bytes_get(bytes, 1);
    if (head == NULL || head[0] > WEIR_VALUE_DOUBLE)
        return false;
    *kind = head[0];
    if (*kind == WEIR_VALUE_DECIMAL) {
        *value = weir_varint_get_signed(bytes);
        return !bytes->bad;
    }
    const uint8_t *bits = weir_bytes_get(bytes, sizeof *value);
    if (bits == NULL)
        return false;
    memcpy(value, bits, sizeof *value);
    return true;
}
