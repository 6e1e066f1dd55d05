/* range_sum: compensated sums of a window, its mean and its deviation. */
#include "controlplane/promql/kahan.h"
#include "controlplane/promql/range/each.h"

static double
sum(const int64_t *times_ms, const double *values, uint32_t count)
{
    (void)times_ms;
    double total = 0, lost = 0;
    for (uint32_t i = 0; i < count; i++)
        weir_promql_kahan_add(values[i], &total, &lost);
    return total + lost;
}

/* The mean of the first done values is total + lost; it is moved towards each of the others. */
static double
moving_mean(const double *values, uint32_t done, uint32_t count, double total, double lost)
{
    for (uint32_t i = done; i < count; i++) {
        double n = i + 1, share = (n - 1) / n;
        total *= share;
        lost *= share;
        weir_promql_kahan_add(values[i] / n, &total, &lost);
    }
    return total + lost;
}

/* The sum divided by the count. If the next value would make the sum infinite, moving_mean takes
 * over from the mean so far. */
static double
mean(const int64_t *times_ms, const double *values, uint32_t count)
{
    (void)times_ms;
    double total = values[0], lost = 0;
    for (uint32_t i = 1; i < count; i++) {
        double next = total, next_lost = lost;
        weir_promql_kahan_add(values[i], &next, &next_lost);
        if (isinf(next))
            return moving_mean(values, i, count, total / i, lost / i);
        total = next;
        lost = next_lost;
    }
    return total / count + lost / count;
}

/* Welford, with both of its sums compensated. */
static double
variance(const int64_t *times_ms, const double *values, uint32_t count)
{
    (void)times_ms;
    double mean_sum = 0, mean_lost = 0, squares = 0, squares_lost = 0;
    for (uint32_t i = 0; i < count; i++) {
        double delta = values[i] - (mean_sum + mean_lost);
        weir_promql_kahan_add(delta / (i + 1), &mean_sum, &mean_lost);
        weir_promql_kahan_add(
            delta * (values[i] - (mean_sum + mean_lost)), &squares, &squares_lost);
    }
    return (squares + squares_lost) / count;
}

static double
deviation(const int64_t *times_ms, const double *values, uint32_t count)
{
    return sqrt(variance(times_ms, values, count));
}

WEIR_PROMQL_RANGE_EACH(sum_over_time, 1, sum)
WEIR_PROMQL_RANGE_EACH(avg_over_time, 1, mean)
WEIR_PROMQL_RANGE_EACH(stdvar_over_time, 1, variance)
WEIR_PROMQL_RANGE_EACH(stddev_over_time, 1, deviation)
