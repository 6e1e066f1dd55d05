/* promqlbench: samples a second that the query engine takes from a store in memory, on one core.
 * Series of counters 15 s apart, each sample up to 2 s late: no two series share their times. Each
 * line is the best of a few runs: samples of the store by the CPU time of the query. */
#include "controlplane/promql/engine.h"
#include "controlplane/promql/simd.h"
#include "controlplane/promql/source_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SPACING_MS 15000
#define JITTER_MS 2000
#define RUNS 9

static const char usage[] =
    "usage: promqlbench [SERIES [SAMPLES [CASE [SIMD]]]]\n"
    "Queries a store of SERIES (1000) times SAMPLES (1440) in memory; CASE from 1 on picks one\n"
    "query, 0 all; SIMD: 0 plain, 1 AVX2, 2 AVX-512.\n";

static const struct {
    const char *query;
    int64_t step_ms;
} cases[] = {
    {"sum(rate(x[5m]))", 15000},
    {"sum(rate(x[5m]))", 60000},
    {"sum(rate(x[5m]))", 300000},
    {"max_over_time(x[5m])", 15000},
    {"sum by (region) (increase(x[5m]))", 60000},
    {"avg(avg_over_time(x[5m]))", 60000},
    {"max by (region) (x)", 60000},
    {"topk(5, rate(x[5m]))", 300000},
    {"quantile(0.9, x)", 300000},
    {"max_over_time(sum(rate(x[5m]))[1h:1m])", 300000},
};

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void
must(enum weir_err err, const char *what)
{
    if (err == WEIR_OK)
        return;
    fprintf(stderr, "promqlbench: %s: %s\n", what, weir_err_text(err));
    exit(1);
}

static struct weir_promql_text
text_of(const char *text)
{
    return (struct weir_promql_text){text, (uint32_t)strlen(text)};
}

static void
fill_series(struct weir_promql_memory *memory, uint32_t number, uint32_t samples, uint64_t *random)
{
    double value = 0;
    for (uint32_t i = 0; i < samples; i++) {
        value += (double)(next_random(random) % 100);
        if (next_random(random) % 500 == 0)
            value = 0; /* a reset */
        struct weir_promql_sample sample = {.value = value,
            .time_ms = (int64_t)i * SPACING_MS + (int64_t)(next_random(random) % JITTER_MS)};
        must(weir_promql_memory_add(memory, number, &sample), "store");
    }
}

static struct weir_promql_memory *
fill(uint32_t series, uint32_t samples)
{
    struct weir_promql_memory *memory;
    uint64_t random = 0x9e3779b97f4a7c15;
    must(weir_promql_memory_new(&memory), "store");
    for (uint32_t i = 0; i < series; i++) {
        char host[32], region[32];
        snprintf(host, sizeof host, "host-%u", i);
        snprintf(region, sizeof region, "region-%u", i % 10);
        const struct weir_promql_label labels[] = {{text_of("__name__"), text_of("x")},
            {text_of("host"), text_of(host)}, {text_of("region"), text_of(region)}};
        uint32_t number;
        must(weir_promql_memory_series(memory, labels, 3, &number), "store");
        fill_series(memory, number, samples, &random);
    }
    return memory;
}

static double
cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Seconds of CPU of one run. */
static double
run(const struct weir_promql_request *request, size_t *memory_bytes)
{
    struct weir_promql_answer answer;
    double begin_s = cpu_s();
    enum weir_err err = weir_promql_run(request, &answer);
    double took_s = cpu_s() - begin_s;
    if (err != WEIR_OK && answer.error != NULL)
        fprintf(stderr, "promqlbench: %s\n", answer.error);
    must(err, request->text);
    *memory_bytes = answer.arena.taken;
    weir_promql_answer_free(&answer);
    return took_s;
}

static void
measure(const struct weir_promql_memory *memory, size_t at, double samples, int64_t end_ms)
{
    struct weir_promql_request request = {.text = cases[at].query, .size = strlen(cases[at].query),
        .start_ms = 0, .end_ms = end_ms, .step_ms = cases[at].step_ms, .lookback_ms = 300000,
        .subquery_step_ms = 60000, .memory_max = (size_t)4 << 30,
        .source = weir_promql_memory_source(memory)};
    double best_s = 1e9;
    size_t bytes = 0;
    for (int i = 0; i < RUNS; i++) {
        double took_s = run(&request, &bytes);
        best_s = took_s < best_s ? took_s : best_s;
    }
    printf("%-42s step %3llds %8.1f M samples/s %8.2f ms %8.1f MiB\n", cases[at].query,
        (long long)cases[at].step_ms / 1000, samples / best_s / 1e6, best_s * 1e3,
        (double)bytes / 1048576);
}

int
main(int argc, char **argv)
{
    unsigned long series = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    unsigned long samples = argc > 2 ? strtoul(argv[2], NULL, 10) : 1440;
    unsigned long only = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    if (argc > 4)
        weir_promql_simd_limit(argv[4][0] == '0' ? WEIR_PROMQL_PLAIN
                : argv[4][0] == '1'              ? WEIR_PROMQL_AVX2
                                                 : WEIR_PROMQL_AVX512);
    if (argc > 5 || series == 0 || samples == 0 || series > 1000000 || samples > 10000000) {
        fputs(usage, stderr);
        return 2;
    }
    struct weir_promql_memory *memory = fill((uint32_t)series, (uint32_t)samples);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (only == 0 || only == i + 1)
            measure(memory, i, (double)series * (double)samples, (int64_t)samples * SPACING_MS);
    weir_promql_memory_free(memory);
    return 0;
}
