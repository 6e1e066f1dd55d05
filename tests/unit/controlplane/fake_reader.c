#include "tests/unit/controlplane/fake_reader.h"

#include <stdlib.h>
#include <string.h>

#define SERIES_MAX 1024
#define SAMPLES_MAX 65536

struct weir_reader {
    weir_reader_check_fn *check;
    void *context;
    uint64_t skipped;
};

static struct {
    uint8_t *labels;
    size_t size;
} series[SERIES_MAX];
static size_t series_count;
static struct {
    uint64_t series;
    int64_t time_ms;
    double value;
} samples[SAMPLES_MAX];
static size_t sample_count;
static _Atomic int failure;
static uint64_t damaged_blocks, damaged_gaps;

_Atomic bool fake_endless;
_Atomic int fake_scans_running;

void
fake_reset(void)
{
    for (size_t i = 0; i < series_count; i++)
        free(series[i].labels);
    series_count = 0;
    sample_count = 0;
    fake_endless = false;
    failure = WEIR_OK;
    damaged_blocks = damaged_gaps = 0;
}

static uint64_t
define(struct weir_label *labels, size_t count)
{
    uint8_t encoded[WEIR_LABELS_BYTES_MAX];
    size_t size;
    if (series_count == SERIES_MAX || weir_labels_encode(labels, count, encoded, &size) != WEIR_OK)
        abort();
    series[series_count].labels = malloc(size + 1);
    series[series_count].size = size;
    memcpy(series[series_count].labels, encoded, size);
    return series_count++;
}

uint64_t
fake_series(const char *text)
{
    struct weir_label labels[WEIR_LABELS_COUNT_MAX];
    size_t count = 0;
    while (*text != '\0') {
        const char *equals = strchr(text, '=');
        const char *end = strchrnul(equals, ',');
        labels[count++] = (struct weir_label){(const uint8_t *)text, (const uint8_t *)equals + 1,
            (uint16_t)(equals - text), (uint16_t)(end - equals - 1)};
        text = *end == ',' ? end + 1 : end;
    }
    return define(labels, count);
}

uint64_t
fake_series_value(const char *metric, const char *name, const char *value, size_t size)
{
    struct weir_label labels[2] = {
        {(const uint8_t *)WEIR_NAME_LABEL, (const uint8_t *)metric, 8, (uint16_t)strlen(metric)},
        {(const uint8_t *)name, (const uint8_t *)value, (uint16_t)strlen(name), (uint16_t)size}};
    return define(labels, 2);
}

void
fake_sample(uint64_t number, int64_t time_ms, double value)
{
    if (sample_count == SAMPLES_MAX)
        abort();
    samples[sample_count].series = number;
    samples[sample_count].time_ms = time_ms;
    samples[sample_count++].value = value;
}

void
fake_damage(uint64_t blocks, uint64_t gaps)
{
    damaged_blocks = blocks;
    damaged_gaps = gaps;
}

void
fake_fail(enum weir_err err)
{
    failure = (int)err;
}

enum weir_err
fake_open(void *context, struct weir_reader **out)
{
    (void)context;
    return weir_reader_open("", NULL, out);
}

enum weir_err
weir_reader_open(const char *directory, struct weir_shared *shared, struct weir_reader **out)
{
    (void)directory;
    (void)shared;
    if (failure != WEIR_OK)
        return weir_fail((enum weir_err)failure, 0, "fake failure");
    *out = calloc(1, sizeof **out);
    return *out != NULL ? WEIR_OK : WEIR_NOMEM;
}

void
weir_reader_close(struct weir_reader *reader)
{
    free(reader);
}

enum weir_err
weir_reader_refresh(struct weir_reader *reader)
{
    (void)reader;
    return failure == WEIR_OK ? WEIR_OK
                              : weir_fail((enum weir_err)failure, 0, "fake failure");
}

uint64_t
weir_reader_series_count(const struct weir_reader *reader)
{
    (void)reader;
    return series_count;
}

uint64_t
weir_reader_frames(const struct weir_reader *reader)
{
    (void)reader;
    return 0;
}

uint64_t
weir_reader_durable_offset(const struct weir_reader *reader)
{
    (void)reader;
    return sample_count;
}

uint64_t
weir_reader_blocks_corrupt(const struct weir_reader *reader)
{
    return reader->skipped + damaged_gaps;
}

uint64_t
weir_reader_gaps(const struct weir_reader *reader)
{
    (void)reader;
    return damaged_gaps;
}

void
weir_reader_labels(const struct weir_reader *reader, uint64_t number, const uint8_t **labels,
    size_t *size)
{
    (void)reader;
    *labels = series[number].labels;
    *size = series[number].size;
}

static bool
meets(size_t number, const struct weir_match *match)
{
    struct weir_label label = {0};
    bool found = weir_labels_find(series[number].labels, series[number].size, match->name, &label);
    size_t size = found ? label.value_size : 0;
    bool equal = size == match->value_size &&
        (size == 0 || memcmp(label.value, match->value, size) == 0);
    return equal == (match->kind == WEIR_MATCH_EQUAL);
}

enum weir_err
weir_reader_select(struct weir_reader *reader, const struct weir_match *matches, size_t count,
    uint64_t **numbers, size_t *number_count)
{
    (void)reader;
    *number_count = 0;
    *numbers = calloc(series_count + 1, sizeof **numbers);
    if (*numbers == NULL)
        return weir_fail(WEIR_NOMEM, 0, "fake selection");
    for (size_t i = 0; i < series_count; i++) {
        bool all = true;
        for (size_t k = 0; k < count; k++)
            all &= meets(i, &matches[k]);
        if (all)
            (*numbers)[(*number_count)++] = i;
    }
    return WEIR_OK;
}

void
weir_reader_set_check(struct weir_reader *reader, weir_reader_check_fn *check, void *context)
{
    reader->check = check;
    reader->context = context;
}

static enum weir_err
scan_once(const uint64_t *numbers, size_t number_count, int64_t from_ms, int64_t to_ms,
    weir_reader_sample_fn *call, void *context)
{
    enum weir_err err = WEIR_OK;
    for (size_t i = 0; err == WEIR_OK && i < sample_count; i++) {
        if (samples[i].time_ms < from_ms || samples[i].time_ms >= to_ms)
            continue;
        if (numbers == NULL) /* all */
            err = call(context, samples[i].series, samples[i].time_ms, samples[i].value);
        for (size_t k = 0; numbers != NULL && err == WEIR_OK && k < number_count; k++)
            if (numbers[k] == samples[i].series)
                err = call(context, k, samples[i].time_ms, samples[i].value);
    }
    return err;
}

enum weir_err
weir_reader_scan(struct weir_reader *reader, const uint64_t *numbers, size_t number_count,
    int64_t from_ms, int64_t to_ms, weir_reader_sample_fn *call, void *context)
{
    enum weir_err err;
    fake_scans_running++;
    reader->skipped += damaged_blocks;
    do {
        err = reader->check != NULL ? reader->check(reader->context) : WEIR_OK;
        if (err == WEIR_OK)
            err = scan_once(numbers, number_count, from_ms, to_ms, call, context);
    } while (err == WEIR_OK && fake_endless);
    fake_scans_running--;
    return err;
}
