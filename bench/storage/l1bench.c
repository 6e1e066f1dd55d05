/* l1bench: what it costs to merge frames into a part of level 1. One thread; the frames are in
 * memory, the part goes to a file.
 *
 *   l1bench DIRECTORY [SERIES [FRAMES]]    default 1,000,000 series and 100 full frames
 */
#include "base/memory.h"
#include "storage/keeper/l1.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 5
#define HOST_SERIES 200
#define BASE_MS INT64_C(1699970400000)

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
now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void
die(const char *what)
{
    fprintf(stderr, "l1bench: %s: %s\n", what, weir_err_detail());
    exit(1);
}

struct bench {
    uint32_t hosts;
    uint32_t frame_count;
    uint32_t *order; /* of hosts in a pass: shuffled */
    int64_t *values; /* of series: a counter, or a gauge that walks */
    uint32_t next;   /* host of this pass */
    uint32_t pass;
    uint8_t **frames;
    struct weir_merge_unit unit;
};

static enum weir_err
read_block(
    void *context, const struct weir_merge_block *block, uint8_t *data, const uint8_t **bytes)
{
    (void)data;
    const struct bench *bench = context;
    *bytes = bench->frames[block->frame] + block->entry.at;
    return WEIR_OK;
}

/* One report of a host: every series once, at one time, as an agent sends it each 10 s. */
static void
append_host(struct bench *bench, struct weir_batch *batch)
{
    if (bench->next == bench->hosts) {
        bench->next = 0;
        bench->pass++;
        for (uint32_t i = bench->hosts - 1; i > 0; i--) {
            uint32_t j = (uint32_t)(draw() % (i + 1));
            uint32_t kept = bench->order[i];
            bench->order[i] = bench->order[j];
            bench->order[j] = kept;
        }
    }
    uint32_t host = bench->order[bench->next++];
    int64_t time_ms = BASE_MS + bench->pass * 10000 + host % 10000 + (int64_t)(draw() % 3);
    for (uint32_t i = 0; i < HOST_SERIES; i++) {
        uint64_t series = (uint64_t)host * HOST_SERIES + i;
        int64_t *value = &bench->values[series];
        *value += i % 3 == 0 ? (int64_t)(draw() % 500) : (int64_t)(draw() % 41) - 20;
        weir_batch_append(batch, weir_sample_key(series, WEIR_VALUE_DECIMAL, i % 3 == 0 ? 0 : -2),
            time_ms, (uint64_t)*value);
    }
}

static void
make_frames(struct bench *bench)
{
    struct weir_batch *batch = aligned_alloc(64, (sizeof *batch + 63) / 64 * 64);
    void *memory = aligned_alloc(64, (weir_frame_encoder_footprint() + 63) / 64 * 64);
    struct weir_frame_encoder *encoder = weir_frame_encoder_init(memory);
    batch->definitions = NULL;
    uint64_t offset = 0;
    for (uint32_t f = 0; f < bench->frame_count; f++) {
        weir_batch_reset(batch);
        while (batch->count + HOST_SERIES <= WEIR_BATCH_SAMPLES_MAX)
            append_host(bench, batch);
        uint8_t *frame = aligned_alloc(WEIR_FRAME_ALIGN, WEIR_FRAME_BYTES_MAX);
        const struct weir_frame_place place = {.offset = offset};
        size_t bytes, count;
        weir_frame_encode(encoder, batch, &place, frame, &bytes, NULL);
        bench->frames[f] = frame = realloc(frame, bytes);
        const struct weir_frame_block *blocks;
        if (weir_frame_index(frame, bytes, &blocks, &count) != WEIR_OK)
            die("index");
        bench->unit.blocks = realloc(
            bench->unit.blocks, (bench->unit.block_count + count) * sizeof *bench->unit.blocks);
        for (size_t i = 0; i < count; i++)
            bench->unit.blocks[bench->unit.block_count++] =
                (struct weir_merge_block){.entry = blocks[i], .frame_offset = offset, .frame = f};
        bench->unit.samples += batch->count;
        bench->unit.frame_count++;
        offset += bytes;
    }
    bench->unit.log_through = offset;
    free(memory);
    free(batch);
}

static uint64_t
next_id(void *context)
{
    (void)context;
    return draw() | 1;
}

int
main(int argc, char **argv)
{
    if (argc < 2)
        die("usage: l1bench DIRECTORY [SERIES [FRAMES]]");
    struct bench bench = {.hosts = (argc > 2 ? (uint32_t)atoi(argv[2]) : 1000000) / HOST_SERIES,
        .frame_count = argc > 3 ? (uint32_t)atoi(argv[3]) : 100};
    bench.next = bench.hosts;
    bench.order = malloc(bench.hosts * sizeof *bench.order);
    for (uint32_t i = 0; i < bench.hosts; i++)
        bench.order[i] = i;
    bench.values = calloc((size_t)bench.hosts * HOST_SERIES, sizeof *bench.values);
    bench.frames = calloc(bench.frame_count, sizeof *bench.frames);
    bench.unit.series_through = (uint64_t)bench.hosts * HOST_SERIES;
    bench.unit.read = read_block;
    bench.unit.context = &bench;
    make_frames(&bench);

    struct weir_manifest *manifest;
    struct weir_io *io;
    const struct weir_io_options io_options = {.backend = WEIR_IO_SYNC};
    if (weir_io_new(&io_options, &io) != WEIR_OK || weir_manifest_new(&manifest) != WEIR_OK)
        die("start");
    uint32_t slice = argc > 4 ? (uint32_t)atoi(argv[4]) : 1u << 19;
    const struct weir_l1_options options = {
        .gather = {.samples_max = slice, .series_max = 4u << 20},
        .writer = {.blocks_max = 1 << 16, .columns_max = 1 << 17},
        .directory = argv[1],
        .io = io,
        .file_id = next_id};
    double stages[WEIR_L1_DONE] = {0};
    size_t footprint = weir_l1_footprint(&options);
    void *memory;
    bool huge = false;
    if (weir_memory_map(footprint, &huge, &memory) != WEIR_OK)
        die("memory");
    struct weir_l1 *l1 = weir_l1_init(memory, &options);
    for (unsigned round = 0; round < ROUNDS; round++) {
        double from = now_ns(CLOCK_PROCESS_CPUTIME_ID), wall = now_ns(CLOCK_MONOTONIC);
        double longest = 0;
        weir_l1_begin(l1, &bench.unit, manifest, 7200000);
        enum weir_err err;
        do {
            enum weir_l1_stage stage = weir_l1_stage(l1);
            double step = now_ns(CLOCK_PROCESS_CPUTIME_ID);
            err = weir_l1_step(l1);
            step = now_ns(CLOCK_PROCESS_CPUTIME_ID) - step;
            stages[stage] += step;
            longest = step > longest ? step : longest;
        } while (err == WEIR_AGAIN);
        if (err != WEIR_OK)
            die("merge");
        double cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - from;
        wall = now_ns(CLOCK_MONOTONIC) - wall;
        const struct weir_manifest_part *part = weir_l1_part(l1, 0);
        printf("%.1f ns of CPU a sample, %.1f ns, %.2f bytes (frames %.2f), longest step %.1f ms\n",
            cpu / (double)bench.unit.samples, wall / (double)bench.unit.samples,
            (double)part->bytes / (double)part->samples,
            (double)bench.unit.log_through / (double)bench.unit.samples, longest / 1e6);
        weir_l1_abort(l1);
    }
    static const char *const names[] = {"look", "open", "slice", "count", "add", "write", "finish"};
    for (enum weir_l1_stage stage = WEIR_L1_LOOK; stage < WEIR_L1_DONE; stage++)
        printf("%s %.2f ns  ", names[stage], stages[stage] / ROUNDS / (double)bench.unit.samples);
    printf("\n");
    return 0;
}
