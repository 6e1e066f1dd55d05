/* sample, batch: what the dataplane hands to storage.
 *
 * A sample is 24 bytes. Its value is kept as the decimal the sender wrote wherever mantissa and
 * exponent give the double back exactly (|mantissa| <= 2^53, |exponent| <= 22: both operands are
 * exact doubles and one multiplication or division rounds once; Clinger, PLDI 1990), and as the
 * bits of the double otherwise.
 */
#ifndef WEIR_MODEL_SAMPLE_H
#define WEIR_MODEL_SAMPLE_H

#include "base/assert.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WEIR_SERIES_BITS 40
#define WEIR_SERIES_LIMIT (UINT64_C(1) << WEIR_SERIES_BITS)
#define WEIR_EXPONENT_MAX 22
#define WEIR_MANTISSA_MAX (INT64_C(1) << 53)

/* Samples a batch, and so a frame, can hold: 128 Ki x 24 B = 3 MiB. Large enough that a frame is
 * written in one large request and the sort's last pass stays in the cache. */
#define WEIR_BATCH_SAMPLES_MAX 131072
/* Runs: samples that follow each other with series that ascend by at most this. A jump ends a run
 * too: the lines of a host whose series were defined at different times would span the runs of
 * many others. Of a batch whose runs are shorter than four samples on average they are not kept. */
#define WEIR_BATCH_RUN_GAP 64
#define WEIR_BATCH_RUNS_MAX (WEIR_BATCH_SAMPLES_MAX / 4)
/* Bytes of series definitions a batch can carry. */
#define WEIR_BATCH_DEFINITIONS_MAX (4u << 20)

enum weir_value_kind {
    WEIR_VALUE_DECIMAL = 0, /* value is a mantissa (int64), exponent the power of ten */
    WEIR_VALUE_DOUBLE = 1,  /* value is the bits of an IEEE 754 double, exponent is 0 */
};

struct weir_sample {
    uint64_t key;    /* bits 0-39 series number, 40-47 exponent (int8), 48 kind, 49-63 zero */
    int64_t time_ms; /* since the Unix epoch */
    uint64_t value;  /* mantissa or bits, by kind */
};
_Static_assert(sizeof(struct weir_sample) == 24, "a sample is 24 bytes");

static inline uint64_t
weir_sample_key(uint64_t series, enum weir_value_kind kind, int exponent)
{
    return series | (uint64_t)(uint8_t)exponent << 40 | (uint64_t)kind << 48;
}

static inline uint64_t
weir_sample_series(const struct weir_sample *sample)
{
    return sample->key & (WEIR_SERIES_LIMIT - 1);
}

static inline int
weir_sample_exponent(const struct weir_sample *sample)
{
    return (int8_t)(sample->key >> 40);
}

static inline enum weir_value_kind
weir_sample_kind(const struct weir_sample *sample)
{
    return (enum weir_value_kind)(sample->key >> 48 & 1);
}

/* The double of mantissa x 10^exponent; exact for what WEIR_VALUE_DECIMAL allows. */
double weir_decimal_double(int64_t mantissa, int exponent);

/* The sample's value as a double, bit-exact with what the sender wrote. */
double weir_sample_double(const struct weir_sample *sample);

/* A batch: samples of one producer in arrival order, and the definitions that came with them.
 * Filled by its producer, then owned by the log writer until it comes back empty. */
struct weir_batch {
    uint64_t number;   /* of this producer, counts from 1 */
    uint32_t producer; /* index of the producer in the writer's array */
    uint32_t count;    /* samples */
    /* ledger: units whose last sample is in this batch */
    uint32_t packets;
    uint32_t records;
    uint64_t series_through; /* 1 + largest series number in it; 0 when empty */
    int64_t time_min_ms;
    int64_t time_max_ms;
    uint64_t opened_tsc; /* receive time of the oldest packet in it, for packet-to-queryable */
    bool ascending;      /* keys' series numbers never fall: no sort is needed */
    bool ack_waiting;    /* a sender waits for this batch: write it without delay */
    /* definitions, in number order: see weir_definition_append in model/labels.h */
    uint32_t definition_count;
    uint32_t definition_bytes;
    uint64_t definition_first; /* number of the first */
    uint8_t *definitions;      /* WEIR_BATCH_DEFINITIONS_MAX bytes, NULL for a producer of none */
    /* what the log is to remember of senders: model/sender_state/state.h */
    uint32_t state_bytes;
    uint8_t *sender_state; /* WEIR_BATCH_STATE_BYTES_MAX bytes, NULL for a producer of none */
    /* for the sort: the first sample of each run as weir_batch_run_entry; above WEIR_BATCH_RUNS_MAX
     * the batch has too many */
    uint64_t last_series;      /* of the newest sample */
    uint32_t run_count;
    uint64_t runs[WEIR_BATCH_RUNS_MAX + 2];
    uint32_t run_lasts[WEIR_BATCH_RUNS_MAX + 2]; /* [i + 1]: low half of run i's last series */
    alignas(WEIR_CACHE_LINE) struct weir_sample samples[WEIR_BATCH_SAMPLES_MAX];
};

/* Empties a batch for its next use; number and producer are the caller's to set. */
static inline void
weir_batch_reset(struct weir_batch *batch)
{
    batch->count = 0;
    batch->packets = 0;
    batch->records = 0;
    batch->series_through = 0;
    batch->time_min_ms = INT64_MAX;
    batch->time_max_ms = INT64_MIN;
    batch->opened_tsc = 0;
    batch->ascending = true;
    batch->ack_waiting = false;
    batch->definition_count = 0;
    batch->definition_bytes = 0;
    batch->definition_first = 0;
    batch->state_bytes = 0;
    batch->last_series = UINT64_MAX / 2; /* no series follows it */
    batch->run_count = 0;
}

/* Series in the low 40 bits, place in the batch above them. */
static inline uint64_t
weir_batch_run_entry(uint64_t series, uint64_t place)
{
    return series | place << WEIR_SERIES_BITS;
}

static inline bool
weir_batch_run_ends(uint64_t series, uint64_t next)
{
    return next - series - 1 >= WEIR_BATCH_RUN_GAP; /* wraps where the series falls or stays */
}

/* State of the run that a batch is in. Code that appends many samples keeps it in registers. */
struct weir_batch_run_cursor {
    uint64_t last_series;
    uint32_t count;
};

static inline struct weir_batch_run_cursor
weir_batch_run_cursor(const struct weir_batch *batch)
{
    return (struct weir_batch_run_cursor){batch->last_series, batch->run_count};
}

/* Notes that a sample of `series` comes at `place`. No branch: where a run ends cannot be
 * foretold. */
static inline void
weir_batch_run_note(struct weir_batch *batch, struct weir_batch_run_cursor *cursor, uint64_t series,
    uint64_t place)
{
    batch->runs[cursor->count] = weir_batch_run_entry(series, place);
    cursor->count += weir_batch_run_ends(cursor->last_series, series) &
        (cursor->count <= WEIR_BATCH_RUNS_MAX);
    batch->run_lasts[cursor->count] = (uint32_t)series;
    cursor->last_series = series;
}

static inline void
weir_batch_run_keep(struct weir_batch *batch, const struct weir_batch_run_cursor *cursor)
{
    batch->last_series = cursor->last_series;
    batch->run_count = cursor->count;
}

/* One sample. */
static inline void
weir_batch_run(struct weir_batch *batch, uint64_t series, uint64_t place)
{
    struct weir_batch_run_cursor cursor = weir_batch_run_cursor(batch);
    weir_batch_run_note(batch, &cursor, series, place);
    weir_batch_run_keep(batch, &cursor);
}

/* The newest run reaches to a sample of `series`. */
static inline void
weir_batch_run_goes_on(struct weir_batch *batch, uint64_t series)
{
    batch->run_lasts[batch->run_count] = (uint32_t)series;
    batch->last_series = series;
}

/* Last series of run i. */
static inline uint64_t
weir_batch_run_last(const struct weir_batch *batch, uint32_t i)
{
    uint64_t first = batch->runs[i] & (WEIR_SERIES_LIMIT - 1);
    return first + (uint32_t)(batch->run_lasts[i + 1] - (uint32_t)first);
}

/* Appends one sample; the caller has seen that count < WEIR_BATCH_SAMPLES_MAX. */
static inline void
weir_batch_append(struct weir_batch *batch, uint64_t key, int64_t time_ms, uint64_t value)
{
    WEIR_DCHECK(batch->count < WEIR_BATCH_SAMPLES_MAX);
    uint64_t series = key & (WEIR_SERIES_LIMIT - 1);
    weir_batch_run(batch, series, batch->count);
    batch->samples[batch->count++] = (struct weir_sample){key, time_ms, value};
    batch->ascending &= series + 1 >= batch->series_through;
    if (series + 1 > batch->series_through)
        batch->series_through = series + 1;
    if (time_ms < batch->time_min_ms)
        batch->time_min_ms = time_ms;
    if (time_ms > batch->time_max_ms)
        batch->time_max_ms = time_ms;
}

static inline uint64_t
weir_double_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline double
weir_bits_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
