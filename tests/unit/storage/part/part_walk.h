/* part_walk: reads a part of part_fixture.h and compares it with what was written. */
#ifndef WEIR_TESTS_UNIT_STORAGE_PART_PART_WALK_H
#define WEIR_TESTS_UNIT_STORAGE_PART_PART_WALK_H

#include "storage/part/statistics.h"
#include "tests/unit/storage/part/part_fixture.h"

/* What of a part was read, and what could not be. */
struct part_walk {
    uint64_t samples;
    uint64_t chunks;
    uint64_t refused;     /* samples of blocks that do not check out */
    uint32_t directories; /* directory blocks that do not */
    uint32_t number;      /* the series that comes next */
    size_t at;            /* and its sample */
};

static inline void
part_walk_entry(struct part_fixture *fixture, const struct weir_part *part,
    const struct weir_part_entry *entry, struct part_walk *walk)
{
    const struct series *series = part_series(fixture, walk->number);
    assert_int_equal(entry->shard, series->shard);
    assert_int_equal(entry->local, series->local);
    double values[WEIR_CHUNK_SAMPLES_MAX];
    const int64_t *times_ms;
    enum weir_err err = weir_part_read_values(fixture->reader, part, entry, values);
    if (err == WEIR_OK)
        err = weir_part_read_times(fixture->reader, part, entry, &times_ms);
    if (err == WEIR_OK) {
        for (uint32_t i = 0; i < entry->count; i++)
            assert_int_equal(weir_double_bits(values[i]), series_bits(series, walk->at + i));
        assert_memory_equal(times_ms, series->times_ms + walk->at, entry->count * sizeof *times_ms);
        struct weir_statistics expected;
        weir_statistics_of(values, entry->count, &expected);
        if (entry->has_statistics)
            assert_memory_equal(&entry->statistics, &expected, sizeof expected);
        walk->samples += entry->count;
    } else {
        assert_int_equal(err, WEIR_CORRUPT);
        walk->refused += entry->count;
    }
    walk->chunks++;
    walk->at += entry->count;
    if (walk->at == series->count) {
        walk->number++;
        walk->at = 0;
    }
}

static inline struct part_walk
part_walk(struct part_fixture *fixture, const struct weir_part *part)
{
    struct part_walk walk = {0};
    for (uint32_t n = 0; n < weir_part_directory_count(part); n++) {
        const struct weir_part_entry *entries;
        uint32_t count;
        enum weir_err err = weir_part_read_directory(fixture->reader, part, n, &entries, &count);
        if (err != WEIR_OK) {
            assert_int_equal(err, WEIR_CORRUPT);
            walk.directories++;
            /* a fixture's series of one chunk are counted; those after the long one are not used */
            walk.number += weir_part_blocks(part)[weir_part_directory_block(part, n)].count;
            continue;
        }
        for (uint32_t i = 0; i < count; i++)
            part_walk_entry(fixture, part, &entries[i], &walk);
    }
    return walk;
}

static inline uint64_t
part_samples(struct part_fixture *fixture, uint32_t series)
{
    uint64_t samples = 0;
    for (uint32_t i = 0; i < series; i++)
        samples += part_series(fixture, i)->count;
    return samples;
}

#endif
