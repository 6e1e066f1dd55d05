#include "controlplane/promql/aggregate/fold.h"
#include "controlplane/promql/kahan.h"

/* Runs first or more at each step i of row, as to has no value there yet or has one; marks all as
 * seen. Whole words of steps that were all seen run without looking at bits. */
#define EACH_STEP(to, row, steps, first, more)                                                     \
    for (uint32_t word = 0; word < weir_promql_words(steps); word++) {                             \
        uint64_t present = (row)->present[word], seen = (to)->seen[word];                          \
        for (uint64_t left = present & ~seen; left != 0; left &= left - 1) {                       \
            uint32_t i = word * 64 + (uint32_t)__builtin_ctzll(left);                              \
            double value = (row)->values[i];                                                       \
            first;                                                                                 \
        }                                                                                          \
        if ((present & seen) == UINT64_MAX) {                                                      \
            for (uint32_t i = word * 64; i < word * 64 + 64; i++) {                                \
                double value = (row)->values[i];                                                   \
                more;                                                                              \
            }                                                                                      \
        } else {                                                                                   \
            for (uint64_t left = present & seen; left != 0; left &= left - 1) {                    \
                uint32_t i = word * 64 + (uint32_t)__builtin_ctzll(left);                          \
                double value = (row)->values[i];                                                   \
                more;                                                                              \
            }                                                                                      \
        }                                                                                          \
        (to)->seen[word] |= present;                                                               \
    }

static void
add_sum(struct weir_promql_folded *to, const struct weir_promql_row *row, uint32_t steps)
{
    double *sum = to->columns[0], *lost = to->columns[1];
    EACH_STEP(to, row, steps, (sum[i] = value, lost[i] = 0),
        weir_promql_kahan_add(value, &sum[i], &lost[i]))
}

static void
finish_sum(struct weir_promql_folded *folded, uint32_t steps)
{
    for (uint32_t i = 0; i < steps; i++)
        folded->columns[0][i] += folded->columns[1][i];
}

const struct weir_promql_fold weir_promql_fold_sum = {2, add_sum, finish_sum};

/* The mean is the sum by the count, until the sum would be too large for a double: from then on it
 * is moved towards each value, and the step is marked. */
static void
add_mean(struct weir_promql_folded *to, uint32_t i, double value)
{
    double *sum = &to->columns[0][i], *lost = &to->columns[1][i], *count = &to->columns[2][i];
    *count += 1;
    if (!weir_promql_bit(to->marks, i)) {
        double total = *sum, compensation = *lost;
        weir_promql_kahan_add(value, &total, &compensation);
        if (!isinf(total)) {
            *sum = total;
            *lost = compensation;
            return;
        }
        weir_promql_bit_set(to->marks, i);
        *sum /= *count - 1;
        *lost /= *count - 1;
    }
    double share = (*count - 1) / *count;
    *sum *= share;
    *lost *= share;
    weir_promql_kahan_add(value / *count, sum, lost);
}

static void
add_avg(struct weir_promql_folded *to, const struct weir_promql_row *row, uint32_t steps)
{
    double *sum = to->columns[0], *lost = to->columns[1], *count = to->columns[2];
    EACH_STEP(to, row, steps, (sum[i] = value, lost[i] = 0, count[i] = 1), add_mean(to, i, value))
}

static void
finish_avg(struct weir_promql_folded *folded, uint32_t steps)
{
    double *sum = folded->columns[0], *lost = folded->columns[1], *count = folded->columns[2];
    for (uint32_t i = 0; i < steps; i++)
        sum[i] = weir_promql_bit(folded->marks, i) ? sum[i] + lost[i]
                                                   : sum[i] / count[i] + lost[i] / count[i];
}

const struct weir_promql_fold weir_promql_fold_avg = {3, add_avg, finish_avg};

static void
add_count(struct weir_promql_folded *to, const struct weir_promql_row *row, uint32_t steps)
{
    double *count = to->columns[0];
    EACH_STEP(to, row, steps, ((void)value, count[i] = 1), ((void)value, count[i] += 1))
}

const struct weir_promql_fold weir_promql_fold_count = {1, add_count, NULL};

static void
add_group(struct weir_promql_folded *to, const struct weir_promql_row *row, uint32_t steps)
{
    double *one = to->columns[0];
    EACH_STEP(to, row, steps, ((void)value, one[i] = 1), (void)value)
}

const struct weir_promql_fold weir_promql_fold_group = {1, add_group, NULL};

/* NaN gives way to any number. */
static void
add_max(struct weir_promql_folded *to, const struct weir_promql_row *row, uint32_t steps)
{
    double *most = to->columns[0];
    EACH_STEP(to, row, steps, most[i] = value,
        most[i] = most[i] < value || isnan(most[i]) ? value : most[i])
}

static void
add_min(struct weir_promql_folded *to, const struct weir_promql_row *row, uint32_t steps)
{
    double *least = to->columns[0];
    EACH_STEP(to, row, steps, least[i] = value,
        least[i] = least[i] > value || isnan(least[i]) ? value : least[i])
}

const struct weir_promql_fold weir_promql_fold_max = {1, add_max, NULL};
const struct weir_promql_fold weir_promql_fold_min = {1, add_min, NULL};

/* Welford's sum of squares of differences from the mean, without compensation. */
static inline void
add_square(double value, double *squares, double *mean, double *count)
{
    *count += 1;
    double delta = value - *mean;
    *mean += delta / *count;
    *squares += delta * (value - *mean);
}

static void
add_deviation(struct weir_promql_folded *to, const struct weir_promql_row *row, uint32_t steps)
{
    double *squares = to->columns[0], *mean = to->columns[1], *count = to->columns[2];
    EACH_STEP(to, row, steps,
        (squares[i] = isfinite(value) ? 0 : NAN, mean[i] = value, count[i] = 1),
        add_square(value, &squares[i], &mean[i], &count[i]))
}

static void
finish_stdvar(struct weir_promql_folded *folded, uint32_t steps)
{
    for (uint32_t i = 0; i < steps; i++)
        folded->columns[0][i] /= folded->columns[2][i];
}

static void
finish_stddev(struct weir_promql_folded *folded, uint32_t steps)
{
    finish_stdvar(folded, steps);
    for (uint32_t i = 0; i < steps; i++)
        folded->columns[0][i] = sqrt(folded->columns[0][i]);
}

const struct weir_promql_fold weir_promql_fold_stddev = {3, add_deviation, finish_stddev};
const struct weir_promql_fold weir_promql_fold_stdvar = {3, add_deviation, finish_stdvar};
