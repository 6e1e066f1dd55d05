#include "controlplane/http/time_text.h"

#include <stdbool.h>
#include <string.h>

#define DIGITS_MAX 14 /* whole seconds or units: far past every limit, far below overflow */

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Exactly count digits at *at. */
static bool
read_digits(const char **at, int count, int *out)
{
    int value = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (!is_digit(**at))
            return false;
        value = value * 10 + (**at - '0');
    }
    *out = value;
    return true;
}

static bool
skip_char(const char **at, char wanted)
{
    if (**at != wanted)
        return false;
    (*at)++;
    return true;
}

/* Digits after a point, scaled to thousandths; *rest: whether finer ones are not zero. */
static bool
read_fraction(const char **at, int *thousandths, bool *rest)
{
    int value = 0;
    int place = 100;
    if (!is_digit(**at))
        return false;
    for (; is_digit(**at); (*at)++, place /= 10) {
        if (place > 0)
            value += (**at - '0') * place;
        else
            *rest |= **at != '0';
    }
    *thousandths = value;
    return true;
}

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar. Years begin in March here,
 * because a leap day is then the last of its year; an era is 400 years or 146,097 days. */
static int64_t
days_of_date(int year, int month, int day)
{
    int64_t y = year - (month <= 2) + 400; /* January of year 0000 is in March-year -1 */
    int64_t month_from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    int64_t days = y * 365 + y / 4 - y / 100 + y / 400 + day_of_year;
    return days - 146097 - 719468;
}

static int
days_in_month(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Z, z, +hh:mm or -hh:mm, in minutes east of UTC. A space is a plus that a URL's decoding took. */
static bool
read_zone(const char **at, int *minutes)
{
    int hours = 0;
    *minutes = 0;
    if (skip_char(at, 'Z') || skip_char(at, 'z'))
        return true;
    bool west = **at == '-';
    if (!west && **at != '+' && **at != ' ')
        return false;
    (*at)++;
    if (!read_digits(at, 2, &hours) || !skip_char(at, ':') || !read_digits(at, 2, minutes))
        return false;
    if (hours > 23 || *minutes > 59)
        return false;
    *minutes = (hours * 60 + *minutes) * (west ? -1 : 1);
    return true;
}

/* hh:mm, and seconds of which second 60 is a leap second and reads as the next second. */
static bool
read_clock(const char **at, int64_t *clock_ms)
{
    int hour, minute, second = 0, thousandths = 0;
    bool rest = false;
    if (!read_digits(at, 2, &hour) || !skip_char(at, ':') || !read_digits(at, 2, &minute))
        return false;
    if (skip_char(at, ':')) {
        if (!read_digits(at, 2, &second))
            return false;
        if (skip_char(at, '.') && !read_fraction(at, &thousandths, &rest))
            return false;
    }
    *clock_ms = ((hour * 60 + minute) * 60 + second) * INT64_C(1000) + thousandths + rest;
    return hour <= 23 && minute <= 59 && second <= 60;
}

/* date-time of RFC 3339, section 5.6. A time without zone is UTC, a date without time its begin. */
static bool
parse_date(const char *text, int64_t *time_ms)
{
    int year, month, day, zone = 0;
    int64_t clock_ms = 0;
    const char *at = text;
    if (!read_digits(&at, 4, &year) || !skip_char(&at, '-') || !read_digits(&at, 2, &month) ||
        !skip_char(&at, '-') || !read_digits(&at, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    if (skip_char(&at, 'T') || skip_char(&at, 't') || skip_char(&at, ' ')) {
        if (!read_clock(&at, &clock_ms) || (*at != '\0' && !read_zone(&at, &zone)))
            return false;
    }
    *time_ms = (days_of_date(year, month, day) * 1440 - zone) * 60000 + clock_ms;
    return *at == '\0';
}

/* Parses a decimal number without exponent: its whole part, its thousandths (0 to 999), and whether
 * a digit other than 0 follows these. */
static bool
read_decimal(const char **at, int64_t *thousandths, bool *rest)
{
    int64_t whole = 0;
    int fraction = 0;
    const char *start = *at;
    for (; is_digit(**at); (*at)++) {
        if (*at - start >= DIGITS_MAX)
            return false;
        whole = whole * 10 + (**at - '0');
    }
    bool digits = *at > start;
    bool point = skip_char(at, '.');
    if (point && !read_fraction(at, &fraction, rest))
        return false;
    *thousandths = whole * 1000 + fraction;
    return digits || point;
}

static bool
parse_unix_seconds(const char *text, int64_t *time_ms)
{
    const char *at = text;
    bool rest = false;
    bool negative = skip_char(&at, '-');
    if (!read_decimal(&at, time_ms, &rest) || *at != '\0')
        return false;
    /* up: the finer rest of a negative number is dropped, that of a positive one counts */
    *time_ms = negative ? -*time_ms : *time_ms + rest;
    return true;
}

/* The unit at *at in milliseconds, 0 where there is none. */
static int64_t
read_unit(const char **at)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
        {"w", 604800000}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t size = strlen(units[i].name);
        if (strncmp(*at, units[i].name, size) == 0) {
            *at += size;
            return units[i].ms;
        }
    }
    return 0;
}

/* Adds up numbers with units; false for a text that is no duration, too fine or too long. */
static bool
read_duration(const char *text, int64_t *total)
{
    const char *at = text;
    *total = 0;
    do {
        int64_t thousandths;
        bool rest = false;
        if (!read_decimal(&at, &thousandths, &rest) || rest)
            return false;
        bool alone = *total == 0 && *at == '\0'; /* a bare number is seconds */
        int64_t unit_ms = alone ? 1000 : read_unit(&at);
        if (unit_ms == 0 || thousandths / 1000 > WEIR_DURATION_MAX_MS / unit_ms)
            return false;
        if (thousandths * unit_ms % 1000 != 0)
            return false;
        *total += thousandths * unit_ms / 1000;
        if (*total > WEIR_DURATION_MAX_MS)
            return false;
    } while (*at != '\0');
    return true;
}

/* now, now-1h, now+5m, -1h, +5m. A space is a plus that a URL's decoding took. */
static bool
parse_relative(const char *text, int64_t now_ms, int64_t *time_ms)
{
    bool named = strncmp(text, "now", 3) == 0;
    const char *at = text + (named ? 3 : 0);
    int64_t distance_ms;
    *time_ms = now_ms;
    if (named && *at == '\0')
        return true;
    if (*at != '-' && *at != '+' && *at != ' ')
        return false;
    if (!read_duration(at + 1, &distance_ms))
        return false;
    *time_ms += *at == '-' ? -distance_ms : distance_ms;
    return true;
}

enum weir_err
weir_time_parse(const char *text, int64_t now_ms, int64_t *time_ms)
{
    bool bare = text[0] != '\0' && text[strspn(text + 1, "0123456789.") + 1] == '\0';
    if (!parse_unix_seconds(text, time_ms) && !parse_date(text, time_ms) &&
        (bare || !parse_relative(text, now_ms, time_ms)))
        return weir_fail(WEIR_INVALID, 0,
            "not a time: give RFC 3339 like 2026-11-21T05:00:00Z or 2026-11-21T05:00:00+01:00, a "
            "date like 2026-11-21 (UTC), a distance from now like -1h or now-1h, or Unix seconds "
            "like 1700000000.5");
    if (*time_ms < WEIR_TIME_MIN_MS || *time_ms > WEIR_TIME_MAX_MS)
        return weir_fail(WEIR_INVALID, 0, "time outside the years 0000 to 9999; Unix times are "
            "in seconds");
    return WEIR_OK;
}

enum weir_err
weir_duration_parse(const char *text, int64_t *duration_ms)
{
    if (!read_duration(text, duration_ms) || *duration_ms < 1)
        return weir_fail(WEIR_INVALID, 0,
            "not a duration: give seconds like 60 or a number with unit like 30s, 5m, 1h, 250ms; "
            "whole milliseconds, more than 0 and at most 366d");
    return WEIR_OK;
}
