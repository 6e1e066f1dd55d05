#include "tests/fuzz/twin_block.h"

#include "base/cpu.h"
#include "storage/frame/block.h"
#include "storage/frame/columns.h"

#include <stdlib.h>

/* Little-endian bytes from the front; `bad` once they run out. */
struct source {
    const uint8_t *at;
    size_t left;
    bool bad;
};

static uint64_t
read_bytes(struct source *source, unsigned bytes)
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

struct fields {
    uint64_t samples, series_width, time_width, exponent_bits, exponent_min, exceptions;
    uint64_t value_bytes, reserved, series_first, series_step, time_min;
};

static bool
read_header(struct source *in, struct fields *out)
{
    out->samples = read_bytes(in, 2);
    out->series_width = read_bytes(in, 1);
    out->time_width = read_bytes(in, 1);
    out->exponent_bits = read_bytes(in, 1);
    out->exponent_min = read_bytes(in, 1);
    out->exceptions = read_bytes(in, 2);
    out->value_bytes = read_bytes(in, 4);
    out->reserved = read_bytes(in, 4);
    out->series_first = read_bytes(in, 8);
    out->series_step = read_bytes(in, 8);
    out->time_min = read_bytes(in, 8);
    if (in->bad || out->samples == 0 || out->samples > 2048 || out->series_width > 5)
        return false;
    if (out->time_width > 8 || out->reserved != 0)
        return false;
    if (out->exponent_bits != 0 && out->exponent_bits != 4 && out->exponent_bits != 8)
        return false;
    if (out->exceptions > 0 && (out->series_width != 1 || out->exceptions > out->samples))
        return false;
    return out->series_first < WEIR_SERIES_LIMIT && out->series_step < WEIR_SERIES_LIMIT;
}

static bool
read_series(struct source *in, const struct fields *fields, uint64_t *series)
{
    uint64_t escaped = 0;
    for (uint64_t i = 0; i < fields->samples; i++) {
        series[i] = read_bytes(in, (unsigned)fields->series_width);
        escaped += fields->series_width == 1 && series[i] == 255;
    }
    if (escaped != fields->exceptions)
        return false;
    for (uint64_t i = 0; i < fields->samples; i++)
        if (fields->series_width == 1 && series[i] == 255)
            series[i] = read_bytes(in, 5);
    /* the first sample's delta counts from what would have been before it */
    uint64_t before = fields->series_first;
    for (uint64_t i = 0; i < fields->samples; i++) {
        if (i == 0 && series[0] != 0)
            return false;
        before += i == 0 ? 0 : fields->series_step + series[i];
        series[i] = before;
        if (before >= WEIR_SERIES_LIMIT)
            return false;
    }
    return true;
}

static bool
read_times(struct source *in, const struct fields *fields, int64_t *times, int64_t *last)
{
    uint64_t widest = 0;
    for (uint64_t i = 0; i < fields->samples; i++) {
        uint64_t above = read_bytes(in, (unsigned)fields->time_width);
        times[i] = (int64_t)(fields->time_min + above);
        widest = above > widest ? above : widest;
    }
    *last = (int64_t)(fields->time_min + widest);
    return widest <= (uint64_t)INT64_MAX - fields->time_min;
}

static unsigned
nibble(const uint8_t *bytes, uint64_t i)
{
    return i % 2 == 0 ? bytes[i / 2] & 15u : bytes[i / 2] >> 4;
}

static bool
read_values(struct source *in, const struct fields *fields, const int *exponents,
    struct weir_sample *samples)
{
    uint8_t controls[1024];
    for (uint64_t i = 0; i < (fields->samples + 1) / 2; i++)
        controls[i] = (uint8_t)read_bytes(in, 1);
    size_t before = in->left;
    for (uint64_t i = 0; i < fields->samples && !in->bad; i++) {
        unsigned control = nibble(controls, i);
        if (control > 8 && control != 15)
            return false;
        uint64_t value = read_bytes(in, control == 15 ? 8 : control);
        int64_t mantissa = (value & 1) ? -(int64_t)(value / 2) - 1 : (int64_t)(value / 2);
        if (control == 15 && exponents[i] != 0)
            return false;
        if (control != 15 && (abs(exponents[i]) > 22 || mantissa > WEIR_MANTISSA_MAX ||
                                 mantissa < -WEIR_MANTISSA_MAX))
            return false;
        samples[i].key = weir_sample_key(samples[i].key,
            control == 15 ? WEIR_VALUE_DOUBLE : WEIR_VALUE_DECIMAL, exponents[i]);
        samples[i].value = control == 15 ? value : (uint64_t)mantissa;
    }
    return !in->bad && before - in->left == fields->value_bytes && in->left == WEIR_BLOCK_PAD;
}

bool
twin_block_decode(const uint8_t *block, size_t bytes, struct weir_frame_block *entry,
    struct weir_sample *samples)
{
    struct source in = {block, bytes, false};
    struct fields fields;
    uint64_t series[2048];
    int64_t times[2048];
    int exponents[2048];
    int64_t time_max;
    if (!read_header(&in, &fields) || !read_series(&in, &fields, series) ||
        !read_times(&in, &fields, times, &time_max))
        return false;
    uint8_t packed[2048];
    uint64_t packed_bytes = (fields.samples * fields.exponent_bits + 7) / 8;
    for (uint64_t i = 0; i < packed_bytes; i++)
        packed[i] = (uint8_t)read_bytes(&in, 1);
    for (uint64_t i = 0; i < fields.samples; i++) {
        unsigned above = fields.exponent_bits == 0   ? 0
                         : fields.exponent_bits == 4 ? nibble(packed, i)
                                                     : packed[i];
        exponents[i] = (int8_t)(uint8_t)(fields.exponent_min + above);
        samples[i].key = series[i];
        samples[i].time_ms = times[i];
    }
    if (!read_values(&in, &fields, exponents, samples))
        return false;
    *entry = (struct weir_frame_block){.series_first = series[0],
        .series_last = series[fields.samples - 1],
        .bytes = (uint32_t)bytes,
        .samples = (uint32_t)fields.samples,
        .time_min_ms = (int64_t)fields.time_min,
        .time_max_ms = time_max};
    return true;
}

/* Does a variant of the column decoder say what the decoder of samples said? */
static bool
columns_agree(const struct weir_columns_variant *variant, const uint8_t *block, size_t bytes,
    const struct weir_frame_block *entry, const struct weir_sample *samples)
{
    static struct weir_columns columns;
    static double doubles[WEIR_COLUMNS_SAMPLES];
    if (variant->decode(block, bytes, entry, &columns) != (samples != NULL))
        return false;
    if (samples == NULL)
        return true;
    if (columns.count != entry->samples)
        return false;
    variant->doubles(&columns, doubles);
    for (uint32_t i = 0; i < columns.count; i++) {
        uint64_t key = weir_sample_key(
            columns.series[i], (enum weir_value_kind)columns.kinds[i], columns.exponents[i]);
        if (key != samples[i].key || columns.times_ms[i] != samples[i].time_ms ||
            columns.values[i] != samples[i].value ||
            weir_double_bits(doubles[i]) != weir_double_bits(weir_sample_double(&samples[i])))
            return false;
    }
    return true;
}

static bool
series_agree(const uint8_t *block, size_t bytes, const struct weir_frame_block *entry,
    const struct weir_sample *samples)
{
    static uint64_t series[WEIR_COLUMNS_SAMPLES];
    bool taken = weir_block_series(block, bytes, entry, series);
    for (uint32_t i = 0; samples != NULL && taken && i < entry->samples; i++)
        taken = series[i] == weir_sample_series(&samples[i]);
    return taken || samples == NULL;
}

static bool
all_columns_agree(const uint8_t *block, size_t bytes, const struct weir_frame_block *entry,
    const struct weir_sample *samples)
{
    for (size_t i = 0; i < weir_columns_variant_count(); i++)
        if (weir_cpu_has(weir_columns_variants[i].needs) &&
            !columns_agree(&weir_columns_variants[i], block, bytes, entry, samples))
            return false;
    return series_agree(block, bytes, entry, samples);
}

bool
twin_block_agrees(const uint8_t *block, size_t bytes)
{
    static struct weir_sample slow[WEIR_BLOCK_SAMPLES];
    static struct weir_sample fast[WEIR_BLOCK_SAMPLES];
    struct weir_frame_block entry = {0};
    bool valid = twin_block_decode(block, bytes, &entry, slow);
    if (!valid) {
        /* an entry as a hostile index would have it: what the block says of itself */
        struct weir_block_header header = {0};
        memcpy(&header, block, bytes < sizeof header ? bytes : sizeof header);
        entry = (struct weir_frame_block){.series_first = header.series_first,
            .series_last = header.series_first,
            .bytes = (uint32_t)bytes,
            .samples = header.samples,
            .time_min_ms = header.time_min_ms,
            .time_max_ms = header.time_min_ms};
    }
    if (weir_block_decode(block, bytes, &entry, fast) != valid)
        return false;
    if (!all_columns_agree(block, bytes, &entry, valid ? slow : NULL))
        return false;
    if (!valid)
        return true;
    if (memcmp(slow, fast, entry.samples * sizeof *slow) != 0)
        return false;
    entry.time_max_ms++;
    return !weir_block_decode(block, bytes, &entry, fast) &&
        all_columns_agree(block, bytes, &entry, NULL);
}
