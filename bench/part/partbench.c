/* partbench: bytes, and nanoseconds of CPU, that parts cost. bench/part/README.md. */
#include "bench/part/shapes.h"
#include "model/sample.h"
#include "storage/part/part_reader.h"
#include "storage/part/part_writer.h"

#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SEED UINT64_C(0x77656972)
#define START_MS INT64_C(1700006400000)
#define DAY_MS INT64_C(86400000)
#define SAMPLES 720
#define LEVEL1_SAMPLES 6  /* a minute */
#define LEVEL2_SAMPLES 90 /* a quarter of an hour */
#define ROUNDS 5

struct bench {
    struct weir_io *io;
    struct weir_part_writer *writer;
    struct weir_part_reader *reader;
    char path[512];
    uint64_t file_id; /* of the last part: a reader knows blocks by it */
    bool json;
    const char *only; /* name of a run; NULL: all */
    uint32_t hosts;
    uint32_t samples; /* a series */
    int64_t *times_ms;
    uint64_t *values;
    int8_t *exponents;
    uint8_t *kinds;
};

static const struct weir_part_writer_limits limits = {1u << 16, 1u << 17};

static void
stop(const char *what)
{
    fprintf(stderr, "partbench: %s: %s\n", what, weir_err_detail());
    exit(1);
}

static double
cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Fills the columns of the series at `place` of `count` samples. */
typedef void fill_fn(struct bench *bench, uint32_t host, unsigned shape, size_t place);

static void
fill_shape(struct bench *bench, uint32_t host, unsigned shape, size_t place)
{
    int exponent =
        shape_values(SEED, host, shape, bench->samples, (int64_t *)bench->values + place);
    memset(bench->exponents + place, exponent, bench->samples);
    memset(bench->kinds + place, WEIR_VALUE_DECIMAL, bench->samples);
}

/* A sum of waves: no decimal, and every bit of the double is in use. */
static void
fill_double(struct bench *bench, uint32_t host, unsigned shape, size_t place)
{
    for (uint32_t i = 0; i < bench->samples; i++) {
        double value = 100 + shape + sin(host + i * 0.01) + sin(i * 0.37) * 0.01;
        bench->values[place + i] = weir_double_bits(value);
    }
    memset(bench->exponents + place, 0, bench->samples);
    memset(bench->kinds + place, WEIR_VALUE_DOUBLE, bench->samples);
}

struct run {
    const char *name;
    int64_t interval_ms;
    int64_t jitter_ms;
    uint32_t samples;
    unsigned shape_first;
    unsigned shape_count;
    enum weir_effort effort;
    fill_fn *fill;
};

struct figures {
    double bytes;
    double encode_ns;
    double values_ns;
    double all_ns;
    double statistics_ns;
};

static size_t
place_of(const struct bench *bench, const struct run *run, uint32_t host, unsigned shape)
{
    return ((size_t)host * run->shape_count + shape) * bench->samples;
}

static void
generate(struct bench *bench, const struct run *run)
{
    bench->samples = run->samples;
    for (uint32_t host = 0; host < bench->hosts; host++) {
        shape_times(SEED, host, START_MS, run->interval_ms, run->jitter_ms, run->samples,
            bench->times_ms + (size_t)host * run->samples);
        for (unsigned shape = 0; shape < run->shape_count; shape++)
            run->fill(bench, host, run->shape_first + shape, place_of(bench, run, host, shape));
    }
}

static void
add(struct bench *bench, const struct run *run, uint32_t host, unsigned shape)
{
    size_t place = place_of(bench, run, host, shape);
    struct weir_part_samples samples = {bench->times_ms + (size_t)host * bench->samples,
        bench->values + place, bench->exponents + place, bench->kinds + place, bench->samples};
    uint32_t number = host * run->shape_count + shape;
    if (weir_part_writer_add(bench->writer, number >> WEIR_PART_SHARD_BITS,
            number & ((1u << WEIR_PART_SHARD_BITS) - 1), &samples) != WEIR_OK)
        stop("add");
}

/* Writes a part: by metric, then host; or by number. */
static void
encode(struct bench *bench, const struct run *run, struct figures *out)
{
    bool fast = run->effort == WEIR_EFFORT_FAST;
    struct weir_part_writer_options options = {.path = bench->path,
        .key = {START_MS - DAY_MS, START_MS + DAY_MS, 0, UINT32_MAX, 0, fast ? 1 : 3,
            fast ? WEIR_PART_BY_NUMBER : WEIR_PART_BY_LABELS},
        .file_id = ++bench->file_id,
        .effort = run->effort,
        .statistics = !fast};
    struct weir_part_origin origin = {0, 1, {0, 0, 0, 0, 0}};
    double begin = cpu_ns();
    if (weir_part_writer_open(bench->writer, &options) != WEIR_OK)
        stop("open");
    if (fast) {
        for (uint32_t host = 0; host < bench->hosts; host++)
            for (unsigned shape = 0; shape < run->shape_count; shape++)
                add(bench, run, host, shape);
    } else {
        for (unsigned shape = 0; shape < run->shape_count; shape++)
            for (uint32_t host = 0; host < bench->hosts; host++)
                add(bench, run, host, shape);
    }
    if (weir_part_writer_finish(bench->writer, &origin, NULL) != WEIR_OK)
        stop("finish");
    double ns = cpu_ns() - begin;
    out->encode_ns = ns < out->encode_ns ? ns : out->encode_ns;
}

/* Reads statistics only, or values, or values and times of the whole part. */
static double
decode(struct bench *bench, const struct weir_part *part, int depth)
{
    static double values[WEIR_CHUNK_SAMPLES_MAX];
    double begin = cpu_ns(), sum = 0;
    for (uint32_t n = 0; n < weir_part_directory_count(part); n++) {
        const struct weir_part_entry *entries;
        const int64_t *times_ms;
        uint32_t count;
        if (weir_part_read_directory(bench->reader, part, n, &entries, &count) != WEIR_OK)
            stop("directory");
        for (uint32_t i = 0; i < count; i++) {
            sum += entries[i].statistics.max;
            if (depth > 0 &&
                weir_part_read_values(bench->reader, part, &entries[i], values) != WEIR_OK)
                stop("values");
            if (depth > 1 &&
                weir_part_read_times(bench->reader, part, &entries[i], &times_ms) != WEIR_OK)
                stop("times");
        }
    }
    double ns = cpu_ns() - begin;
    if (isnan(sum))
        stop("a statistic that is no number");
    return ns;
}

static struct figures
measure(struct bench *bench, const struct run *run)
{
    struct figures out = {0, 1e18, 1e18, 1e18, 1e18};
    struct weir_part *part;
    generate(bench, run);
    for (int i = 0; i < ROUNDS; i++)
        encode(bench, run, &out);
    if (weir_part_open(bench->io, bench->path, &part) != WEIR_OK)
        stop("open");
    for (int i = 0; i < ROUNDS; i++) {
        double *figures[] = {&out.statistics_ns, &out.values_ns, &out.all_ns};
        for (int depth = 0; depth < 3; depth++) {
            double ns = decode(bench, part, depth);
            *figures[depth] = ns < *figures[depth] ? ns : *figures[depth];
        }
    }
    const struct weir_part_footer *footer = weir_part_footer(part);
    const struct weir_part_block *last = &weir_part_blocks(part)[footer->block_count - 1];
    double samples = (double)footer->ledger.live;
    out.bytes = ((double)last->place * WEIR_PART_ALIGN + last->bytes +
                    2.0 * footer->block_count * sizeof *last) /
        samples;
    out.encode_ns /= samples;
    out.values_ns /= samples;
    out.all_ns /= samples;
    out.statistics_ns /= (double)footer->chunks;
    weir_part_close(bench->io, part);
    return out;
}

static void
print(const struct bench *bench, const struct run *run, const struct figures *figures)
{
    if (bench->json) {
        printf("{\"samples_of\": \"%s\", \"interval_ms\": %" PRId64 ", \"jitter_ms\": %" PRId64
               ", \"bytes\": %.4f, \"encode_ns\": %.3f, \"values_ns\": %.3f, \"all_ns\": %.3f}\n",
            run->name, run->interval_ms, run->jitter_ms, figures->bytes, figures->encode_ns,
            figures->values_ns, figures->all_ns);
        return;
    }
    printf("%-22s %6.2f s %2d ms %5.3f B %6.2f ns %8.2f ns %6.0f M/s %8.2f ns %7.1f ns\n",
        run->name, (double)run->interval_ms / 1000, (int)run->jitter_ms, figures->bytes,
        figures->encode_ns, figures->values_ns, 1e3 / figures->values_ns, figures->all_ns,
        figures->statistics_ns);
}

/* One value as its sender would write it: exponent is 0 to -4. */
static void
print_value(int64_t mantissa, int exponent)
{
    int64_t power = 1;
    for (int i = exponent; i < 0; i++)
        power *= 10;
    if (exponent == 0)
        printf("%" PRId64, mantissa);
    else
        printf("%" PRId64 ".%0*" PRId64, mantissa / power, -exponent, mantissa % power);
}

/* The series of the first runs, as VictoriaMetrics imports them. */
static void
print_import(uint32_t hosts, int64_t interval_ms, int64_t jitter_ms)
{
    static int64_t mantissas[SAMPLES], times_ms[SAMPLES];
    for (uint32_t host = 0; host < hosts; host++) {
        shape_times(SEED, host, START_MS, interval_ms, jitter_ms, SAMPLES, times_ms);
        for (unsigned shape = 0; shape < WEIR_SHAPES; shape++) {
            int exponent = shape_values(SEED, host, shape, SAMPLES, mantissas);
            printf("{\"metric\":{\"__name__\":\"metric_%u\",\"host\":\"host-%05u\"},\"values\":[",
                shape, host);
            for (int i = 0; i < SAMPLES; i++) {
                fputs(i > 0 ? "," : "", stdout);
                print_value(mantissas[i], exponent);
            }
            fputs("],\"timestamps\":[", stdout);
            for (int i = 0; i < SAMPLES; i++)
                printf("%s%" PRId64, i > 0 ? "," : "", times_ms[i]);
            puts("]}");
        }
    }
}

static bool
wanted(const struct bench *bench, const char *name)
{
    return bench->only == NULL || strcmp(bench->only, name) == 0;
}

static void
run_one(struct bench *bench, const struct run *run)
{
    if (!wanted(bench, run->name))
        return;
    struct figures figures = measure(bench, run);
    print(bench, run, &figures);
}

static void
run_all(struct bench *bench)
{
    if (!bench->json)
        printf("%-22s %8s %5s %7s %9s %11s %10s %11s %10s\n", "samples of", "interval", "jitter",
            "bytes", "encode", "values", "rate", "and times", "directory");
    struct run all = {"all", 10000, 3, SAMPLES, 0, WEIR_SHAPES, WEIR_EFFORT_BEST, fill_shape};
    for (int i = 0; i < 4; i++) {
        all.interval_ms = i < 2 ? 10000 : 15000;
        all.jitter_ms = i % 2 == 0 ? 3 : 0;
        run_one(bench, &all);
    }
    all.interval_ms = 10000;
    all.jitter_ms = 3;
    for (unsigned first = 0, end = 0; first < WEIR_SHAPES; first = end) {
        while (end < WEIR_SHAPES && shape_group_of(end) == shape_group_of(first))
            end++;
        struct run group = all;
        group.name = shape_group_names[shape_group_of(first)];
        group.shape_first = first;
        group.shape_count = end - first;
        run_one(bench, &group);
    }
    struct run doubles = {"doubles", 10000, 3, SAMPLES, 0, 4, WEIR_EFFORT_BEST, fill_double};
    run_one(bench, &doubles);
    /* as many samples of as many more series */
    uint32_t hosts = bench->hosts;
    struct run lower = {
        "level 2", 10000, 3, LEVEL2_SAMPLES, 0, WEIR_SHAPES, WEIR_EFFORT_FAST, fill_shape};
    bench->hosts = hosts * (SAMPLES / LEVEL2_SAMPLES);
    run_one(bench, &lower);
    lower.name = "level 2, best";
    lower.effort = WEIR_EFFORT_BEST;
    run_one(bench, &lower);
    lower.name = "level 1";
    lower.samples = LEVEL1_SAMPLES;
    lower.effort = WEIR_EFFORT_FAST;
    bench->hosts = hosts * (SAMPLES / LEVEL1_SAMPLES);
    run_one(bench, &lower);
}

/* Memory for the largest run. */
static void
prepare(struct bench *bench)
{
    size_t most = (size_t)bench->hosts * WEIR_SHAPES * SAMPLES;
    struct weir_io_options io_options = {.backend = WEIR_IO_SYNC};
    size_t footprint = (weir_part_writer_footprint(&limits) + 4095) & ~(size_t)4095;
    void *writer = aligned_alloc(WEIR_IO_ALIGN, footprint);
    void *reader = aligned_alloc(64, (weir_part_reader_footprint() + 63) & ~(size_t)63);
    bench->times_ms = malloc((size_t)bench->hosts * SAMPLES * sizeof *bench->times_ms);
    bench->values = malloc(most * sizeof *bench->values);
    bench->exponents = malloc(most);
    bench->kinds = malloc(most);
    if (bench->hosts == 0 || writer == NULL || reader == NULL || bench->times_ms == NULL ||
        bench->values == NULL || bench->exponents == NULL || bench->kinds == NULL ||
        weir_io_new(&io_options, &bench->io) != WEIR_OK)
        stop("no memory");
    bench->writer = weir_part_writer_init(writer, &limits, bench->io);
    bench->reader = weir_part_reader_init(reader, bench->io);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"hosts", required_argument, NULL, 'n'},
        {"directory", required_argument, NULL, 'd'}, {"only", required_argument, NULL, 'o'},
        {"import", required_argument, NULL, 'i'}, {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0}};
    struct bench bench = {.hosts = 500};
    const char *directory = "/dev/shm", *import = NULL;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'n')
            bench.hosts = (uint32_t)strtoul(optarg, NULL, 10);
        else if (option == 'd')
            directory = optarg;
        else if (option == 'o')
            bench.only = optarg;
        else if (option == 'i')
            import = optarg;
        else if (option == 'j')
            bench.json = true;
        else
            return 2;
    }
    if (import != NULL) {
        print_import(bench.hosts, 10000, strtol(import, NULL, 10));
        return 0;
    }
    snprintf(bench.path, sizeof bench.path, "%s/partbench-%d.part", directory, (int)getpid());
    prepare(&bench);
    run_all(&bench);
    unlink(bench.path);
    return 0;
}
