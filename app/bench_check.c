#include "app/bench_check.h"

#include "base/clock.h"
#include "base/config.h"
#include "base/sample.h"
#include "base/shared.h"
#include "storage/reader.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DRAWS 10000

/* One drawn sample; sorted by series, so that a scan finds those of a series together. */
struct draw {
    uint64_t series; /* of the generator */
    uint64_t pass;
    bool met;   /* a sample of its time is there */
    bool found; /* with its value */
};

struct check {
    const struct weir_bench_run *run;
    struct weir_bench_found *found;
    uint64_t *series;     /* generator's number by place in the selection */
    uint32_t *first_draw; /* by generator's number; DRAWS where none */
    struct draw draws[DRAWS];
};

static int
compare_draws(const void *a, const void *b)
{
    const struct draw *x = a;
    const struct draw *y = b;
    return x->series < y->series ? -1 : x->series > y->series;
}

static void
draw_samples(struct check *check)
{
    uint64_t state = check->run->seed | 1;
    for (uint32_t i = 0; i < DRAWS; i++) {
        /* xorshift64* (Vigna, ACM TOMS 2016) */
        uint64_t value[2];
        for (int k = 0; k < 2; k++) {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            value[k] = state * UINT64_C(2685821657736338717);
        }
        check->draws[i] = (struct draw){.series = (value[0] >> 11) % check->run->series,
            .pass = (value[1] >> 11) % check->run->passes};
    }
    qsort(check->draws, DRAWS, sizeof check->draws[0], compare_draws);
    for (uint64_t series = 0; series < check->run->series; series++)
        check->first_draw[series] = DRAWS;
    for (uint32_t i = DRAWS; i-- > 0;)
        check->first_draw[check->draws[i].series] = i;
}

static enum weir_err
on_sample(void *context, size_t index, int64_t time_ms, double value)
{
    struct check *check = context;
    const struct weir_bench_run *run = check->run;
    check->found->samples++;
    uint64_t series = check->series[index];
    for (uint32_t i = check->first_draw[series]; i < DRAWS && check->draws[i].series == series;
         i++) {
        struct draw *draw = &check->draws[i];
        if (weir_bench_time_ms(run->proto, run->start_ms, run->step_ms, series,
                draw->pass) != time_ms)
            continue;
        draw->met = true;
        draw->found = weir_double_bits(value) ==
            weir_double_bits(weir_bench_value(run->proto, series, draw->pass));
    }
    return WEIR_OK;
}

/* Keeps the run's own series of those selected; the directory may hold earlier, larger runs. */
static size_t
keep_series(struct check *check, struct weir_reader *reader, uint64_t *numbers, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *labels;
        size_t size;
        weir_reader_labels(reader, numbers[i], &labels, &size);
        if (!weir_bench_series_of(check->run->proto, labels, size, &check->series[kept]) ||
            check->series[kept] >= check->run->series)
            continue;
        numbers[kept++] = numbers[i];
    }
    return kept;
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
    if (err == WEIR_OK)
        err = weir_reader_open(directory, shared, &reader);
    if (err != WEIR_OK)
        return err;
    err = weir_reader_refresh(reader);
    if (err != WEIR_OK)
        return err;
    const char *job = weir_bench_job(run->proto);
    const struct weir_match match = {.name = "job",
        .value = job,
        .value_size = strlen(job),
        .kind = WEIR_MATCH_EQUAL};
    uint64_t *numbers;
    size_t count;
    err = weir_reader_select(reader, &match, 1, &numbers, &count);
    if (err != WEIR_OK)
        return err;
    check->series = malloc((count + 1) * sizeof *check->series);
    if (check->series == NULL)
        return weir_fail(WEIR_NOMEM, 0, "selection of %zu series", count);
    count = keep_series(check, reader, numbers, count);
    int64_t end_ms = run->start_ms + (int64_t)(run->passes + 1) * run->step_ms;
    return weir_reader_scan(reader, numbers, count, run->start_ms, end_ms, on_sample, check);
}

static enum weir_err
child_work(const struct weir_bench_run *run, struct weir_bench_found *found)
{
    struct check *check = calloc(1, sizeof *check);
    if (check == NULL)
        return weir_fail(WEIR_NOMEM, 0, "check");
    check->run = run;
    check->found = found;
    check->first_draw = malloc(run->series * sizeof *check->first_draw);
    if (check->first_draw == NULL)
        return weir_fail(WEIR_NOMEM, 0, "draws");
    draw_samples(check);
    int64_t start_ns = weir_mono_ns();
    enum weir_err err = read_back(check);
    found->seconds = (double)(weir_mono_ns() - start_ns) / 1e9;
    found->compared = DRAWS;
    for (uint32_t i = 0; i < DRAWS; i++) {
        found->mismatched += !check->draws[i].found;
        found->missing += !check->draws[i].met;
    }
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
            fprintf(stderr, "read back: %s: %s\n", weir_err_text(err), weir_err_detail());
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
