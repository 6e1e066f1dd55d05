#include "bench/check.h"

#include "base/clock.h"
#include "base/escape.h"
#include "config/config.h"
#include "model/sample.h"
#include "model/shared.h"
#include "storage/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DRAWS 10000

/* One drawn sample; sorted by series and pass: a scan finds those of a series together. */
struct draw {
    uint64_t series; /* of the generator */
    uint64_t pass;
    bool met;   /* a sample of its time is there */
    bool found; /* with its value */
};

#define NOT_OURS UINT32_MAX

/* Bytes a series: 4 for its place in the generator, a bit for whether it is drawn. */
struct check {
    const struct weir_bench_run *run;
    struct weir_bench_found *found;
    int64_t end_ms; /* after the last pass */
    uint32_t *series;     /* generator's number by number in the log */
    uint64_t series_count;
    uint64_t series_capacity;
    uint64_t *drawn;      /* bits, by generator's number */
    struct draw draws[DRAWS];
    uint32_t draw_count;
};

static int
compare_draws(const void *a, const void *b)
{
    const struct draw *x = a;
    const struct draw *y = b;
    if (x->series != y->series)
        return x->series < y->series ? -1 : 1;
    return x->pass < y->pass ? -1 : x->pass > y->pass;
}

/* xorshift64* (Vigna, ACM TOMS 2016) */
static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* Sorts the draws and takes those out that are there twice. */
static void
sort_draws(struct check *check)
{
    uint32_t kept = 0;
    qsort(check->draws, check->draw_count, sizeof check->draws[0], compare_draws);
    for (uint32_t i = 0; i < check->draw_count; i++)
        if (kept == 0 || compare_draws(&check->draws[kept - 1], &check->draws[i]) != 0)
            check->draws[kept++] = check->draws[i];
    check->draw_count = kept;
}

/* Draws DRAWS different samples, or all where there are no more. */
static void
draw_samples(struct check *check)
{
    const struct weir_bench_run *run = check->run;
    uint64_t state = run->seed | 1, passes = run->passes - run->pass_first;
    uint64_t wanted = DRAWS / run->series < passes ? DRAWS : run->series * passes;
    while (check->draw_count < wanted) {
        while (check->draw_count < wanted) {
            uint64_t series = (next_random(&state) >> 11) % run->series;
            uint64_t pass = run->pass_first + (next_random(&state) >> 11) % passes;
            check->draws[check->draw_count++] = (struct draw){.series = series, .pass = pass};
        }
        sort_draws(check);
    }
    for (uint32_t i = 0; i < check->draw_count; i++)
        check->drawn[check->draws[i].series / 64] |= UINT64_C(1) << check->draws[i].series % 64;
}

/* Is the sample one of those drawn of its series, and as it was sent? */
static void
compare_sample(struct check *check, uint64_t series, int64_t time_ms, double value)
{
    const struct weir_bench_run *run = check->run;
    size_t low = 0;
    for (size_t count = check->draw_count; count > 0;) {
        size_t half = count / 2;
        if (check->draws[low + half].series < series) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    for (size_t i = low; i < check->draw_count && check->draws[i].series == series; i++) {
        struct draw *draw = &check->draws[i];
        if (weir_bench_time_ms(run->proto, run->start_ms, run->step_ms, series,
                draw->pass) != time_ms)
            continue;
        draw->met = true;
        draw->found = weir_double_bits(value) ==
            weir_double_bits(weir_bench_value(run->proto, series, draw->pass));
    }
}

static enum weir_err
on_sample(void *context, size_t number, int64_t time_ms, double value)
{
    struct check *check = context;
    uint64_t series = number < check->series_count ? check->series[number] : NOT_OURS;
    check->found->log_samples++;
    if (series == NOT_OURS || time_ms < check->run->start_ms || time_ms >= check->end_ms)
        return WEIR_OK;
    check->found->samples++;
    if ((check->drawn[series / 64] >> series % 64 & 1) != 0)
        compare_sample(check, series, time_ms, value);
    return WEIR_OK;
}

/* Generator's number of a series of this run by its labels. */
static bool
series_of(const struct check *check, const uint8_t *labels, size_t size, uint64_t *out)
{
    const char *wanted = weir_bench_job(check->run->proto);
    struct weir_label job;
    return weir_labels_find(labels, size, "job", &job) && job.value_size == strlen(wanted) &&
           memcmp(job.value, wanted, job.value_size) == 0 &&
           weir_bench_series_of(check->run->proto, labels, size, out) &&
           *out < check->run->series;
}

/* Notes the run's own series; the directory may hold earlier, larger runs. */
static enum weir_err
on_definition(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    struct check *check = context;
    if (number >= check->series_capacity) {
        uint64_t capacity = number + number / 8 + 1024;
        uint32_t *grown = realloc(check->series, capacity * sizeof *grown);
        if (grown == NULL)
            return weir_fail(WEIR_NOMEM, 0, "places of %" PRIu64 " series", capacity);
        check->series = grown;
        check->series_capacity = capacity;
    }
    uint64_t series;
    bool ours = labels != NULL && series_of(check, labels, size, &series);
    check->series[number] = ours ? (uint32_t)series : NOT_OURS;
    check->series_count = number + 1;
    return WEIR_OK;
}

static enum weir_err
read_back(struct check *check)
{
    const struct weir_bench_run *run = check->run;
    char directory[WEIR_CONFIG_PATH_MAX + 16];
    snprintf(directory, sizeof directory, "%s/log/0", run->data);
    struct weir_shared *shared;
    struct weir_reader *reader;
    enum weir_err err = weir_shared_map(run->shared_fd, &shared);
    if (err != WEIR_OK)
        return err;
    char store[WEIR_CONFIG_PATH_MAX + 16];
    snprintf(store, sizeof store, "%s/store", run->data);
    struct weir_reader_options reader_options = {.directory = directory,
        .store = store,
        .shared = shared,
        .define = on_definition,
        .define_context = check};
    err = weir_reader_open_with(&reader_options, &reader);
    if (err == WEIR_OK)
        err = weir_reader_refresh(reader);
    if (err != WEIR_OK)
        return err;
    check->end_ms = run->start_ms + (int64_t)(run->passes + 1) * run->step_ms;
    return weir_reader_scan(reader, NULL, 0, run->all_times ? INT64_MIN : run->start_ms,
        run->all_times ? INT64_MAX : check->end_ms, on_sample, check);
}

static enum weir_err
child_work(const struct weir_bench_run *run, struct weir_bench_found *found)
{
    struct check *check = calloc(1, sizeof *check);
    if (check == NULL)
        return weir_fail(WEIR_NOMEM, 0, "check");
    check->run = run;
    check->found = found;
    check->drawn = calloc(run->series / 64 + 1, sizeof *check->drawn);
    if (check->drawn == NULL)
        return weir_fail(WEIR_NOMEM, 0, "draws");
    draw_samples(check);
    int64_t start_ns = weir_mono_ns();
    enum weir_err err = read_back(check);
    found->seconds = (double)(weir_mono_ns() - start_ns) / 1e9;
    for (uint32_t i = 0; i < check->draw_count; i++) {
        const struct draw *draw = &check->draws[i];
        found->compared++;
        found->wrong += draw->met && !draw->found;
        found->missing += !draw->met;
    }
    found->mismatched = found->wrong + found->missing;
    return err;
}

enum weir_err
weir_bench_check(const struct weir_bench_run *run, struct weir_bench_found *out)
{
    int pipe_fd[2];
    if (pipe(pipe_fd) != 0)
        return weir_fail(WEIR_IO, errno, "pipe");
    pid_t child = fork();
    if (child < 0)
        return weir_fail(WEIR_IO, errno, "fork");
    if (child == 0) {
        struct weir_bench_found found = {0};
        enum weir_err err = child_work(run, &found);
        if (err != WEIR_OK)
            weir_line_print(stderr, "read back: %s: %s", weir_err_text(err), weir_err_detail());
        else if (write(pipe_fd[1], &found, sizeof found) != sizeof found)
            err = WEIR_IO;
        _exit(err == WEIR_OK ? 0 : 1);
    }
    close(pipe_fd[1]);
    ssize_t got = read(pipe_fd[0], out, sizeof *out);
    close(pipe_fd[0]);
    waitpid(child, NULL, 0);
    if (got != sizeof *out)
        return weir_fail(WEIR_IO, 0, "the reading process gave no answer");
    return WEIR_OK;
}
