#include "storage/part/codec.h"

#define FORM_TRANSFORM 3
#define FORM_EXCEPTIONS 4
/* Integers of a split column below the front's byte. */
#define SPLIT_WIDTH_MAX (WEIR_BITS_WIDTH_MAX - 8)

struct weir_packed_starts
weir_packed_residuals(enum weir_transform transform, uint64_t slope, const uint64_t *column,
    uint32_t count, uint64_t *residuals)
{
    switch (transform) {
    case WEIR_TRANSFORM_NONE:
        memcpy(residuals, column, count * sizeof *column);
        return (struct weir_packed_starts){0, 0};
    case WEIR_TRANSFORM_DELTA:
        for (uint32_t i = 1; i < count; i++)
            residuals[i] = column[i] - column[i - 1];
        residuals[0] = count > 1 ? residuals[1] : 0;
        return (struct weir_packed_starts){column[0] - residuals[0], 0};
    case WEIR_TRANSFORM_DELTA2:
        for (uint32_t i = 2; i < count; i++)
            residuals[i] = column[i] - 2 * column[i - 1] + column[i - 2];
        uint64_t second = count > 2 ? residuals[2] : 0;
        uint64_t delta = (count > 1 ? column[1] - column[0] : 0) - 2 * second;
        residuals[0] = second;
        if (count > 1)
            residuals[1] = second;
        return (struct weir_packed_starts){column[0] - delta - second, delta};
    default:
        for (uint32_t i = 0; i < count; i++)
            residuals[i] = column[i] - i * slope;
        return (struct weir_packed_starts){0, 0};
    }
}

uint64_t
weir_packed_slope(const uint64_t *column, uint32_t count)
{
    if (count < 2)
        return 0;
    int64_t rise = (int64_t)(column[count - 1] - column[0]), steps = count - 1;
    return (uint64_t)((rise + (rise < 0 ? -steps : steps) / 2) / steps);
}

uint8_t *
weir_packed_encode(struct weir_packed_scratch *scratch, const uint64_t *column, uint32_t count,
    const struct weir_packed_plan *plan, uint8_t *out)
{
    const struct weir_packing *packing = &plan->packing;
    uint64_t *residuals = scratch->residuals[0];
    struct weir_packed_starts starts =
        weir_packed_residuals(plan->transform, plan->slope, column, count, residuals);
    unsigned width = packing->width - (packing->split ? 8 : 0);
    *out++ = (uint8_t)(plan->transform | (packing->exceptions > 0 ? FORM_EXCEPTIONS : 0));
    *out++ = (uint8_t)width;
    out = weir_varint_put_signed(out, packing->base);
    if (plan->transform == WEIR_TRANSFORM_DELTA || plan->transform == WEIR_TRANSFORM_DELTA2)
        out = weir_varint_put_signed(out, starts.value);
    if (plan->transform == WEIR_TRANSFORM_DELTA2)
        out = weir_varint_put_signed(out, starts.delta);
    if (plan->transform == WEIR_TRANSFORM_LINE)
        out = weir_varint_put_signed(out, plan->slope);
    /* the exceptions' places and residuals lie in the second column until the rest is written */
    uint64_t *exceptions = scratch->residuals[1];
    uint32_t found = 0;
    uint64_t most = packing->width == 64 ? UINT64_MAX : (UINT64_C(1) << packing->width) - 1;
    for (uint32_t i = 0; i < count && packing->exceptions > 0; i++) {
        if (residuals[i] - packing->base <= most)
            continue;
        exceptions[found++] = i;
        exceptions[found++] = residuals[i] - packing->base;
        residuals[i] = packing->base;
    }
    if (packing->exceptions > 0)
        out = weir_varint_put(out, found / 2);
    if (packing->split)
        weir_bits()->split(packing->base, width, count, residuals, scratch->front);
    out = weir_bits_pack(residuals, width, packing->split ? 0 : packing->base, count, out);
    for (uint32_t i = 0; i < found; i += 2) {
        uint16_t place = (uint16_t)exceptions[i];
        memcpy(out, &place, sizeof place);
        out += sizeof place;
    }
    for (uint32_t i = 0; i < found; i += 2)
        out = weir_varint_put_signed(out, exceptions[i + 1]);
    return out;
}

static bool
patch(
    struct weir_bytes *bytes, uint64_t exceptions, uint64_t base, uint32_t count, uint64_t *column)
{
    const uint8_t *places = weir_bytes_get(bytes, exceptions * sizeof(uint16_t));
    if (places == NULL)
        return false;
    for (uint64_t i = 0; i < exceptions; i++) {
        uint16_t place;
        memcpy(&place, places + i * sizeof place, sizeof place);
        uint64_t above = weir_varint_get_signed(bytes);
        if (place >= count)
            return false;
        column[place] = base + above;
    }
    return !bytes->bad;
}

bool
weir_packed_decode(struct weir_bytes *bytes, const uint8_t *front, uint32_t count, uint64_t *column)
{
    const struct weir_bits_variant *bits = weir_bits();
    const uint8_t *head = weir_bytes_get(bytes, 2);
    if (head == NULL || head[0] > (FORM_TRANSFORM | FORM_EXCEPTIONS))
        return false;
    unsigned form = head[0] & FORM_TRANSFORM, width = head[1];
    if (!weir_bits_width_valid(width) || (front != NULL && width > SPLIT_WIDTH_MAX))
        return false;
    uint64_t base = weir_varint_get_signed(bytes);
    uint64_t start = form == WEIR_TRANSFORM_NONE ? 0 : weir_varint_get_signed(bytes);
    uint64_t delta = form == WEIR_TRANSFORM_DELTA2 ? weir_varint_get_signed(bytes) : 0;
    uint64_t exceptions = head[0] & FORM_EXCEPTIONS ? weir_varint_get(bytes) : 0;
    const uint8_t *packed = weir_bytes_get(bytes, weir_bits_bytes(width, count));
    if (packed == NULL || exceptions > count)
        return false;
    bits->unpack(packed, width, base, count, column);
    if (front != NULL)
        bits->add_bytes(front, width, count, column);
    if (exceptions > 0 && !patch(bytes, exceptions, base, count, column))
        return false;
    if (form == WEIR_TRANSFORM_LINE)
        bits->add_line(start, count, column);
    if (form == WEIR_TRANSFORM_DELTA2)
        bits->sum(delta, count, column);
    if (form == WEIR_TRANSFORM_DELTA || form == WEIR_TRANSFORM_DELTA2)
        bits->sum(start, count, column);
    return true;
}
