/* framebench: what it costs to encode and to decode a frame, by shape of its batch (the table in
 * docs/format/frame.md is made by it). One thread, everything in memory.
 *
 *   framebench [ROUNDS]    default 20; the median round is printed
 */
#include "storage/frame/columns.h"
#include "storage/frame/crc.h"
#include "storage/frame/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS_MAX 1000

static uint64_t random_state = 42;

static uint64_t
draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static double
now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

struct shape {
    const char *name;
    uint64_t series;    /* numbers are below it */
    uint32_t run;       /* samples of following series that come together */
    uint32_t spread_ms; /* of times */
    bool ascending;
};

static const struct shape shapes[] = {
    {"1 M series at random", 1000000, 1, 200, false},
    {"10 M series at random", 10000000, 1, 200, false},
    {"hosts of 200 series out of 100 M", 100000000, 200, 1000, false},
    {"every series once, ascending", WEIR_BATCH_SAMPLES_MAX, WEIR_BATCH_SAMPLES_MAX, 200, true},
};

/* Mantissas of 0 to 4 bytes, exponents 0 to -4. */
static void
fill(struct weir_batch *batch, const struct shape *shape)
{
    weir_batch_reset(batch);
    uint64_t series = 0;
    int64_t time_ms = 0;
    for (uint32_t i = 0; i < WEIR_BATCH_SAMPLES_MAX; i++) {
        if (i % shape->run == 0) {
            series = shape->ascending ? 0 : draw() % (shape->series / shape->run) * shape->run;
            time_ms = 1700000000000 + (int64_t)(draw() % shape->spread_ms);
        }
        uint64_t mantissa = draw() & ((UINT64_C(1) << draw() % 5 * 8) - 1);
        uint64_t key =
            weir_sample_key(series + i % shape->run, WEIR_VALUE_DECIMAL, -(int)(draw() % 5));
        weir_batch_append(batch, key, time_ms, mantissa);
    }
}

enum step { ENCODE, CHECK, SAMPLES, COLUMNS, DOUBLES, STEPS };
static const char *const step_names[STEPS] = {
    "encode", "checksum", "samples", "columns", "doubles"};
static double taken[STEPS][ROUNDS_MAX];
static struct weir_sample samples[WEIR_BLOCK_SAMPLES];
static struct weir_columns columns;
static double values[WEIR_COLUMNS_SAMPLES];
static uint64_t sink; /* of results that nobody else looks at */

static void
die(const char *what)
{
    fprintf(stderr, "framebench: %s\n", what);
    exit(1);
}

static void
step_run(enum step step, const uint8_t *frame, size_t bytes)
{
    const struct weir_frame_block *blocks;
    size_t count, decoded;
    if (weir_frame_index(frame, bytes, &blocks, &count) != WEIR_OK)
        die("the frame does not check out");
    for (size_t i = 0; i < count; i++) {
        const uint8_t *block = frame + blocks[i].at;
        if (step == CHECK)
            sink += weir_crc32c(0, block, blocks[i].bytes);
        if (step == SAMPLES &&
            weir_frame_decode_block(frame, bytes, &blocks[i], samples, &decoded) != WEIR_OK)
            die("a block does not check out");
        if (step >= COLUMNS && !weir_block_columns(block, blocks[i].bytes, &blocks[i], &columns))
            die("a block does not decode");
        if (step == DOUBLES)
            weir_columns_doubles(&columns, values);
    }
}

static int
ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void
measure(const struct shape *shape, struct weir_batch *batch, uint8_t *frame, unsigned rounds)
{
    struct weir_frame_encoder *encoder =
        weir_frame_encoder_init(aligned_alloc(64, (weir_frame_encoder_footprint() + 63) / 64 * 64));
    struct weir_frame_place place = {0};
    size_t bytes = 0;
    for (unsigned round = 0; round < rounds; round++) {
        fill(batch, shape);
        for (enum step step = ENCODE; step < STEPS; step++) {
            double from = now_ns();
            if (step == ENCODE)
                weir_frame_encode(encoder, batch, &place, frame, &bytes, NULL);
            else
                step_run(step, frame, bytes);
            taken[step][round] = (now_ns() - from) / WEIR_BATCH_SAMPLES_MAX;
        }
    }
    free(encoder);
    printf("%-34s %5.2f bytes", shape->name, (double)bytes / WEIR_BATCH_SAMPLES_MAX);
    for (enum step step = ENCODE; step < STEPS; step++) {
        qsort(taken[step], rounds, sizeof taken[step][0], ascending);
        printf("  %s %.2f", step_names[step], taken[step][rounds / 2]);
    }
    printf(" ns\n");
}

int
main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 20;
    struct weir_batch *batch = aligned_alloc(64, (sizeof *batch + 63) / 64 * 64);
    uint8_t *frame = aligned_alloc(WEIR_FRAME_ALIGN, WEIR_FRAME_BYTES_MAX);
    if (rounds == 0 || rounds > ROUNDS_MAX || batch == NULL || frame == NULL)
        die("usage: framebench [ROUNDS], 1 to 1000");
    batch->definitions = NULL;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        measure(&shapes[i], batch, frame, rounds);
    free(batch);
    free(frame);
    return sink == 1; /* never in practice; keeps the checksums from being optimised away */
}
