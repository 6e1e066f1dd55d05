#include "tests/fuzz/twin_part.h"

#include "base/crc.h"
#include "model/sample.h"
#include "storage/part/block.h"

#include <stdlib.h>
#include <zstd.h>

/* Bytes from the front; `bad` once they run out or say what cannot be. */
struct source {
    const uint8_t *at;
    size_t left;
    bool bad;
};

static uint64_t
read_fixed(struct source *source, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        if (source->left == 0) {
            source->bad = true;
            return 0;
        }
        value |= (uint64_t)*source->at++ << 8 * i;
        source->left--;
    }
    return value;
}

static uint64_t
read_varint(struct source *source)
{
    unsigned __int128 value = 0;
    for (unsigned i = 0; i < 10; i++) {
        uint64_t byte = read_fixed(source, 1);
        if (source->bad)
            return 0;
        value |= (unsigned __int128)(byte % 128) << 7 * i;
        if (value >> 64 != 0)
            break;
        if (byte < 128)
            return (uint64_t)value;
    }
    source->bad = true;
    return 0;
}

static uint64_t
read_signed(struct source *source)
{
    uint64_t zigzag = read_varint(source);
    return zigzag % 2 == 0 ? zigzag / 2 : ~(zigzag / 2);
}

static bool
width_valid(uint64_t width)
{
    return width <= 57 || width == 64;
}

/* Reads n integers of `width` bits, one bit after the other. */
static void
read_packed(struct source *source, uint64_t width, uint32_t n, uint64_t *out)
{
    const uint8_t *bytes = source->at;
    size_t size = (size_t)(width * n + 7) / 8;
    if (source->left < size) {
        source->bad = true;
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        out[i] = 0;
        for (uint64_t bit = 0; bit < width; bit++) {
            uint64_t at = i * width + bit;
            out[i] |= (uint64_t)(bytes[at / 8] >> at % 8 & 1) << bit;
        }
    }
    source->at += size;
    source->left -= size;
}

static void
read_exceptions(
    struct source *source, uint64_t exceptions, uint64_t base, uint32_t n, uint64_t *out)
{
    uint16_t places[WEIR_CHUNK_SAMPLES_MAX];
    for (uint64_t i = 0; i < exceptions; i++)
        places[i] = (uint16_t)read_fixed(source, 2);
    for (uint64_t i = 0; i < exceptions && !source->bad; i++) {
        if (places[i] >= n)
            source->bad = true;
        else
            out[places[i]] = base + read_signed(source);
    }
}

static void
undo_transform(unsigned transform, uint64_t start, uint64_t delta, uint32_t n, uint64_t *out)
{
    for (uint32_t i = 0; i < n; i++) {
        switch (transform) {
        case 1:
            out[i] = start += out[i];
            break;
        case 2:
            delta += out[i];
            out[i] = start += delta;
            break;
        case 3:
            out[i] += i * start;
            break;
        }
    }
}

static void
read_column(struct source *source, const uint8_t *front, uint32_t n, uint64_t *out)
{
    uint64_t form = read_fixed(source, 1), width = read_fixed(source, 1);
    if (form > 7 || !width_valid(width) || (front != NULL && width > 49)) {
        source->bad = true;
        return;
    }
    unsigned transform = form % 4;
    uint64_t base = read_signed(source);
    uint64_t start = transform != 0 ? read_signed(source) : 0;
    uint64_t delta = transform == 2 ? read_signed(source) : 0;
    uint64_t exceptions = form >= 4 ? read_varint(source) : 0;
    if (source->bad || exceptions > n) {
        source->bad = true;
        return;
    }
    read_packed(source, width, n, out);
    for (uint32_t i = 0; i < n && !source->bad; i++)
        out[i] = base + out[i] + (front != NULL ? (uint64_t)front[i] << width : 0);
    read_exceptions(source, exceptions, base, n, out);
    if (!source->bad)
        undo_transform(transform, start, delta, n, out);
}

struct column {
    uint64_t values[WEIR_CHUNK_SAMPLES_MAX];
    int8_t exponents[WEIR_CHUNK_SAMPLES_MAX];
    uint8_t kinds[WEIR_CHUNK_SAMPLES_MAX];
};

static void
set_all(struct column *out, uint32_t n, int exponent, unsigned kind)
{
    for (uint32_t i = 0; i < n; i++) {
        out->exponents[i] = (int8_t)exponent;
        out->kinds[i] = (uint8_t)kind;
    }
}

static void
read_constant(struct source *source, const struct weir_chunk *chunk, struct column *out)
{
    uint64_t kind = read_fixed(source, 1);
    uint64_t value = kind == 0 ? read_signed(source) : read_fixed(source, 8);
    if (kind > 1 || (kind == 1 && chunk->exponent != 0))
        source->bad = true;
    for (uint32_t i = 0; i < chunk->count; i++)
        out->values[i] = value;
    set_all(out, chunk->count, chunk->exponent, (unsigned)kind);
}

static void
read_decimals(struct source *source, const struct weir_chunk *chunk, struct column *out)
{
    uint64_t patches = read_varint(source);
    if (source->bad || patches > chunk->count) {
        source->bad = true;
        return;
    }
    read_column(
        source, chunk->codec == WEIR_CODEC_SPLIT ? chunk->front : NULL, chunk->count, out->values);
    set_all(out, chunk->count, chunk->exponent, WEIR_VALUE_DECIMAL);
    uint16_t places[WEIR_CHUNK_SAMPLES_MAX];
    for (uint64_t i = 0; i < patches; i++) {
        places[i] = (uint16_t)read_fixed(source, 2);
        if (places[i] >= chunk->count)
            source->bad = true;
    }
    for (uint64_t i = 0; i < patches && !source->bad; i++) {
        out->values[places[i]] = read_fixed(source, 8);
        out->exponents[places[i]] = 0;
        out->kinds[places[i]] = WEIR_VALUE_DOUBLE;
    }
}

static void
read_xor(struct source *source, const struct weir_chunk *chunk, struct column *out)
{
    uint32_t groups = (chunk->count + 31) / 32;
    uint8_t heads[WEIR_CHUNK_SAMPLES_MAX / 32][2];
    uint64_t before = read_fixed(source, 8);
    for (uint32_t g = 0; g < groups; g++) {
        heads[g][0] = (uint8_t)read_fixed(source, 1);
        heads[g][1] = (uint8_t)read_fixed(source, 1);
    }
    for (uint32_t g = 0; g < groups && !source->bad; g++) {
        uint32_t n = chunk->count - g * 32 < 32 ? chunk->count - g * 32 : 32;
        unsigned shift = heads[g][0], width = heads[g][1];
        if (!width_valid(width) || shift > 63 || shift + width > 64) {
            source->bad = true;
            return;
        }
        read_packed(source, width, n, out->values + g * 32);
        for (uint32_t i = g * 32; i < g * 32 + n && !source->bad; i++)
            out->values[i] = before ^= out->values[i] << shift;
    }
    if (chunk->exponent != 0)
        source->bad = true;
    set_all(out, chunk->count, 0, WEIR_VALUE_DOUBLE);
}

static bool
read_chunk(const struct weir_chunk *chunk, struct column *out)
{
    struct source source = {chunk->rest, chunk->rest_size, false};
    if (chunk->count == 0 || chunk->count > 4096 || chunk->exponent < -22 || chunk->exponent > 22)
        return false;
    if (chunk->codec == WEIR_CODEC_CONSTANT)
        read_constant(&source, chunk, out);
    else if (chunk->codec == WEIR_CODEC_PACKED || chunk->codec == WEIR_CODEC_SPLIT)
        read_decimals(&source, chunk, out);
    else if (chunk->codec == WEIR_CODEC_XOR)
        read_xor(&source, chunk, out);
    else
        return false;
    return !source.bad && source.left == 0;
}

/* Memory of its own size and slack, so that a sanitizer sees a read after them. */
static uint8_t *
with_slack(const uint8_t *bytes, size_t size)
{
    static uint8_t fill;
    uint8_t *copy = malloc(size + WEIR_CHUNK_SLACK);
    memset(copy, fill += 0x5b, size + WEIR_CHUNK_SLACK);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

static uint64_t
bits_of(const struct column *column, uint32_t i)
{
    if (column->kinds[i] == WEIR_VALUE_DOUBLE)
        return column->values[i];
    return weir_double_bits(weir_decimal_double((int64_t)column->values[i], column->exponents[i]));
}

static bool
columns_equal(const struct column *a, const struct column *b, uint32_t count)
{
    return memcmp(a->values, b->values, count * sizeof *a->values) == 0 &&
        memcmp(a->exponents, b->exponents, count) == 0 && memcmp(a->kinds, b->kinds, count) == 0;
}

bool
twin_chunk_agrees(const struct weir_chunk *chunk)
{
    static struct column twin, column;
    static double doubles[WEIR_CHUNK_SAMPLES_MAX];
    uint32_t front = chunk->count > WEIR_CHUNK_SAMPLES_MAX
        ? 0
        : weir_chunk_front_size(chunk->codec, chunk->count);
    struct weir_chunk copy = *chunk;
    uint8_t *front_bytes = with_slack(chunk->front, front);
    uint8_t *rest_bytes = with_slack(chunk->rest, chunk->rest_size);
    copy.front = front_bytes;
    copy.rest = rest_bytes;
    bool expected = read_chunk(&copy, &twin);
    bool agrees = weir_chunk_decode(&copy, doubles) == expected &&
        weir_chunk_decode_decimals(&copy, column.values, column.exponents, column.kinds) ==
            expected;
    if (agrees && expected) {
        agrees = columns_equal(&column, &twin, chunk->count);
        for (uint32_t i = 0; i < chunk->count; i++)
            agrees &= weir_double_bits(doubles[i]) == bits_of(&twin, i);
    }
    free(front_bytes);
    free(rest_bytes);
    return agrees;
}

bool
twin_times_agree(
    const uint8_t *rest, size_t rest_size, const uint8_t *front, size_t front_size, uint32_t count)
{
    static uint64_t twin[WEIR_CHUNK_SAMPLES_MAX];
    static int64_t times_ms[WEIR_CHUNK_SAMPLES_MAX];
    uint8_t *rest_bytes = with_slack(rest, rest_size);
    uint8_t *front_bytes = with_slack(front, front_size);
    struct source source = {rest_bytes, rest_size, false};
    uint64_t head = read_varint(&source);
    bool split = head % 2 == 1;
    bool expected = !source.bad && head / 2 == count && (!split || front_size >= count);
    if (expected)
        read_column(&source, split ? front_bytes : NULL, count, twin);
    expected = expected && !source.bad;
    struct weir_bytes bytes = {rest_bytes, rest_bytes + rest_size, false};
    bool agrees = weir_times_decode(&bytes, front_bytes, front_size, count, times_ms) == expected;
    if (agrees && expected)
        agrees = memcmp(times_ms, twin, count * sizeof *times_ms) == 0 && bytes.at == source.at;
    free(rest_bytes);
    free(front_bytes);
    return agrees;
}

static double
read_double(struct source *source)
{
    return weir_bits_double(read_fixed(source, 8));
}

/* The decimal of from + or - a varint, or a double. */
static double
read_from(struct source *source, bool decimal, uint64_t from, int sign, int exponent)
{
    if (!decimal)
        return read_double(source);
    uint64_t distance = read_varint(source);
    return weir_decimal_double((int64_t)(sign > 0 ? from + distance : from - distance), exponent);
}

static uint32_t
read_count(struct source *source, bool there, uint32_t count)
{
    uint64_t value = there ? read_varint(source) : 0;
    if (there && (value == 0 || value > count))
        source->bad = true;
    return (uint32_t)value;
}

static void
read_statistics(struct source *source, int exponent, uint32_t count, struct weir_statistics *out)
{
    uint64_t form = read_fixed(source, 1), least = 0;
    bool decimal = form & 1;
    if (form > 127 || (!decimal && (form & 14) != 0)) {
        source->bad = true;
        return;
    }
    *out = (struct weir_statistics){.count = count};
    uint64_t range = 0;
    if (decimal) {
        least = read_signed(source);
        range = read_varint(source);
        out->min = weir_decimal_double((int64_t)least, exponent);
        out->max = weir_decimal_double((int64_t)(least + range), exponent);
    } else {
        out->min = read_double(source);
        out->max = read_double(source);
    }
    out->first = read_from(source, form & 2, least, 1, exponent);
    out->last = read_from(source, form & 4, least + range, -1, exponent);
    if (decimal && !(form & 8)) {
        uint64_t sum = read_signed(source) + count * least + count * range / 2,
                 off = read_signed(source);
        double near = weir_decimal_double((int64_t)sum, exponent);
        out->sum = weir_bits_double(weir_double_bits(near) + off);
    } else {
        out->sum = read_double(source);
    }
    out->nans = read_count(source, form & 16, count);
    out->stale_markers = read_count(source, form & 32, count);
    out->resets = read_count(source, form & 64, count);
}

static bool
entry_valid(const struct weir_part_footer *footer, uint32_t value_blocks,
    uint64_t columns[10][WEIR_PART_ENTRIES_MAX], uint32_t i)
{
    return columns[0][i] >= footer->shard_first && columns[0][i] <= footer->shard_last &&
        columns[1][i] < 1u << 20 && columns[2][i] >= 1 && columns[2][i] <= 4096 &&
        columns[3][i] < value_blocks && columns[4][i] <= 65488 && columns[5][i] < footer->columns &&
        columns[6][i] < 4 && columns[7][i] + 22 <= 44 && columns[8][i] == 0 && columns[9][i] == 0;
}

static bool
read_entries(struct source *source, uint32_t count, const struct weir_part_footer *footer,
    uint32_t value_blocks, struct weir_part_entry *entries)
{
    static uint64_t columns[10][WEIR_PART_ENTRIES_MAX];
    uint64_t flags = read_fixed(source, 1);
    uint64_t front_at = read_varint(source), rest_at = read_varint(source);
    if (source->bad || flags > 1 || front_at > 65488 || rest_at > 65488)
        return false;
    for (int i = 0; i < 10; i++)
        read_column(source, NULL, count, columns[i]);
    for (uint32_t i = 0; i < count && !source->bad; i++) {
        if (!entry_valid(footer, value_blocks, columns, i))
            return false;
        if (i > 0 && columns[3][i] != columns[3][i - 1])
            front_at = rest_at = 0;
        entries[i] = (struct weir_part_entry){.shard = (uint32_t)columns[0][i],
            .local = (uint32_t)columns[1][i],
            .count = (uint32_t)columns[2][i],
            .block = (uint32_t)columns[3][i],
            .front_at = (uint32_t)front_at,
            .rest_at = (uint32_t)rest_at,
            .rest_size = (uint32_t)columns[4][i],
            .column = (uint32_t)columns[5][i],
            .codec = (uint8_t)columns[6][i],
            .exponent = (int8_t)columns[7][i],
            .has_statistics = flags == 1};
        front_at += columns[6][i] == WEIR_CODEC_SPLIT ? columns[2][i] : 0;
        rest_at += columns[4][i];
        if (front_at + rest_at > 65488)
            return false;
        if (flags == 1)
            read_statistics(source, entries[i].exponent, entries[i].count, &entries[i].statistics);
    }
    return !source->bad && source->left == 0;
}

static bool
statistics_equal(const struct weir_statistics *a, const struct weir_statistics *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static bool
entries_equal(const struct weir_part_entry *a, const struct weir_part_entry *b)
{
    return a->shard == b->shard && a->local == b->local && a->block == b->block &&
        a->front_at == b->front_at && a->rest_at == b->rest_at && a->rest_size == b->rest_size &&
        a->count == b->count && a->column == b->column && a->codec == b->codec &&
        a->exponent == b->exponent && a->has_statistics == b->has_statistics &&
        (!a->has_statistics || statistics_equal(&a->statistics, &b->statistics));
}

bool
twin_directory_agrees(const uint8_t *rest, size_t rest_size,
    const struct weir_part_block_head *head, const struct weir_part_footer *footer,
    uint32_t value_blocks)
{
    static struct weir_part_entry twins[WEIR_PART_ENTRIES_MAX], entries[WEIR_PART_ENTRIES_MAX];
    static struct weir_directory_scratch scratch;
    uint8_t *bytes = with_slack(rest, rest_size);
    struct weir_block_view view = {*head, NULL, bytes};
    view.head.rest_raw = (uint16_t)rest_size;
    struct source source = {bytes, rest_size, false};
    uint32_t count = head->count;
    bool expected = count > 0 && count <= WEIR_PART_ENTRIES_MAX && head->front_raw == 0 &&
        read_entries(&source, count, footer, value_blocks, twins) &&
        twins[0].shard == head->shard && twins[0].local == head->first &&
        twins[count - 1].local == head->last;
    bool agrees = weir_directory_decode(&view, footer, value_blocks, &scratch, entries) == expected;
    for (uint32_t i = 0; agrees && expected && i < count; i++)
        agrees = entries_equal(&entries[i], &twins[i]);
    free(bytes);
    return agrees;
}

static uint32_t
crc_at(uint64_t file_id, uint64_t place, const uint8_t *bytes, size_t size)
{
    return weir_crc32c_portable(weir_part_place_crc(file_id, place), bytes, size);
}

static uint64_t
field(const uint8_t *bytes, size_t at, unsigned size)
{
    struct source source = {bytes + at, size, false};
    return read_fixed(&source, size);
}

static bool
footer_blocks_valid(const uint8_t *bytes, size_t size, uint64_t at)
{
    uint64_t end = 4096;
    for (uint64_t i = 0; i < field(bytes, 140, 4); i++) {
        const uint8_t *entry = bytes + 144 + i * 32;
        uint64_t block = field(entry, 4, 4), kind = field(entry, 28, 4);
        if (field(entry, 0, 4) * 8 != end || block % 8 != 0 || block < 48 || block > 65536)
            return false;
        if (kind < 1 || kind > 3 || field(entry, 24, 4) == 0)
            return false;
        end += block;
    }
    return at == end || at == end + size;
}

static enum weir_err
check_footer(const uint8_t *bytes, size_t size, uint64_t file_id, uint64_t at)
{
    if (size < 144 + 32)
        return WEIR_CORRUPT;
    const uint8_t *trailer = bytes + size - 32;
    if (memcmp(trailer, "WERT", 4) != 0 || field(trailer, 4, 4) != size ||
        field(trailer, 8, 8) != file_id || field(trailer, 16, 8) != at ||
        field(trailer, 24, 4) != 0 ||
        field(trailer, 28, 4) != crc_at(file_id, at / 8, bytes, size - 4))
        return WEIR_CORRUPT;
    if (memcmp(bytes, "WERT", 4) == 0 &&
        (field(bytes, 4, 2) > 1 || field(bytes, 6, 2) > 1 || field(bytes, 44, 4) > 15))
        return WEIR_UNSUPPORTED;
    bool valid = memcmp(bytes, "WERT", 4) == 0 && field(bytes, 8, 8) == file_id &&
        144 + field(bytes, 140, 4) * 32 + 32 == size && bytes[43] == 0 &&
        field(bytes, 32, 4) <= field(bytes, 36, 4) && field(bytes, 48, 8) <= field(bytes, 56, 8) &&
        (int64_t)field(bytes, 16, 8) < (int64_t)field(bytes, 24, 8) &&
        footer_blocks_valid(bytes, size, at);
    return valid ? WEIR_OK : WEIR_CORRUPT;
}

bool
twin_footer_agrees(const uint8_t *bytes, size_t size, uint64_t file_id, uint64_t at)
{
    uint8_t *copy = calloc(1, size > 0 ? size : 1);
    if (size > 0)
        memcpy(copy, bytes, size);
    bool agrees =
        weir_part_footer_check(copy, size, file_id, at) == check_footer(copy, size, file_id, at);
    free(copy);
    return agrees;
}

static bool
expand(const uint8_t *stored, size_t size, size_t raw, uint8_t *out)
{
    if (size == raw) {
        memcpy(out, stored, size);
        return true;
    }
    return ZSTD_decompress(out, WEIR_PART_BLOCK_MAX, stored, size) == raw;
}

static bool
open_block(const uint8_t *bytes, size_t size, uint64_t file_id, const struct weir_part_block *entry,
    uint8_t *front, uint8_t *rest)
{
    if (size < 48 || size > 65536 || memcmp(bytes, "WERB", 4) != 0 || bytes[5] != 1)
        return false;
    uint8_t *whole = malloc(size);
    memcpy(whole, bytes, 44);
    memcpy(whole + 44, bytes + 48, size - 48);
    uint32_t crc = crc_at(file_id, entry->place, whole, size - 4);
    free(whole);
    uint64_t front_raw = field(bytes, 8, 2), front_bytes = field(bytes, 10, 2);
    uint64_t rest_raw = field(bytes, 12, 2), rest_bytes = field(bytes, 14, 2);
    return field(bytes, 44, 4) == crc && entry->crc == crc && bytes[4] == entry->kind &&
        field(bytes, 16, 4) == entry->shard && field(bytes, 20, 4) == entry->first &&
        field(bytes, 24, 4) == entry->last && field(bytes, 28, 4) == entry->count &&
        field(bytes, 32, 8) == file_id && field(bytes, 40, 4) == entry->place &&
        48 + (front_bytes + rest_bytes + 7) / 8 * 8 == size && front_raw + rest_raw <= 65488 &&
        expand(bytes + 48, front_bytes, front_raw, front) &&
        expand(bytes + 48 + front_bytes, rest_bytes, rest_raw, rest);
}

bool
twin_block_opens_alike(
    const uint8_t *bytes, size_t size, uint64_t file_id, const struct weir_part_block *entry)
{
    static uint8_t front[WEIR_PART_BLOCK_MAX], rest[WEIR_PART_BLOCK_MAX];
    static struct weir_block_opener *opener;
    if (opener == NULL)
        opener = weir_block_opener_init(
            aligned_alloc(64, (weir_block_opener_footprint() + 63) & ~(size_t)63));
    uint8_t *copy = with_slack(bytes, size);
    struct weir_block_view view;
    bool expected = open_block(bytes, size, file_id, entry, front, rest);
    bool agrees = weir_block_open(opener, copy, file_id, entry, &view) == expected;
    if (agrees && expected)
        agrees = memcmp(view.front, front, view.head.front_raw) == 0 &&
            memcmp(view.rest, rest, view.head.rest_raw) == 0;
    free(copy);
    return agrees;
}
