/* part_fixture: a part of many shapes in a directory of the test's own, and the samples that it has
 * to give back. */
#ifndef WEIR_TESTS_UNIT_STORAGE_PART_PART_FIXTURE_H
#define WEIR_TESTS_UNIT_STORAGE_PART_PART_FIXTURE_H

#include "storage/part/part_reader.h"
#include "storage/part/part_writer.h"
#include "tests/unit/storage/part/chunk_fixture.h"
#include "tests/unit/storage/temp_dir.h"

#define PART_START INT64_C(1700006400000)
#define PART_END (PART_START + 7200000)
#define PART_FILE_ID UINT64_C(0x1122334455667788)
#define PART_SERIES_MAX 3000

/* Samples of one series, made from its number alone. */
struct series {
    uint32_t shard;
    uint32_t local;
    size_t count;
    int64_t *times_ms;
    uint64_t *values;
    int8_t *exponents;
    uint8_t *kinds;
};

struct part_fixture {
    struct weir_io *io;
    void *writer_memory;
    void *reader_memory;
    struct weir_part_writer *writer;
    struct weir_part_reader *reader;
    struct series series;
};

static const struct weir_part_writer_limits part_limits = {4096, 64};

static inline struct weir_part_writer_options
part_options(const char *path)
{
    return (struct weir_part_writer_options){.path = path,
        .key = {PART_START, PART_END, 0, 3, 2, 2, WEIR_PART_BY_LABELS},
        .file_id = PART_FILE_ID,
        .effort = WEIR_EFFORT_BEST,
        .statistics = true};
}

static inline void
part_fixture_make(struct part_fixture *fixture)
{
    struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    temp_dir_make();
    if (weir_io_new(&options, &fixture->io) != WEIR_OK)
        abort();
    fixture->writer_memory = aligned_alloc(
        WEIR_IO_ALIGN, (weir_part_writer_footprint(&part_limits) + 4095) & ~(size_t)4095);
    fixture->reader_memory = aligned_alloc(64, (weir_part_reader_footprint() + 63) & ~(size_t)63);
    fixture->writer = weir_part_writer_init(fixture->writer_memory, &part_limits, fixture->io);
    fixture->reader = weir_part_reader_init(fixture->reader_memory, fixture->io);
    struct series *series = &fixture->series;
    size_t most = 2 * WEIR_CHUNK_SAMPLES_MAX + 8;
    series->times_ms = malloc(most * sizeof *series->times_ms);
    series->values = malloc(most * sizeof *series->values);
    series->exponents = malloc(most);
    series->kinds = malloc(most);
}

static inline void
part_fixture_remove(struct part_fixture *fixture)
{
    free(fixture->series.times_ms);
    free(fixture->series.values);
    free(fixture->series.exponents);
    free(fixture->series.kinds);
    free(fixture->writer_memory);
    free(fixture->reader_memory);
    weir_io_free(fixture->io);
    temp_dir_remove();
}

/* Hosts of ten series share times; the shapes are counters, gauges, constants, doubles, and one
 * series of more than a chunk. */
static inline const struct series *
part_series(struct part_fixture *fixture, uint32_t number)
{
    struct series *series = &fixture->series;
    uint64_t state = 88172645463325252u + number * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t host = 88172645463325252u + number / 10 * UINT64_C(0x9e3779b97f4a7c15);
    series->shard = number / 1000;
    series->local = number * 7 % 1000;
    series->count = number == 1500 ? 7000 : number % 100 == 99 ? 1 : 240;
    int64_t counter = 1000000, step = number == 1500 ? 1000 : 15000;
    for (size_t i = 0; i < series->count; i++) {
        uint64_t random = next_random(&state);
        series->times_ms[i] = PART_START + (int64_t)i * step + (int64_t)(next_random(&host) % 7);
        series->exponents[i] = 0;
        series->kinds[i] = WEIR_VALUE_DECIMAL;
        counter += (int64_t)(random % 100);
        switch (number % 6) {
        case 0:
            series->values[i] = (uint64_t)counter;
            break;
        case 1:
            series->values[i] = random % 10000;
            series->exponents[i] = -2;
            break;
        case 2:
            series->values[i] = 42;
            break;
        case 3:
            series->kinds[i] = WEIR_VALUE_DOUBLE;
            series->values[i] = random >> 12 | UINT64_C(0x3ff) << 52;
            break;
        case 4: /* unevenly spread: worth a front */
            series->values[i] = (uint64_t)__builtin_ctzll(random | UINT64_C(1) << 60) * 3 + 1000;
            break;
        default:
            series->values[i] = random % 8;
            if (random % 64 == 0) {
                series->kinds[i] = WEIR_VALUE_DOUBLE;
                series->values[i] = WEIR_STALE_MARKER;
            }
        }
    }
    return series;
}

static inline uint64_t
series_bits(const struct series *series, size_t i)
{
    return series->kinds[i] == WEIR_VALUE_DOUBLE
        ? series->values[i]
        : weir_double_bits(weir_decimal_double((int64_t)series->values[i], series->exponents[i]));
}

static inline enum weir_err
part_add(struct part_fixture *fixture, uint32_t number)
{
    const struct series *series = part_series(fixture, number);
    struct weir_part_samples samples = {
        series->times_ms, series->values, series->exponents, series->kinds, series->count};
    return weir_part_writer_add(fixture->writer, series->shard, series->local, &samples);
}

static inline enum weir_err
part_write(struct part_fixture *fixture, const char *path, uint32_t count)
{
    struct weir_part_writer_options options = part_options(path);
    struct weir_part_origin origin = {4096, 8192, {0, 5, 4, 3, 2}};
    enum weir_err err = weir_part_writer_open(fixture->writer, &options);
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++)
        err = part_add(fixture, i);
    if (err == WEIR_OK)
        err = weir_part_writer_finish(fixture->writer, &origin, NULL);
    if (err != WEIR_OK)
        weir_part_writer_abort(fixture->writer);
    return err;
}

#endif
