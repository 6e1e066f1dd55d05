/* histogram: functions of histograms: of classic ones; native ones end the query when it meets
 * them. */
#include "controlplane/promql/functions/classic.h"

#include <math.h>

/* histogram_count, _sum, _avg, _stddev and _stdvar are of native histograms alone. */
static enum weir_err
pass_nothing(struct weir_promql_sink *sink, struct weir_promql_row *row)
{
    (void)sink;
    (void)row;
    return WEIR_OK;
}

enum weir_err
weir_promql_whole_native_only(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    struct weir_promql_sink nothing = {pass_nothing};
    (void)sink;
    return weir_promql_eval(call->query, weir_promql_argument(call, 0), &call->grid, &nothing);
}

static bool
is_closed(const struct weir_promql_bucket *buckets, uint32_t count)
{
    return buckets[count - 1].bound == INFINITY;
}

/* A warning for each step's q that is none. */
static enum weir_err
check_quantiles(struct weir_promql_call *call, uint32_t argument)
{
    enum weir_err err = WEIR_OK;
    const double *q = call->scalars[argument];
    for (uint32_t i = 0; err == WEIR_OK && i < call->grid.count; i++) {
        char text[WEIR_PROMQL_DOUBLE_MAX + 1];
        if (q[i] >= 0 && q[i] <= 1)
            continue;
        text[weir_promql_double(q[i], false, text)] = '\0';
        err = weir_promql_annotate(call->query, WEIR_PROMQL_ANNOTATION_INVALID_QUANTILE,
            weir_promql_argument(call, argument)->at, text);
    }
    return err;
}

struct quantiles {
    struct weir_promql_call *call;
    struct weir_promql_classics classics;
    const struct weir_promql_node *vector; /* infos name its place */
    uint32_t series;                       /* the histogram under way */
    uint32_t count;                        /* its buckets at the step */
    bool is_level;                         /* they were levelled */
};

static enum weir_err
level(struct quantiles *self, uint32_t step)
{
    const struct weir_promql_classic_series *series = &self->classics.series[self->series];
    struct weir_promql_levelled levelled =
        weir_promql_buckets_level(self->classics.buckets, self->count);
    self->is_level = true;
    if (!levelled.forced)
        return WEIR_OK;
    struct weir_promql_fix fix = {levelled.bound_min, levelled.bound_max, levelled.difference_max,
        weir_promql_grid_time(&self->call->grid, step),
        weir_promql_grid_time(&self->call->grid, step), 1};
    return weir_promql_note_fix(self->call->query,
        weir_promql_labelset_get(series->labels, WEIR_PROMQL_NAME), self->vector->at, &fix);
}

/* The quantile of the gathered buckets. */
static enum weir_err
quantile(struct quantiles *self, uint32_t step, double q, double *out)
{
    enum weir_err err = WEIR_OK;
    *out = NAN;
    if (isnan(q))
        return WEIR_OK;
    if (q < 0 || q > 1)
        *out = q < 0 ? -INFINITY : INFINITY;
    else if (is_closed(self->classics.buckets, self->count)) {
        if (!self->is_level)
            err = level(self, step);
        *out = weir_promql_buckets_quantile(self->classics.buckets, self->count, q);
    }
    return err;
}

static enum weir_err
quantile_steps(struct quantiles *self, struct weir_promql_row *row)
{
    enum weir_err err = WEIR_OK;
    for (uint32_t i = 0; err == WEIR_OK && i < self->call->grid.count; i++) {
        self->count = weir_promql_classic_gather(&self->classics, self->series, i);
        self->is_level = false;
        if (self->count == 0)
            continue;
        err = quantile(self, i, self->call->scalars[0][i], &row->values[i]);
        weir_promql_bit_set(row->present, i);
    }
    return err;
}

enum weir_err
weir_promql_whole_histogram_quantile(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    struct quantiles self = {.call = call, .vector = weir_promql_argument(call, 1)};
    struct weir_promql_table out;
    weir_promql_table_init(&out, call->grid.count);
    enum weir_err err = check_quantiles(call, 0);
    if (err == WEIR_OK)
        err = weir_promql_classics_eval(call, 1, &self.classics);
    for (; err == WEIR_OK && self.series < self.classics.series_count; self.series++) {
        struct weir_promql_row *row = weir_promql_table_add(
            call->query, &out, self.classics.series[self.series].labels, true);
        err = row == NULL ? WEIR_NOMEM : quantile_steps(&self, row);
    }
    return err == WEIR_OK ? weir_promql_table_push(&out, sink) : err;
}

/* 0.5, 1.0, NaN: a number that is one at first sight. */
static enum weir_err
label_of(struct weir_promql_query *query, double q, struct weir_promql_text *out)
{
    char *text = weir_promql_query_alloc(query, WEIR_PROMQL_DOUBLE_MAX + 2);
    if (text == NULL)
        return WEIR_NOMEM;
    uint32_t size = (uint32_t)weir_promql_double(q, false, text);
    bool is_whole = true;
    for (uint32_t i = 0; i < size; i++)
        if ((text[i] < '0' || text[i] > '9') && text[i] != '-')
            is_whole = false;
    if (is_whole) {
        memcpy(text + size, ".0", 2);
        size += 2;
    }
    *out = (struct weir_promql_text){text, size};
    return WEIR_OK;
}

/* The row of a histogram and quantile: the one made last for this argument where q is the same. */
struct quantile_row {
    double q;
    uint32_t place; /* 1 + its place in the table */
};

static enum weir_err
find_row(struct quantiles *self, struct weir_promql_table *out, double q,
    struct quantile_row *last, struct weir_promql_row **row)
{
    struct weir_promql_query *query = self->call->query;
    const struct weir_promql_labelset *labels = self->classics.series[self->series].labels;
    if (last->place == 0 || memcmp(&last->q, &q, sizeof q) != 0) {
        struct weir_promql_text value;
        enum weir_err err = label_of(query, q, &value);
        if (err == WEIR_OK)
            err = weir_promql_labelset_with(&query->sets, labels,
                weir_promql_argument_text(self->call, 1), value, &labels);
        if (err != WEIR_OK)
            return err;
        if (weir_promql_table_add(query, out, labels, true) == NULL)
            return WEIR_NOMEM;
        *last = (struct quantile_row){q, out->count};
    }
    *row = &out->rows[last->place - 1];
    return WEIR_OK;
}

/* All quantiles of a histogram. */
static enum weir_err
many_quantiles(struct quantiles *self, struct quantile_row *last, struct weir_promql_table *out)
{
    uint32_t arguments = self->call->node->call.arguments.count;
    enum weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < self->call->grid.count; i++) {
        self->count = weir_promql_classic_gather(&self->classics, self->series, i);
        self->is_level = false;
        for (uint32_t k = 2; self->count > 0 && k < arguments; k++) {
            double q = self->call->scalars[k][i];
            struct weir_promql_row *row;
            err = find_row(self, out, q, &last[k], &row);
            if (err == WEIR_OK)
                err = quantile(self, i, q, &row->values[i]);
            if (err != WEIR_OK)
                return err;
            weir_promql_bit_set(row->present, i);
        }
    }
    return err;
}

enum weir_err
weir_promql_whole_histogram_quantiles(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    struct quantiles self = {.call = call, .vector = weir_promql_argument(call, 0)};
    uint32_t arguments = call->node->call.arguments.count;
    struct weir_promql_table out;
    enum weir_err err = WEIR_OK;
    struct quantile_row *last = weir_promql_query_alloc(call->query, arguments * sizeof *last);
    if (last == NULL)
        return WEIR_NOMEM;
    weir_promql_table_init(&out, call->grid.count);
    for (uint32_t k = 2; err == WEIR_OK && k < arguments; k++)
        err = check_quantiles(call, k);
    if (err == WEIR_OK)
        err = weir_promql_classics_eval(call, 0, &self.classics);
    for (; err == WEIR_OK && self.series < self.classics.series_count; self.series++) {
        memset(last, 0, arguments * sizeof *last);
        err = many_quantiles(&self, last, &out);
    }
    if (err == WEIR_OK)
        err = weir_promql_table_merge(call->query, &out);
    return err == WEIR_OK ? weir_promql_table_push(&out, sink) : err;
}

enum weir_err
weir_promql_whole_histogram_fraction(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    struct weir_promql_classics classics;
    struct weir_promql_table out;
    weir_promql_table_init(&out, call->grid.count);
    enum weir_err err = weir_promql_classics_eval(call, 2, &classics);
    for (uint32_t s = 0; err == WEIR_OK && s < classics.series_count; s++) {
        struct weir_promql_row *row =
            weir_promql_table_add(call->query, &out, classics.series[s].labels, true);
        if (row == NULL)
            return WEIR_NOMEM;
        for (uint32_t i = 0; i < call->grid.count; i++) {
            uint32_t count = weir_promql_classic_gather(&classics, s, i);
            if (count == 0)
                continue;
            row->values[i] = is_closed(classics.buckets, count)
                ? weir_promql_buckets_fraction(
                      classics.buckets, count, call->scalars[0][i], call->scalars[1][i])
                : NAN;
            weir_promql_bit_set(row->present, i);
        }
    }
    return err == WEIR_OK ? weir_promql_table_push(&out, sink) : err;
}
