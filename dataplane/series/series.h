/* series: from fingerprint to series number, and back to labels.
 *
 * Owns:    the table of fingerprints and the arena of definitions
 * Threads: one writer (the registrar); any number of readers without locks
 * Memory:  weir_series_footprint() bytes from the caller, zeroed; none after init
 * Errors:  WEIR_FULL the table, the arena or series_max is used up
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
 * Numbers are dense from 0 and never reused. If other labels have a fingerprint already, the
 * series is entered under the fingerprint of its next attempt (weir_series_hash).
 */
#ifndef WEIR_DATAPLANE_SERIES_SERIES_H
#define WEIR_DATAPLANE_SERIES_SERIES_H

#include "base/err.h"
#include "base/hash.h"

#include <stdbool.h>

struct weir_series;

/* In the place of a series number: there is none, or none yet. */
#define WEIR_SERIES_UNKNOWN UINT64_MAX

/* Bytes for series_max series whose labels take label_bytes in all. */
size_t weir_series_footprint(uint64_t series_max, uint64_t label_bytes);
/* memory is zeroed, page aligned, and outlives the object; key is borrowed. */
struct weir_series *weir_series_init(void *memory, uint64_t series_max, uint64_t label_bytes,
    const struct weir_hash_key *key);

/* Series defined so far. Any thread. */
uint64_t weir_series_count(const struct weir_series *series);
uint64_t weir_series_max(const struct weir_series *series);
/* Bytes of their labels, and how many there may be. Registrar only. */
uint64_t weir_series_label_bytes(const struct weir_series *series);
uint64_t weir_series_label_bytes_max(const struct weir_series *series);

/* Number of the series with exactly these canonical labels: fingerprint, then full comparison.
 * Any thread. WEIR_NOT_FOUND. */
enum weir_err weir_series_resolve(const struct weir_series *series, const uint8_t *labels,
    size_t size, uint64_t *number) WEIR_MUST_USE;

/* The same in steps, for bursts of lookups whose misses of the cache are to overlap. Each step
 * goes over the whole burst and fetches what the next one reads:
 *
 *   fingerprint --(bucket)--> candidate --(offset)--> fetch --(labels)--> resolve_at
 *
 * A candidate is the number of a slot that has the fingerprint; where there is none, the series is
 * unknown now. */
struct weir_hash128 weir_series_fingerprint(const struct weir_series *series,
    const uint8_t *labels, size_t size);
bool weir_series_candidate(const struct weir_series *series, struct weir_hash128 fingerprint,
    uint64_t *candidate);
void weir_series_fetch(const struct weir_series *series, uint64_t candidate);
enum weir_err weir_series_resolve_at(const struct weir_series *series,
    struct weir_hash128 fingerprint, const uint8_t *labels, size_t size,
    uint64_t *number) WEIR_MUST_USE;
/* Fetches the bucket of a fingerprint that is looked for soon. */
void weir_series_prefetch(const struct weir_series *series, struct weir_hash128 fingerprint);

/* As resolve, and defines the series where it is unknown (*defined says so). Registrar only. */
enum weir_err weir_series_define(struct weir_series *series, const uint8_t *labels, size_t size,
    uint64_t *number, bool *defined) WEIR_MUST_USE;

enum weir_err weir_series_define_at(struct weir_series *series, struct weir_hash128 fingerprint,
    const uint8_t *labels, size_t size, uint64_t *number, bool *defined) WEIR_MUST_USE;

/* Recovery: enters a definition read from the log; numbers come in ascending order without gap.
 * Labels that an earlier number has, and those that no sender may use, keep their number and are
 * found under no other: what is resolved goes on under the first number.
 * WEIR_CORRUPT where number is not the next. */
enum weir_err weir_series_restore(struct weir_series *series, uint64_t number,
    const uint8_t *labels, size_t size) WEIR_MUST_USE;

/* Canonical labels of a defined number; borrowed for the life of the object. */
void weir_series_labels(const struct weir_series *series, uint64_t number,
    const uint8_t **labels, size_t *size);

/* Series that another series' fingerprint had kept from their first one. */
uint64_t weir_series_collisions(const struct weir_series *series);

#endif
