#include "base/event.h"

#include "base/clock.h"

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE 2048

static const char *process_name = "weir";
static enum weir_level level_least = WEIR_INFO;

void
weir_event_init(const char *process, enum weir_level least)
{
    process_name = process;
    level_least = least;
}

/* One token bucket of a second per call site; races only blur the count. */
static bool
site_admits(struct weir_event_site *site, int64_t second)
{
    if (atomic_exchange_explicit(&site->second, second, memory_order_relaxed) != second)
        atomic_store_explicit(&site->count, 0, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&site->count, 1, memory_order_relaxed) < WEIR_EVENT_BURST)
        return true;
    atomic_fetch_add_explicit(&site->suppressed, 1, memory_order_relaxed);
    return false;
}

/* False where the write would wait: a pipe that nobody reads, a terminal that is held. A pipe is
 * ready with a page of room, which is more than a line. */
static bool
stderr_ready(void)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) != 0;
}

void
weir_event_emit(struct weir_event_site *site, enum weir_level level, const char *event,
    const char *format, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    int64_t now_ms = weir_wall_ms();
    if (level < level_least || !site_admits(site, now_ms / 1000))
        return;
    if (!stderr_ready()) {
        atomic_fetch_add_explicit(&site->suppressed, 1, memory_order_relaxed);
        return;
    }
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char stamp[40];
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    char line[LINE_SIZE];
    int used = snprintf(line, sizeof line, "ts=%s.%03dZ level=%s proc=%s event=%s ", stamp,
        (int)(now_ms % 1000), names[level], process_name, event);
    va_list args;
    va_start(args, format);
    used += vsnprintf(line + used, sizeof line - (size_t)used, format, args);
    va_end(args);
    uint32_t suppressed = atomic_exchange_explicit(&site->suppressed, 0, memory_order_relaxed);
    if (suppressed != 0 && used < (int)sizeof line)
        used += snprintf(line + used, sizeof line - (size_t)used, " suppressed=%u", suppressed);
    if (used > (int)sizeof line - 1)
        used = (int)sizeof line - 1;
    for (int i = 0; i < used; i++)
        if ((unsigned char)line[i] < ' ')
            line[i] = ' ';
    line[used++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, (size_t)used);
    (void)written;
}
