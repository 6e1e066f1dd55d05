/* Range functions against loops that look at each window by itself: random series with gaps,
 * jitter, resets, stale markers, NaN, infinities and -0; negative times; each variant of the
 * kernels. */
#include "controlplane/promql/simd.h"
#include "tests/unit/controlplane/promql/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SAMPLES_MAX 400

/* Samples of the series, stale markers left out. */
struct samples {
    int64_t times_ms[SAMPLES_MAX];
    double values[SAMPLES_MAX];
    uint32_t count;
};

/* One window: the samples in (begin, end]. */
struct window {
    const int64_t *times_ms;
    const double *values;
    uint32_t count;
    int64_t begin_ms, end_ms;
};

static uint64_t random_state = 88172645463325252;

static uint32_t
below(uint32_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % bound;
}

static double
stale(void)
{
    uint64_t bits = WEIR_PROMQL_STALE_BITS;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double
random_value(double before, uint32_t oddity)
{
    switch (oddity == 0 ? 9 : below(oddity)) {
    case 0:
        return NAN;
    case 1:
        return below(2) ? INFINITY : -INFINITY;
    case 2:
        return -0.0;
    case 3:
        return (double)below(3) - 1;
    case 4:
        return 0;
    default:
        return (isfinite(before) ? before : 0) + (double)below(1000) / 8;
    }
}

/* A random series into a new store and into samples. */
static struct weir_promql_memory *
make(struct samples *samples)
{
    struct weir_promql_memory *memory;
    const struct weir_promql_label labels[] = {{{"__name__", 8}, {"x_total", 7}}};
    uint32_t number, count = below(SAMPLES_MAX), oddity = below(3) * 40;
    uint32_t spacing_ms = 1 + below(20000), jitter_ms = 1 + below(spacing_ms), gap = 2 + below(50);
    int64_t at_ms = (int64_t)below(2000000) - 1000000;
    double value = 0;
    samples->count = 0;
    assert_int_equal(weir_promql_memory_new(&memory), WEIR_OK);
    assert_int_equal(weir_promql_memory_series(memory, labels, 1, &number), WEIR_OK);
    for (uint32_t i = 0; i < count; i++) {
        at_ms += spacing_ms + (below(gap) == 0 ? below(100000) : 0);
        value = random_value(value, oddity);
        bool is_stale = below(60) == 0;
        struct weir_promql_sample sample = {
            .time_ms = at_ms + below(jitter_ms), .value = is_stale ? stale() : value};
        assert_int_equal(weir_promql_memory_add(memory, number, &sample), WEIR_OK);
        if (is_stale)
            continue;
        samples->times_ms[samples->count] = sample.time_ms;
        samples->values[samples->count++] = value;
    }
    return memory;
}

static bool
plain_max(const struct window *w, double *out)
{
    *out = w->count > 0 ? w->values[0] : 0;
    for (uint32_t i = 1; i < w->count; i++)
        if (w->values[i] > *out || isnan(*out))
            *out = w->values[i];
    return w->count > 0;
}

static bool
plain_min(const struct window *w, double *out)
{
    *out = w->count > 0 ? w->values[0] : 0;
    for (uint32_t i = 1; i < w->count; i++)
        if (w->values[i] < *out || isnan(*out))
            *out = w->values[i];
    return w->count > 0;
}

static bool
plain_count(const struct window *w, double *out)
{
    *out = w->count;
    return w->count > 0;
}

static bool
plain_last(const struct window *w, double *out)
{
    *out = w->count > 0 ? w->values[w->count - 1] : 0;
    return w->count > 0;
}

static bool
plain_changes(const struct window *w, double *out)
{
    *out = 0;
    for (uint32_t i = 1; i < w->count; i++)
        *out += w->values[i] != w->values[i - 1]
            && !(isnan(w->values[i]) && isnan(w->values[i - 1]));
    return w->count > 0;
}

static bool
plain_irate(const struct window *w, double *out)
{
    if (w->count < 2)
        return false;
    double last = w->values[w->count - 1], before = w->values[w->count - 2];
    *out = (last < before ? last : last - before)
        / ((double)(w->times_ms[w->count - 1] - w->times_ms[w->count - 2]) / 1000);
    return true;
}

static bool
plain_difference(const struct window *w, bool counter, bool per_second, double *out)
{
    if (w->count < 2)
        return false;
    uint32_t last = w->count - 1;
    double change = w->values[last] - w->values[0];
    for (uint32_t i = 1; counter && i <= last; i++)
        if (w->values[i] < w->values[i - 1])
            change += w->values[i - 1];
    double sampled = (double)(w->times_ms[last] - w->times_ms[0]) / 1000;
    double spacing = sampled / last;
    double back = (double)(w->times_ms[0] - w->begin_ms) / 1000;
    double ahead = (double)(w->end_ms - w->times_ms[last]) / 1000;
    if (back >= spacing * 1.1)
        back = spacing / 2;
    if (counter && change > 0 && w->values[0] >= 0) {
        double to_zero = sampled * (w->values[0] / change);
        if (to_zero < back)
            back = to_zero;
    }
    if (ahead >= spacing * 1.1)
        ahead = spacing / 2;
    double factor = (sampled + back + ahead) / sampled;
    if (per_second)
        factor /= (double)(w->end_ms - w->begin_ms) / 1000;
    *out = change * factor;
    return true;
}

static bool
plain_rate(const struct window *w, double *out)
{
    return plain_difference(w, true, true, out);
}

static bool
plain_increase(const struct window *w, double *out)
{
    return plain_difference(w, true, false, out);
}

static bool
plain_delta(const struct window *w, double *out)
{
    return plain_difference(w, false, false, out);
}

static const struct {
    const char *name;
    bool (*plain)(const struct window *window, double *out);
} functions[] = {{"max_over_time", plain_max}, {"min_over_time", plain_min},
    {"count_over_time", plain_count}, {"last_over_time", plain_last}, {"changes", plain_changes},
    {"irate", plain_irate}, {"rate", plain_rate}, {"increase", plain_increase},
    {"delta", plain_delta}};

static bool
same(double a, double b)
{
    return isnan(a) ? isnan(b) : memcmp(&a, &b, sizeof a) == 0;
}

static void
compare(const struct samples *samples, const struct weir_promql_request *request, size_t function,
    int64_t range_ms, const struct weir_promql_answer *answer)
{
    const struct weir_promql_result *result = answer->result_count > 0 ? answer->results : NULL;
    for (uint32_t step = 0; step < answer->grid.count; step++) {
        int64_t end_ms = weir_promql_grid_time(&answer->grid, step), begin_ms = end_ms - range_ms;
        uint32_t first = 0, end = 0;
        while (first < samples->count && samples->times_ms[first] <= begin_ms)
            first++;
        while (end < samples->count && samples->times_ms[end] <= end_ms)
            end++;
        struct window window = {samples->times_ms + first, samples->values + first, end - first,
            begin_ms, end_ms};
        double wanted = 0;
        bool has = functions[function].plain(&window, &wanted);
        bool got = result != NULL && weir_promql_bit(result->present, step);
        if (has != got || (has && !same(wanted, result->values[step])))
            fail_msg("%s at %lld: wanted %s%.17g, got %s%.17g", request->text, (long long)end_ms,
                has ? "" : "none ", wanted, got ? "" : "none ",
                got ? result->values[step] : 0);
    }
}

static void
run_case(void)
{
    struct samples samples;
    struct weir_promql_memory *memory = make(&samples);
    size_t function = below(sizeof functions / sizeof functions[0]);
    int64_t step_ms = 1 + below(60000);
    int64_t range_ms = below(2) ? step_ms * (1 + below(20)) : 1 + below(400000);
    char text[128];
    snprintf(text, sizeof text, "%s(x_total[%lldms])", functions[function].name,
        (long long)range_ms);
    struct weir_promql_request request =
        promql_request(memory, text, (int64_t)below(4000000) - 1500000);
    request.end_ms = request.start_ms + below(300) * step_ms;
    request.step_ms = step_ms;
    for (int simd = WEIR_PROMQL_PLAIN; simd <= WEIR_PROMQL_AVX512; simd++) {
        struct weir_promql_answer answer;
        weir_promql_simd_limit((enum weir_promql_simd)simd);
        assert_int_equal(weir_promql_run(&request, &answer), WEIR_OK);
        compare(&samples, &request, function, range_ms, &answer);
        weir_promql_answer_free(&answer);
    }
    weir_promql_memory_free(memory);
}

static void
test_windows_answer_as_if_each_were_alone(void **state)
{
    (void)state;
    for (int i = 0; i < 4000; i++)
        run_case();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_answer_as_if_each_were_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
