#include "storage/part/chunk.h"

#include "model/sample.h"
#include "storage/part/codec.h"

_Static_assert(WEIR_CHUNK_SLACK >= WEIR_BITS_SLACK, "what a decoder may read");
_Static_assert(WEIR_CHUNK_ROOM(1) == WEIR_BITS_ROOM(1), "rooms are the same");
_Static_assert(WEIR_CODEC_COUNT <= 16, "a block's codec set has a bit for each");

/* Doubles among decimals are stored beside them, up to one in so many. */
#define PATCHES_IN 8
/* Power that takes a mantissa from one exponent to a lower one without leaving 2^53. */
#define STEP_MAX 15

struct weir_chunk_encoder {
    struct weir_packed_scratch packed;
    uint64_t column[WEIR_CHUNK_SAMPLES_MAX];  /* mantissas of one exponent */
    uint64_t doubles[WEIR_CHUNK_SAMPLES_MAX]; /* bits */
    uint16_t patches[WEIR_CHUNK_SAMPLES_MAX]; /* places of doubles among decimals */
    uint8_t own[WEIR_CHUNK_REST_MAX];
    uint8_t other[WEIR_CHUNK_REST_MAX];
    uint8_t *room; /* of the chunk at hand */
};

/* A column of decimals under one exponent. */
struct scaled {
    const uint64_t *column;
    int exponent;
    uint32_t patches; /* samples that are doubles, by place in encoder->patches */
};

size_t
weir_chunk_encoder_footprint(void)
{
    return (sizeof(struct weir_chunk_encoder) + 63) & ~(size_t)63;
}

struct weir_chunk_encoder *
weir_chunk_encoder_init(void *memory)
{
    return memory;
}

static const int64_t powers[STEP_MAX + 1] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000,
    100000000, 1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000,
    100000000000000, 1000000000000000};

/* mantissa * 10^steps; false where that leaves the mantissas of model/sample.h. */
static bool
rescale(int64_t mantissa, int steps, uint64_t *out)
{
    if (steps > STEP_MAX)
        return mantissa == 0 && (*out = 0, true);
    int64_t most = WEIR_MANTISSA_MAX / powers[steps];
    if (mantissa < -most || mantissa > most)
        return false;
    *out = (uint64_t)(mantissa * powers[steps]);
    return true;
}

/* Whether all are decimals of one exponent, which is the rule. */
static bool
is_uniform(const struct weir_chunk_values *values)
{
    unsigned kinds = 0, differences = 0;
    for (uint32_t i = 0; i < values->count; i++) {
        kinds |= values->kinds[i];
        differences |= (unsigned)(values->exponents[i] ^ values->exponents[0]);
    }
    return kinds == WEIR_VALUE_DECIMAL && differences == 0;
}

static void
to_doubles(const struct weir_chunk_values *values, bool uniform, uint64_t *doubles)
{
    if (uniform) {
        memcpy(doubles, values->values, values->count * sizeof *doubles);
        weir_bits()->to_doubles(values->exponents[0], values->count, doubles);
        return;
    }
    for (uint32_t i = 0; i < values->count; i++) {
        bool is_double = values->kinds[i] == WEIR_VALUE_DOUBLE;
        doubles[i] = is_double ? values->values[i]
                               : weir_double_bits(weir_decimal_double(
                                     (int64_t)values->values[i], values->exponents[i]));
    }
}

void
weir_chunk_doubles(const struct weir_chunk_values *values, double *doubles)
{
    to_doubles(values, is_uniform(values), (uint64_t *)(void *)doubles);
}

/* The lowest exponent of the decimals; 0 without any. */
static int
lowest_exponent(const struct weir_chunk_values *values, uint32_t *decimals)
{
    int lowest = WEIR_EXPONENT_MAX;
    *decimals = 0;
    for (uint32_t i = 0; i < values->count; i++) {
        if (values->kinds[i] == WEIR_VALUE_DOUBLE || values->values[i] == 0)
            continue;
        lowest = values->exponents[i] < lowest ? values->exponents[i] : lowest;
        (*decimals)++;
    }
    return *decimals > 0 ? lowest : 0;
}

/* Brings all under one exponent; those that cannot be become patches. False where they are too
 * many. encoder->doubles is filled. */
static bool
scale(
    struct weir_chunk_encoder *encoder, const struct weir_chunk_values *values, struct scaled *out)
{
    uint32_t decimals;
    int exponent = lowest_exponent(values, &decimals);
    if (decimals < values->count - values->count / PATCHES_IN) {
        int found;
        if (!weir_alp_exponent(encoder->doubles, values->count, exponent, &found))
            return false;
        exponent = found;
    }
    *out = (struct scaled){encoder->column, exponent, 0};
    uint64_t before = 0;
    for (uint32_t i = 0; i < values->count; i++) {
        int64_t mantissa = (int64_t)values->values[i];
        bool fits = values->kinds[i] == WEIR_VALUE_DECIMAL
            ? values->exponents[i] >= exponent &&
                rescale(mantissa, values->exponents[i] - exponent, &before)
            : weir_alp_mantissa(encoder->doubles[i], exponent, &mantissa) &&
                (before = (uint64_t)mantissa, true);
        if (!fits)
            encoder->patches[out->patches++] = (uint16_t)i;
        /* a patch repeats the mantissa before it: no difference */
        encoder->column[i] = before;
    }
    return out->patches <= values->count / PATCHES_IN;
}

static unsigned
zeros_of(int64_t mantissa, unsigned most)
{
    while (most > 0 && mantissa % powers[most] != 0)
        most--;
    return most;
}

/* Decimal zeros at the end of all mantissas: a sender that writes 12.000000 has six. Three samples
 * say whether it is worth looking. */
static unsigned
common_zeros(const uint64_t *column, uint32_t count, int exponent)
{
    unsigned zeros = WEIR_EXPONENT_MAX - exponent < STEP_MAX
        ? (unsigned)(WEIR_EXPONENT_MAX - exponent)
        : STEP_MAX;
    unsigned most = zeros;
    zeros = zeros_of((int64_t)column[0], zeros);
    zeros = zeros_of((int64_t)column[count / 2], zeros);
    zeros = zeros_of((int64_t)column[count - 1], zeros);
    for (uint32_t i = 0; i < count && zeros > 0; i++)
        zeros = zeros_of((int64_t)column[i], zeros);
    return zeros < most ? zeros : 0; /* else all are 0 */
}

static void
strip_zeros(struct weir_chunk_encoder *encoder, uint32_t count, struct scaled *scaled)
{
    unsigned zeros = common_zeros(scaled->column, count, scaled->exponent);
    if (zeros == 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        encoder->column[i] = (uint64_t)((int64_t)scaled->column[i] / powers[zeros]);
    scaled->column = encoder->column;
    scaled->exponent += (int)zeros;
}

static bool
is_constant(const uint64_t *column, uint32_t count)
{
    uint64_t differences = 0;
    for (uint32_t i = 1; i < count; i++)
        differences |= column[i] ^ column[0];
    return differences == 0;
}

static uint8_t *
put_patches(const struct weir_chunk_encoder *encoder, uint32_t patches, uint8_t *out)
{
    memcpy(out, encoder->patches, patches * sizeof *encoder->patches);
    out += patches * sizeof *encoder->patches;
    for (uint32_t i = 0; i < patches; i++, out += sizeof *encoder->doubles)
        memcpy(out, &encoder->doubles[encoder->patches[i]], sizeof *encoder->doubles);
    return out;
}

static void
encode_xor(struct weir_chunk_encoder *encoder, uint32_t count, struct weir_chunk *out)
{
    bool constant = is_constant(encoder->doubles, count);
    out->codec = constant ? WEIR_CODEC_CONSTANT : WEIR_CODEC_XOR;
    out->exponent = 0;
    uint8_t *end = constant
        ? weir_constant_encode(encoder->doubles[0], WEIR_VALUE_DOUBLE, encoder->room)
        : weir_xor_encode(encoder->doubles, count, encoder->room);
    out->rest_size = (uint32_t)(end - encoder->room);
}

static void
encode_scaled(struct weir_chunk_encoder *encoder, uint32_t count, const struct scaled *scaled,
    enum weir_effort effort, struct weir_chunk *out)
{
    out->exponent = (int8_t)scaled->exponent;
    uint8_t *at = encoder->room;
    if (scaled->patches == 0 && is_constant(scaled->column, count)) {
        out->codec = WEIR_CODEC_CONSTANT;
        at = weir_constant_encode(scaled->column[0], WEIR_VALUE_DECIMAL, at);
        out->rest_size = (uint32_t)(at - encoder->room);
        return;
    }
    out->codec = WEIR_CODEC_PACKED;
    at = weir_varint_put(at, scaled->patches);
    if (effort == WEIR_EFFORT_FAST) {
        at = weir_packed_encode_fast(&encoder->packed, scaled->column, count, at);
    } else {
        struct weir_packed_plan plan;
        weir_packed_plan_best(&encoder->packed, scaled->column, count, true, &plan);
        at = weir_packed_encode(&encoder->packed, scaled->column, count, &plan, at);
        if (plan.packing.split) {
            out->codec = WEIR_CODEC_SPLIT;
            out->front = encoder->packed.front;
        }
    }
    at = put_patches(encoder, scaled->patches, at);
    out->rest_size = (uint32_t)(at - encoder->room);
}

/* Where mantissas are as wide as doubles the exclusive or may be smaller. */
static void
try_xor(struct weir_chunk_encoder *encoder, const struct weir_chunk_values *values, bool uniform,
    struct weir_chunk *out)
{
    if (out->codec == WEIR_CODEC_CONSTANT || out->rest_size <= values->count * 4)
        return;
    if (uniform)
        to_doubles(values, true, encoder->doubles);
    uint8_t *end = weir_xor_encode(encoder->doubles, values->count, encoder->other);
    uint32_t front = weir_chunk_front_size(out->codec, values->count);
    if ((size_t)(end - encoder->other) >= out->rest_size + front)
        return;
    out->codec = WEIR_CODEC_XOR;
    out->exponent = 0;
    out->rest_size = (uint32_t)(end - encoder->other);
    memcpy(encoder->room, encoder->other, out->rest_size);
}

void
weir_chunk_encode(struct weir_chunk_encoder *encoder, const struct weir_chunk_values *values,
    enum weir_effort effort, uint8_t *room, struct weir_chunk *out)
{
    encoder->room = room != NULL ? room : encoder->own;
    WEIR_ASSERT(values->count > 0 && values->count <= WEIR_CHUNK_SAMPLES_MAX);
    *out = (struct weir_chunk){.rest = encoder->room, .count = values->count};
    struct scaled scaled = {values->values, values->exponents[0], 0};
    bool uniform = is_uniform(values);
    if (!uniform) {
        to_doubles(values, false, encoder->doubles);
        if (!scale(encoder, values, &scaled)) {
            encode_xor(encoder, values->count, out);
            return;
        }
    }
    if (effort == WEIR_EFFORT_BEST)
        strip_zeros(encoder, values->count, &scaled);
    encode_scaled(encoder, values->count, &scaled, effort, out);
    if (effort == WEIR_EFFORT_BEST)
        try_xor(encoder, values, uniform, out);
}

/* A chunk's column before it becomes doubles. */
struct decoded {
    unsigned kind; /* of all but the patches */
    uint32_t patches;
    const uint8_t *places; /* u16 each */
    const uint8_t *bits;   /* u64 each */
};

static bool
decode_scaled(
    const struct weir_chunk *chunk, struct weir_bytes *bytes, uint64_t *column, struct decoded *out)
{
    uint64_t patches = weir_varint_get(bytes);
    const uint8_t *front = chunk->codec == WEIR_CODEC_SPLIT ? chunk->front : NULL;
    if (patches > chunk->count || !weir_packed_decode(bytes, front, chunk->count, column))
        return false;
    out->kind = WEIR_VALUE_DECIMAL;
    out->patches = (uint32_t)patches;
    out->places = weir_bytes_get(bytes, patches * sizeof(uint16_t));
    out->bits = weir_bytes_get(bytes, patches * sizeof(uint64_t));
    for (uint32_t i = 0; i < out->patches && !bytes->bad; i++) {
        uint16_t place;
        memcpy(&place, out->places + i * sizeof place, sizeof place);
        if (place >= chunk->count)
            return false;
    }
    return !bytes->bad;
}

static bool
decode_column(const struct weir_chunk *chunk, uint64_t *column, struct decoded *out)
{
    struct weir_bytes bytes = {chunk->rest, chunk->rest + chunk->rest_size, false};
    *out = (struct decoded){.kind = WEIR_VALUE_DOUBLE};
    if (chunk->count == 0 || chunk->count > WEIR_CHUNK_SAMPLES_MAX ||
        chunk->exponent < -WEIR_EXPONENT_MAX || chunk->exponent > WEIR_EXPONENT_MAX)
        return false;
    switch (chunk->codec) {
    case WEIR_CODEC_CONSTANT: {
        uint64_t value;
        if (!weir_constant_decode(&bytes, &value, &out->kind))
            return false;
        for (size_t i = 0; i < WEIR_CHUNK_ROOM(chunk->count); i++)
            column[i] = value;
        break;
    }
    case WEIR_CODEC_PACKED:
    case WEIR_CODEC_SPLIT:
        if (!decode_scaled(chunk, &bytes, column, out))
            return false;
        break;
    case WEIR_CODEC_XOR:
        if (!weir_xor_decode(&bytes, chunk->count, column))
            return false;
        break;
    default:
        return false;
    }
    return bytes.at == bytes.end && (out->kind == WEIR_VALUE_DECIMAL || chunk->exponent == 0);
}

static void
apply_patches(const struct decoded *decoded, uint64_t *column, uint8_t *kinds, int8_t *exponents)
{
    for (uint32_t i = 0; i < decoded->patches; i++) {
        uint16_t place;
        memcpy(&place, decoded->places + i * sizeof place, sizeof place);
        memcpy(&column[place], decoded->bits + i * sizeof *column, sizeof *column);
        if (kinds != NULL) {
            kinds[place] = WEIR_VALUE_DOUBLE;
            exponents[place] = 0;
        }
    }
}

bool
weir_chunk_decode(const struct weir_chunk *chunk, double *values)
{
    _Static_assert(sizeof(double) == sizeof(uint64_t), "a column becomes doubles in place");
    uint64_t *column = (uint64_t *)(void *)values;
    struct decoded decoded;
    if (!decode_column(chunk, column, &decoded))
        return false;
    if (decoded.kind == WEIR_VALUE_DECIMAL)
        weir_bits()->to_doubles(chunk->exponent, chunk->count, column);
    apply_patches(&decoded, column, NULL, NULL);
    return true;
}

bool
weir_chunk_decode_decimals(
    const struct weir_chunk *chunk, uint64_t *values, int8_t *exponents, uint8_t *kinds)
{
    struct decoded decoded;
    if (!decode_column(chunk, values, &decoded))
        return false;
    memset(exponents, chunk->exponent, chunk->count);
    memset(kinds, (int)decoded.kind, chunk->count);
    apply_patches(&decoded, values, kinds, exponents);
    return true;
}
