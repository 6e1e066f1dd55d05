#include "base/event.h"

#include "base/clock.h"
#include "base/escape.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_SIZE 2048
/* Values end here: a closing quote, suppressed=N and the newline have room after it. */
#define TEXT_MAX (LINE_SIZE - 32)

static const char *process_name = "weir";
static _Atomic enum weir_level level_least = WEIR_LEVEL_INFO;

void
weir_event_init(const char *process, enum weir_level least)
{
    process_name = process;
    weir_event_level(least);
}

/* relaxed, as each reader: it orders nothing */
void
weir_event_level(enum weir_level least)
{
    atomic_store_explicit(&level_least, least, memory_order_relaxed);
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

/* False if the write would wait: a pipe that nobody reads, a terminal that is held. A pipe is ready
 * with a page of room, which is more than a line. */
static bool
stderr_ready(void)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) != 0;
}

struct line {
    char text[LINE_SIZE];
    size_t used;
    bool quoted; /* a quote of the format is open */
};

/* A pointer to one can be handed on. */
struct arguments {
    va_list list;
};

/* Text of the format itself, or a number. */
static void
put(struct line *line, const char *text, size_t size)
{
    for (size_t i = 0; i < size && line->used < TEXT_MAX; i++) {
        line->quoted ^= text[i] == '"';
        line->text[line->used++] = (unsigned char)text[i] < ' ' ? ' ' : text[i];
    }
}

/* True if a value needs quotes: it is empty, or a reader would not find its end. */
static bool
needs_quotes(const char *value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)value[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '"' || byte == '=' || byte == '\\')
            return true;
    }
    return size == 0;
}

/* A string of the arguments may hold any byte. It gets quotes if it is the whole value, needs them,
 * and the format has none. */
static void
put_value(struct line *line, const char *value, size_t size)
{
    bool quotes = !line->quoted && line->used > 0 && line->text[line->used - 1] == '=' &&
        needs_quotes(value, size);
    if (quotes)
        put(line, "\"", 1);
    if (line->used < TEXT_MAX)
        line->used += weir_escape_into(WEIR_ESCAPE_LOGFMT, value, size, line->text + line->used,
            TEXT_MAX - line->used + 1);
    if (quotes && line->used < TEXT_MAX)
        put(line, "\"", 1);
}

/* Reads flags, width, precision and length of the conversion after a %. Writes the first three to
 * spec, and a j after them: whole numbers are printed as intmax_t. Returns the place of the
 * conversion's letter. */
static const char *
read_spec(const char *at, char spec[24], int *precision, int *longs, struct arguments *args)
{
    size_t used = 0;
    *precision = -1;
    *longs = 0;
    spec[used++] = '%';
    if (strncmp(at, ".*", 2) == 0) {
        *precision = va_arg(args->list, int);
        at += 2;
    }
    while (*at != '\0' && strchr("-+ #0123456789.", *at) != NULL && used < 20)
        spec[used++] = *at++;
    for (; *at != '\0' && strchr("hlzjt", *at) != NULL; at++)
        *longs += *at != 'h';
    spec[used] = '\0';
    return at;
}

static void
put_number(struct line *line, char spec[24], char letter, int longs, struct arguments *args)
{
    char text[64];
    int size = 0;
    size_t used = strlen(spec);
    if (strchr("eEfFgG", letter) == NULL)
        spec[used++] = 'j';
    spec[used++] = letter;
    spec[used] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the compiler has checked the call's own */
    if (spec[used - 2] != 'j')
        size = snprintf(text, sizeof text, spec, va_arg(args->list, double));
    else if (letter == 'd' || letter == 'i')
        size = snprintf(text, sizeof text, spec,
            longs > 0 ? (intmax_t)va_arg(args->list, long) : va_arg(args->list, int));
    else
        size = snprintf(text, sizeof text, spec, longs > 0
            ? (uintmax_t)va_arg(args->list, unsigned long) : va_arg(args->list, unsigned));
#pragma GCC diagnostic pop
    if (size > 0)
        put(line, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

_Static_assert(sizeof(long) == sizeof(long long) && sizeof(long) == sizeof(size_t) &&
    sizeof(long) == sizeof(intmax_t), "l, ll, z, t and j are one size");

/* As printf, but that every string is a value of logfmt. */
static void
put_format(struct line *line, const char *format, struct arguments *args)
{
    for (const char *at = format; *at != '\0'; at++) {
        if (*at != '%' || *++at == '%') {
            put(line, at, 1);
            continue;
        }
        char spec[24];
        int precision, longs;
        at = read_spec(at, spec, &precision, &longs, args);
        if (*at == 's') {
            const char *value = va_arg(args->list, const char *);
            if (value == NULL)
                value = "(null)"; /* as printf does: an event is no place to end */
            put_value(line, value, precision < 0 ? strlen(value)
                                                 : strnlen(value, (size_t)precision));
        } else if (*at != '\0' && strchr("diuxXoeEfFgG", *at) != NULL) {
            put_number(line, spec, *at, longs, args);
        } else {
            put(line, "?", 1);
            return; /* an unknown conversion: the next arguments are unknown too */
        }
    }
}

static void
put_head(struct line *line, int64_t now_ms, enum weir_level level, const char *event)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    char stamp[40];
    gmtime_r(&seconds, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    int size = snprintf(line->text, TEXT_MAX, "ts=%s.%03dZ level=%s proc=%s event=%s ", stamp,
        (int)(now_ms % 1000), names[level], process_name, event);
    line->used = size < 0 ? 0 : size < TEXT_MAX ? (size_t)size : TEXT_MAX - 1;
}

void
weir_event_emit(struct weir_event_site *site, enum weir_level level, const char *event,
    const char *format, ...)
{
    int64_t now_ms = weir_wall_ms();
    if (level < atomic_load_explicit(&level_least, memory_order_relaxed) ||
        !site_admits(site, now_ms / 1000))
        return;
    if (!stderr_ready()) {
        atomic_fetch_add_explicit(&site->suppressed, 1, memory_order_relaxed);
        return;
    }
    struct line line = {.used = 0};
    struct arguments args;
    put_head(&line, now_ms, level, event);
    va_start(args.list, format);
    put_format(&line, format, &args);
    va_end(args.list);
    if (line.quoted) /* cut within a value */
        line.text[line.used++] = '"';
    uint32_t suppressed = atomic_exchange_explicit(&site->suppressed, 0, memory_order_relaxed);
    if (suppressed != 0)
        line.used += (size_t)snprintf(line.text + line.used, sizeof line.text - line.used,
            " suppressed=%u", suppressed);
    line.text[line.used++] = '\n';
    ssize_t written = write(STDERR_FILENO, line.text, line.used);
    (void)written;
}
