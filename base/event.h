/* event: reports of the processes to their operator, a line each, in logfmt on standard error.
 *
 *   ts=2026-11-21T05:00:00.123Z level=info proc=dataplane event=port_open addr=127.0.0.1:8089
 *
 * Threads: any; a line is one write(2), left out where it would wait: the data plane waits for
 *          nobody.
 * Limits:  each call site prints at most WEIR_EVENT_BURST lines a second; the next line after
 *          that carries suppressed=N, as after lines that were left out.
 */
#ifndef WEIR_BASE_EVENT_H
#define WEIR_BASE_EVENT_H

#include <stdatomic.h>
#include <stdint.h>

#define WEIR_EVENT_BURST 10

enum weir_level { WEIR_LEVEL_DEBUG, WEIR_LEVEL_INFO, WEIR_LEVEL_WARN, WEIR_LEVEL_ERROR };

struct weir_event_site {
    _Atomic int64_t second;
    _Atomic uint32_t count;
    _Atomic uint32_t suppressed;
};

/* Name of this process in its lines; borrowed for the life of the process. */
void weir_event_init(const char *process, enum weir_level least);

/* From any thread: the level from now on. */
void weir_event_level(enum weir_level least);

void weir_event_emit(struct weir_event_site *site, enum weir_level level, const char *event,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* weir_event(WEIR_LEVEL_WARN, "disk_full", "free_bytes=%llu reason=%s", n, reason);
 * %s prints one value of logfmt, whatever bytes it holds: it is escaped, and set in quotes where
 * it needs them and the format has none. %.*s takes bytes that are not zero terminated; else
 * flags, width and precision are those of numbers. */
#define weir_event(level, event, ...) \
    do { \
        static struct weir_event_site site_; \
        weir_event_emit(&site_, level, event, __VA_ARGS__); \
    } while (0)

#endif
