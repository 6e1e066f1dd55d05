/* query_series: a series and a point of an answer, as text for people.
 *
 *   cpu_usage{core="0",host="web1"}           a series, as a selector that can be pasted
 *     2026-11-21T05:00:00.000Z  0.25          times in UTC, values in their shortest form
 *
 * Threads: the main thread
 */
#ifndef WEIR_APP_CLI_QUERY_SERIES_H
#define WEIR_APP_CLI_QUERY_SERIES_H

#include <jansson.h>

/* A line with the series. metric NULL: its name is among the labels, or it has none. */
void weir_query_print_series(json_t *metric, json_t *labels);
/* A line with a point [SECONDS,VALUE]. */
void weir_query_print_point(json_t *point);

#endif
