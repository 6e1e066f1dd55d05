#include "controlplane/promql/scan/place.h"
#include "controlplane/promql/simd.h"

/* From at least `low`: doubles the distance until the place is passed, then halves it. */
static uint32_t
gallop(const int64_t *times_ms, uint32_t count, uint32_t low, int64_t look_ms)
{
    uint32_t reach = 1, high = low;
    while (high < count && times_ms[high] <= look_ms) {
        low = high + 1;
        high = count - high > reach ? high + reach : count;
        reach *= 2;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (times_ms[middle] <= look_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#define WRONG UINT32_MAX

/* Guesses a place for each step and looks at the samples before and after it; WRONG where the
 * guess is further off than one. count is above 1 and the times are not all equal. */
static WEIR_PROMQL_BODY void
guess_body(const int64_t *restrict times_ms, uint32_t count, int64_t start_ms, int64_t step_ms,
    uint32_t *restrict out, uint32_t steps)
{
    int64_t begin_ms = times_ms[0], last_ms = times_ms[count - 1];
    double per_ms = (double)(count - 1) / (double)(last_ms - begin_ms);
    double most = (double)(count - 1);
    for (uint32_t i = 0; i < steps; i++) {
        int64_t look_ms = start_ms + (int64_t)i * step_ms;
        double at = weir_promql_whole(look_ms - begin_ms) * per_ms + 1;
        at = at < 1 ? 1 : at;
        at = at > most ? most : at;
        int32_t guess = (int32_t)at;
        guess += times_ms[guess] <= look_ms;
        guess -= times_ms[guess - 1] > look_ms;
        int32_t after = guess < (int32_t)count ? guess : (int32_t)count - 1;
        int32_t before = guess > 0 ? guess - 1 : 0;
        uint32_t place = times_ms[before] <= look_ms && times_ms[after] > look_ms ? (uint32_t)guess
                                                                                  : WRONG;
        place = look_ms < begin_ms ? 0 : place;
        out[i] = look_ms >= last_ms ? count : place;
    }
}

WEIR_PROMQL_VARIANTS(guess,
    (const int64_t *restrict times_ms, uint32_t count, int64_t start_ms, int64_t step_ms,
        uint32_t *restrict out, uint32_t steps),
    (times_ms, count, start_ms, step_ms, out, steps))

#define CHUNK 256

/* The first step at or after each sample; at least 0. */
static WEIR_PROMQL_BODY void
steps_of_body(const int64_t *restrict times_ms, uint32_t count, int64_t start_ms, double step_ms,
    int32_t *restrict out)
{
    double per_ms = 1 / step_ms;
    for (uint32_t i = 0; i < count; i++) {
        double since_ms = weir_promql_whole(times_ms[i] - start_ms);
        since_ms = since_ms < 0 ? 0 : since_ms;
        /* the product may be off by one in its last place: both neighbours are looked at */
        double step = (double)(int32_t)(since_ms * per_ms);
        step = step * step_ms < since_ms ? step + 1 : step;
        step = step * step_ms < since_ms ? step + 1 : step;
        step = (step - 1) * step_ms >= since_ms ? step - 1 : step;
        out[i] = (int32_t)(step < 0 ? 0 : step);
    }
}

WEIR_PROMQL_VARIANTS(steps_of,
    (const int64_t *restrict times_ms, uint32_t count, int64_t start_ms, double step_ms,
        int32_t *restrict out),
    (times_ms, count, start_ms, step_ms, out))

/* Few samples a step: each is entered at the first step that sees it, and what was not entered
 * takes the place of the step before. */
static void
place_samples(
    const int64_t *times_ms, uint32_t count, const struct weir_promql_grid *grid, uint32_t *out)
{
    int32_t steps[CHUNK];
    memset(out, 0, grid->count * sizeof *out);
    for (uint32_t begin = 0; begin < count; begin += CHUNK) {
        uint32_t size = count - begin < CHUNK ? count - begin : CHUNK;
        steps_of(times_ms + begin, size, grid->start_ms, (double)grid->step_ms, steps);
        for (uint32_t i = 0; i < size; i++)
            out[steps[i]] = begin + i + 1;
    }
    uint32_t before = 0;
    for (uint32_t i = 0; i < grid->count; i++) {
        before = out[i] > before ? out[i] : before;
        out[i] = before;
    }
}

/* One sample, or several at one time: before it there is none, from it on there are all. */
static void
place_around(const int64_t *times_ms, uint32_t count, const struct weir_promql_grid *grid,
    uint32_t *out)
{
    for (uint32_t i = 0; i < grid->count; i++)
        out[i] = count > 0 && times_ms[0] <= weir_promql_grid_time(grid, i) ? count : 0;
}

/* Many samples a step: guessed, and where that is wrong searched from the step before. */
static void
place_steps(
    const int64_t *times_ms, uint32_t count, const struct weir_promql_grid *grid, uint32_t *out)
{
    guess(times_ms, count, grid->start_ms, grid->step_ms, out, grid->count);
    uint32_t before = 0;
    for (uint32_t i = 0; i < grid->count; i++) {
        if (__builtin_expect(out[i] == WRONG, 0))
            out[i] = gallop(times_ms, count, before, weir_promql_grid_time(grid, i));
        before = out[i];
    }
}

/* Near enough for weir_promql_whole of the difference. */
static bool
is_near(int64_t a_ms, int64_t b_ms)
{
    int64_t apart_ms;
    return !__builtin_sub_overflow(a_ms, b_ms, &apart_ms) && apart_ms > -(INT64_C(1) << 50) &&
        apart_ms < INT64_C(1) << 50;
}

void
weir_promql_places(
    const int64_t *times_ms, uint32_t count, const struct weir_promql_grid *grid, uint32_t *out)
{
    if (count < 2 || times_ms[0] == times_ms[count - 1] || count > INT32_MAX) {
        place_around(times_ms, count, grid, out);
        return;
    }
    int64_t last_ms = weir_promql_grid_time(grid, grid->count - 1);
    if (grid->step_ms > 0 && count / 2 < grid->count && is_near(times_ms[0], grid->start_ms) &&
        is_near(last_ms, grid->start_ms))
        place_samples(times_ms, gallop(times_ms, count, 0, last_ms), grid, out);
    else
        place_steps(times_ms, count, grid, out);
}
