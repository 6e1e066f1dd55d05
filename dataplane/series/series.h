/* series: from fingerprint to series number.
 *
 * Owns:    the table of fingerprints
 * Threads: one writer (the registrar); any number of readers without locks
 * Memory:  weir_series_footprint() bytes from the caller, zeroed; none after init
 * Errors:  WEIR_FULL series_max is used up
 * Limits:  WEIR_SERIES_LIMIT numbers
 *
 * A slot is 16 bytes, four to a cache line and bucket:
 *
 *   word 0: | 8 number high | 56 hash bits |     0 in the hash bits = empty
 *   word 1: | 32 number low | 32 check bits |
 *
 * The writer stores word 1, then word 0 with release; a reader loads word 0 with acquire. Slots
 * are never changed once filled. A full bucket continues in the next one.
 *
 * Numbers are dense from 0 and never reused. No labels are kept: two series whose 88 bits are equal
 * would be one. docs/design/series.md states the chance. Names are in the log.
 */
#ifndef WEIR_DATAPLANE_SERIES_SERIES_H
#define WEIR_DATAPLANE_SERIES_SERIES_H

#include "base/err.h"
#include "base/hash.h"

#include <stdbool.h>

struct weir_series;

/* In the place of a series number: there is none, or none yet. */
#define WEIR_SERIES_UNKNOWN UINT64_MAX

/* Bytes for series_max series. */
size_t weir_series_footprint(uint64_t series_max);
/* memory is zeroed, page aligned, and outlives the object; key is borrowed. */
struct weir_series *weir_series_init(void *memory, uint64_t series_max,
    const struct weir_hash_key *key);

/* Series defined so far. Any thread. */
uint64_t weir_series_count(const struct weir_series *series);
uint64_t weir_series_max(const struct weir_series *series);

/* Of canonical labels. For bursts of lookups: fingerprints first, then prefetch of their buckets,
 * then weir_series_find. */
struct weir_hash128 weir_series_fingerprint(const struct weir_series *series,
    const uint8_t *labels, size_t size);
/* Fetches the bucket of a fingerprint that is looked for soon. */
void weir_series_prefetch(const struct weir_series *series, struct weir_hash128 fingerprint);
/* Number of the series with this fingerprint; false, and *number as it was, where it is unknown
 * now. Any thread. */
bool weir_series_find(const struct weir_series *series, struct weir_hash128 fingerprint,
    uint64_t *number);

/* As find, and defines the series where it is unknown (*defined says so). Registrar only. */
enum weir_err weir_series_define(struct weir_series *series, struct weir_hash128 fingerprint,
    uint64_t *number, bool *defined) WEIR_MUST_USE;

/* Recovery: enters a definition read from the log; numbers come in ascending order without gap.
 * Labels that an earlier number has, and those that no sender may use, keep their number and are
 * found under no other: what is resolved goes on under the first number.
 * WEIR_CORRUPT where number is not the next. */
enum weir_err weir_series_restore(struct weir_series *series, uint64_t number,
    const uint8_t *labels, size_t size) WEIR_MUST_USE;
/* The same for `count` numbers whose fingerprints are known, many at a time: their buckets are
 * fetched ahead. One of zeros is of a name that no sender may use. */
enum weir_err weir_series_load(struct weir_series *series, uint64_t first,
    const struct weir_hash128 *fingerprints, size_t count) WEIR_MUST_USE;

#endif
