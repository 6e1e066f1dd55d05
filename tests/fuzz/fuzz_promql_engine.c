/* A query over a small store is answered or refused by name, whatever it is: as an instant and as a
 * range query, which answer the same at the time they share. The limits are small, so that a query
 * of any cost ends soon. */
#include "controlplane/promql/engine.h"
#include "controlplane/promql/simd.h"
#include "controlplane/promql/source_memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define AT_MS 600000
#define STEP_MS 60000

static void
require(bool condition)
{
    if (!condition)
        abort();
}

static struct weir_promql_text
text_of(const char *text)
{
    return (struct weir_promql_text){text, (uint32_t)strlen(text)};
}

static double
value_at(unsigned series, unsigned i)
{
    uint64_t stale = WEIR_PROMQL_STALE_BITS;
    double value = (double)((i * (series + 3)) % 17);
    if ((i + series) % 11 == 0)
        value = NAN;
    else if ((i + series) % 13 == 0)
        value = INFINITY;
    else if ((i + series) % 19 == 0)
        memcpy(&value, &stale, sizeof value);
    return value;
}

/* Series a, b and x_total with a few labels; one of them has a native histogram. */
static struct weir_promql_memory *
make(void)
{
    static const char *const names[] = {"a", "b", "x_total"};
    struct weir_promql_memory *memory;
    require(weir_promql_memory_new(&memory) == WEIR_OK);
    for (unsigned series = 0; series < 12; series++) {
        const char *job = series < 3 ? "j" : series < 9 ? "k" : "";
        const struct weir_promql_label labels[] = {
            {text_of("__name__"), text_of(names[series % 3])},
            {text_of("l"), text_of(series < 6 ? "0" : "1")},
            {text_of("le"), text_of(series % 2 == 0 ? "0.5" : "+Inf")},
            {text_of("job"), text_of(job)}};
        uint32_t number;
        require(weir_promql_memory_series(memory, labels, 4, &number) == WEIR_OK);
        for (unsigned i = 0; i < 60; i++) {
            struct weir_promql_sample sample = {.time_ms = (int64_t)i * 15000 + series * 100,
                .value = value_at(series, i),
                .start_ms = series == 4 ? (int64_t)i * 15000 - 1000 : 0,
                .histogram = series == 11 && i == 30};
            require(weir_promql_memory_add(memory, number, &sample) == WEIR_OK);
        }
    }
    return memory;
}

/* Rows with a value at the last step. */
static uint32_t
rows_at_end(const struct weir_promql_answer *answer)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < answer->result_count; i++)
        count += weir_promql_bit(answer->results[i].present, answer->grid.count - 1);
    return count;
}

static void
check_answer(enum weir_err err, const struct weir_promql_answer *answer)
{
    require(err == WEIR_OK || err == WEIR_NOMEM || answer->error != NULL);
    require(err != WEIR_OK || answer->error == NULL);
    for (uint32_t i = 0; err == WEIR_OK && i < answer->result_count; i++) {
        const struct weir_promql_labelset *labels = answer->results[i].labels;
        for (uint32_t k = 1; k < labels->count; k++)
            require(weir_promql_text_compare(labels->labels[k - 1].name, labels->labels[k].name)
                < 0);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct weir_promql_memory *memory;
    struct weir_promql_answer instant, range;
    if (memory == NULL)
        memory = make();
    struct weir_promql_request request = {.text = (const char *)data, .size = size,
        .start_ms = AT_MS, .end_ms = AT_MS, .lookback_ms = 300000, .subquery_step_ms = STEP_MS,
        .memory_max = (size_t)4 << 20, .samples_max = 100000,
        .source = weir_promql_memory_source(memory)};
    enum weir_err err = weir_promql_run(&request, &instant);
    check_answer(err, &instant);
    request.start_ms -= 5 * STEP_MS;
    request.step_ms = STEP_MS;
    enum weir_err range_err = weir_promql_run(&request, &range);
    check_answer(range_err, &range);
    /* what a step answers does not depend on the others, unless the query asks for them */
    bool alone = memmem(data, size, "start", 5) == NULL && memmem(data, size, "end", 3) == NULL
        && memmem(data, size, "step", 4) == NULL && memmem(data, size, "range", 5) == NULL;
    if (alone && err == WEIR_OK && range_err == WEIR_OK && instant.type == WEIR_PROMQL_TYPE_VECTOR)
        require(rows_at_end(&range) == instant.result_count);
    weir_promql_answer_free(&instant);
    weir_promql_answer_free(&range);
    return 0;
}
