/* date: parts of a time in UTC, of values that are seconds since 1970. */
#include "controlplane/promql/functions/call.h"

#define DAY_S 86400

struct date {
    int64_t year;
    int month, day, days_in_month; /* from 1 */
    int day_of_year;               /* from 1 */
    int day_of_week;               /* 0: Sunday */
    int hour, minute;
};

static const int days_before[2][13] = {
    {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365},
    {0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335, 366}};

static bool
is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t
floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Whole seconds; NaN and what no int64_t holds are the latest time. */
static int64_t
seconds_of(double value)
{
    return value >= -0x1p63 && value < 0x1p63 ? (int64_t)value : INT64_MAX;
}

/* Days from 0000-01-01 to the year's first day. */
static int64_t
days_before_year(int64_t year)
{
    int64_t before = year - 1;
    return year * 365 + floor_divide(before, 4) - floor_divide(before, 100) +
        floor_divide(before, 400) + 1;
}

static struct date
date_of(double value)
{
    int64_t seconds = seconds_of(value), days = floor_divide(seconds, DAY_S);
    int64_t of_day = seconds - days * DAY_S, since_0 = days + 719528;
    struct date date = {.hour = (int)(of_day / 3600), .minute = (int)(of_day / 60 % 60)};
    date.day_of_week = (int)((days % 7 + 11) % 7); /* 1970 began on a Thursday */
    date.year = floor_divide(since_0, 146097) * 400;
    date.year += (since_0 - days_before_year(date.year)) / 366;
    while (days_before_year(date.year + 1) <= since_0)
        date.year++;
    int of_year = (int)(since_0 - days_before_year(date.year));
    const int *before = days_before[is_leap(date.year)];
    while (before[date.month + 1] <= of_year)
        date.month++;
    date.days_in_month = before[date.month + 1] - before[date.month];
    date.day = of_year - before[date.month] + 1;
    date.day_of_year = of_year + 1;
    date.month++;
    return date;
}

/* A kernel that replaces each value by a part of the date that it is. */
#define PART(name, part)                                                                           \
    enum weir_err weir_promql_row_##name(                                                          \
        struct weir_promql_call *call, struct weir_promql_row *row)                                \
    {                                                                                              \
        for (uint32_t i = 0; i < call->grid.count; i++)                                            \
            if (weir_promql_bit(row->present, i))                                                  \
                row->values[i] = (double)date_of(row->values[i]).part;                             \
        return WEIR_OK;                                                                            \
    }

PART(day_of_month, day)
PART(day_of_week, day_of_week)
PART(day_of_year, day_of_year)
PART(days_in_month, days_in_month)
PART(hour, hour)
PART(minute, minute)
PART(month, month)
PART(year, year)
