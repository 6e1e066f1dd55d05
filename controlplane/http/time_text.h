/* time_text: times and durations as people and programs write them in a request.
 *
 * Threads: any; no state
 * Errors:  WEIR_INVALID; the detail says how it should be
 * Limits:  years 0000 to 9999; durations up to 366 days
 */
#ifndef WEIR_CONTROLPLANE_HTTP_TIME_TEXT_H
#define WEIR_CONTROLPLANE_HTTP_TIME_TEXT_H

#include "base/err.h"

#include <stdint.h>

#define WEIR_TIME_MIN_MS INT64_C(-62167219200000) /* 0000-01-01T00:00:00Z */
#define WEIR_TIME_MAX_MS INT64_C(253402300800000) /* 10000-01-01T00:00:00Z */
#define WEIR_DURATION_MAX_MS (INT64_C(366) * 86400 * 1000)

/* Reads RFC 3339 (2026-11-21T05:00:00.5+01:00), also without zone (UTC), seconds or time of day
 * (2026-11-21); a distance from now_ms with a unit (-1h, now-90m, now+5m, now); or Unix seconds
 * (1700000000, -1.25). Parts of a millisecond round up, because then both `from <= time` and
 * `time < to` keep their meaning for times in whole milliseconds. A space in place of a sign is
 * taken as the + that form decoding made a space of. */
enum weir_err weir_time_parse(const char *text, int64_t now_ms, int64_t *time_ms) WEIR_MUST_USE;

/* Reads seconds (60, 0.25) or a number with ms, s, m, h, d or w; several add up (1h30m). At least
 * one millisecond, in whole milliseconds. */
enum weir_err weir_duration_parse(const char *text, int64_t *duration_ms) WEIR_MUST_USE;

#endif
