#include "storage/part/codec.h"

/* Doubles that share a width and a shift: few, because the bits in use change from one to the next;
 * Gorilla (Pelkonen et al., VLDB 2015) has them a double, which a vector cannot follow. */
#define GROUP 32
#define GROUP_HEAD 2

struct group {
    unsigned shift; /* zero bits at the low end of all */
    unsigned width; /* bits above them */
};

static struct group
group_of(const uint64_t *words, uint32_t count)
{
    uint64_t all = 0;
    for (uint32_t i = 0; i < count; i++)
        all |= words[i];
    if (all == 0)
        return (struct group){0, 0};
    unsigned shift = (unsigned)__builtin_ctzll(all);
    unsigned width = weir_bits_width(all >> shift);
    return width == 64 ? (struct group){0, 64} : (struct group){shift, width};
}

uint8_t *
weir_xor_encode(const uint64_t *doubles, uint32_t count, uint8_t *out)
{
    uint8_t *heads = out + sizeof *doubles;
    memcpy(out, &doubles[0], sizeof *doubles);
    out = heads + (size_t)GROUP_HEAD * ((count + GROUP - 1) / GROUP);
    uint64_t before = doubles[0];
    for (uint32_t i = 0; i < count; i += GROUP, heads += GROUP_HEAD) {
        uint64_t words[GROUP];
        uint32_t size = count - i < GROUP ? count - i : GROUP;
        for (uint32_t k = 0; k < size; k++) {
            words[k] = doubles[i + k] ^ before;
            before = doubles[i + k];
        }
        struct group group = group_of(words, size);
        heads[0] = (uint8_t)group.shift;
        heads[1] = (uint8_t)group.width;
        for (uint32_t k = 0; k < size; k++)
            words[k] >>= group.shift;
        out = weir_bits_pack(words, group.width, 0, size, out);
    }
    return out;
}

bool
weir_xor_decode(struct weir_bytes *bytes, uint32_t count, uint64_t *doubles)
{
    const struct weir_bits_variant *bits = weir_bits();
    const uint8_t *first = weir_bytes_get(bytes, sizeof *doubles);
    const uint8_t *heads =
        weir_bytes_get(bytes, (size_t)GROUP_HEAD * ((count + GROUP - 1) / GROUP));
    if (first == NULL || heads == NULL)
        return false;
    for (uint32_t i = 0; i < count; i += GROUP, heads += GROUP_HEAD) {
        uint32_t size = count - i < GROUP ? count - i : GROUP;
        unsigned shift = heads[0], width = heads[1];
        if (!weir_bits_width_valid(width) || shift > 63 || shift + width > 64)
            return false;
        const uint8_t *packed = weir_bytes_get(bytes, weir_bits_bytes(width, size));
        if (packed == NULL)
            return false;
        bits->unpack(packed, width, 0, size, doubles + i);
        for (uint32_t k = 0; k < GROUP && shift > 0 && k < size; k++)
            doubles[i + k] <<= shift;
    }
    uint64_t start;
    memcpy(&start, first, sizeof start);
    bits->sum_xor(start, count, doubles);
    return true;
}
