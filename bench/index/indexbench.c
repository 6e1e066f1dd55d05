/* indexbench: builds a label index, asks it, and prints what that took. */
#include "bench/index/hosts.h"
#include "storage/index/index.h"
#include "storage/index/merge.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WRITER_MEMORY (UINT64_C(256) << 20)
#define WIDE_VALUES 500000
#define WIDE_SHARD 4000
#define REPEATS 20

struct bench {
    uint64_t series;
    char directory[512];
    struct weir_io *io;
    struct weir_index *index;
    struct weir_index_reader *reader;
    struct weir_index_writer *writer;
    void *writer_memory;
    double label_seconds; /* of making labels, which is not the index's */
    double add_seconds;
    double merge_seconds;
    uint64_t file_bytes;
    uint64_t label_bytes;
    uint32_t runs;
};

static double
now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void
must(enum weir_err err, const char *what)
{
    if (err == WEIR_OK)
        return;
    fprintf(stderr, "indexbench: %s: %s (%s)\n", what, weir_err_text(err), weir_err_detail());
    exit(1);
}

static uint64_t
resident_bytes(void)
{
    unsigned long long pages = 0, ignored;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%llu %llu", &ignored, &pages) != 2)
        pages = 0;
    if (file != NULL)
        fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
segment_path(const struct bench *bench, uint32_t shard, char path[600])
{
    snprintf(path, 600, "%s/%u-1.index", bench->directory, shard);
}

static void
new_index(struct bench *bench)
{
    struct weir_index_reader_options options = {.io = bench->io};
    must(weir_index_new(WEIR_INDEX_CACHE_BYTES, &bench->index), "index");
    must(weir_index_reader_new(bench->index, &options, &bench->reader), "reader");
}

static void
end_index(struct bench *bench)
{
    weir_index_reader_free(bench->reader);
    weir_index_free(bench->index, bench->io);
}

/* Merges a shard's deltas into its first segment. */
static void
merge(struct bench *bench, uint32_t shard)
{
    char path[600];
    struct weir_index_merge *merge;
    struct weir_index_footer footer;
    enum weir_err err;
    double begin = now();
    segment_path(bench, shard, path);
    struct weir_index_view *view = weir_index_view_open(bench->index);
    struct weir_index_merge_options options = {.reader = bench->reader,
        .view = view,
        .writer = bench->writer,
        .segment = {path, shard, 1, 0x123456789 + shard}};
    must(weir_index_merge_begin(&options, &merge), "merge");
    while ((err = weir_index_merge_step(merge, 10000, &footer)) == WEIR_AGAIN)
        continue;
    must(err, "merge");
    bench->runs += weir_index_writer_runs(bench->writer);
    weir_index_merge_end(merge);
    weir_index_view_close(view);
    must(weir_index_open_segment(bench->index, bench->io, path), "open");
    bench->merge_seconds += now() - begin;
    bench->file_bytes += footer.bytes;
}

/* Labels are made in batches, apart from the clock of adding. */
static void
build(struct bench *bench)
{
    enum { BATCH = 4096 };
    static struct weir_index_series series[BATCH];
    static uint8_t labels[BATCH][512];
    uint8_t one[WEIR_LABELS_BYTES_MAX];
    for (uint64_t first = 0; first < bench->series; first += BATCH) {
        uint64_t count = bench->series - first < BATCH ? bench->series - first : BATCH;
        for (uint64_t i = 0; i < count; i++) {
            size_t size = hosts_labels(first + i, one);
            memcpy(labels[i], one, size);
            series[i] = (struct weir_index_series){.number = first + i,
                .labels = labels[i],
                .size = size,
                .day_first = 20000,
                .day_last = WEIR_DAY_OPEN};
            bench->label_bytes += size;
        }
        double begin = now();
        for (uint64_t i = 0; i < count; i++)
            must(weir_index_add(bench->index, &series[i]), "add");
        bench->add_seconds += now() - begin;
        if ((first + count) % WEIR_SHARD_SERIES == 0 || first + count == bench->series)
            merge(bench, (uint32_t)((first + count - 1) >> WEIR_SHARD_BITS));
    }
}

static double
open_all(struct bench *bench)
{
    char path[600];
    double begin = now();
    for (uint32_t shard = 0; shard <= (bench->series - 1) >> WEIR_SHARD_BITS; shard++) {
        segment_path(bench, shard, path);
        must(weir_index_open_segment(bench->index, bench->io, path), "open");
    }
    return (now() - begin) * 1e3;
}

static struct weir_index_match
match(const char *name, enum weir_index_match_kind kind, const char *value)
{
    return (struct weir_index_match){name, strlen(name), value, strlen(value), kind};
}

static double
select_once(struct bench *bench, const struct weir_index_match *matches, size_t count,
    uint64_t *found)
{
    struct weir_index_matchers *matchers;
    struct weir_index_selection *selection;
    double begin = now();
    must(weir_index_matchers_new(matches, count, &matchers), "matchers");
    struct weir_index_view *view = weir_index_view_open(bench->index);
    must(weir_index_select(bench->reader, view, matchers, WEIR_INDEX_ANY_DAY, &selection),
        "select");
    double took = now() - begin;
    *found = weir_index_selection_count(selection);
    weir_index_selection_free(selection);
    weir_index_view_close(view);
    weir_index_matchers_free(matchers);
    return took * 1e3;
}

/* The first time with an empty cache, and the median of more. */
static void
print_select(struct bench *bench, const char *key, const struct weir_index_match *matches,
    size_t count)
{
    double times[REPEATS];
    uint64_t found;
    char path[600];
    end_index(bench);
    new_index(bench);
    open_all(bench);
    segment_path(bench, WIDE_SHARD, path);
    must(weir_index_open_segment(bench->index, bench->io, path), "open");
    double cold = select_once(bench, matches, count, &found);
    for (size_t i = 0; i < REPEATS; i++) {
        double took = select_once(bench, matches, count, &found);
        size_t at = i;
        for (; at > 0 && times[at - 1] > took; at--)
            times[at] = times[at - 1];
        times[at] = took;
    }
    printf(" \"%s\": {\"cold_ms\": %.3f, \"ms\": %.3f, \"found\": %" PRIu64 "},\n", key, cold,
        times[REPEATS / 2], found);
}

/* A shard of one metric whose label has as many values as series. */
static void
build_wide(struct bench *bench)
{
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    uint64_t bytes = bench->file_bytes;
    double seconds = bench->merge_seconds;
    for (uint64_t i = 0; i < WIDE_VALUES; i++) {
        char text[64];
        hosts_pod(i / HOSTS_PODS + 10000000, (unsigned)(i % HOSTS_PODS), text, sizeof text);
        struct weir_label list[2] = {
            {(const uint8_t *)"__name__", (const uint8_t *)"wide", 8, 4},
            {(const uint8_t *)"id", (const uint8_t *)text, 2, (uint16_t)strlen(text)}};
        struct weir_index_series series = {.number =
                ((uint64_t)WIDE_SHARD << WEIR_SHARD_BITS) + i,
            .labels = labels,
            .day_last = WEIR_DAY_OPEN};
        must(weir_labels_encode(list, 2, labels, &series.size), "labels");
        must(weir_index_add(bench->index, &series), "add");
    }
    merge(bench, WIDE_SHARD);
    printf(" \"wide_bytes_per_series\": %.2f,\n",
        (double)(bench->file_bytes - bytes) / WIDE_VALUES);
    bench->file_bytes = bytes;
    bench->merge_seconds = seconds;
}

static enum weir_err
count_string(void *context, const char *text, size_t size)
{
    (void)text;
    (void)size;
    ++*(uint64_t *)context;
    return WEIR_OK;
}

static void
print_listing(struct bench *bench, const char *key, const char *name,
    const struct weir_index_match *matches, size_t count)
{
    struct weir_index_matchers *matchers;
    uint64_t strings = 0;
    double begin = now();
    must(weir_index_matchers_new(matches, count, &matchers), "matchers");
    struct weir_index_view *view = weir_index_view_open(bench->index);
    struct weir_index_strings wanted = {.name = name,
        .matchers = matchers,
        .range = WEIR_INDEX_ANY_DAY,
        .prefix = ""};
    must(weir_index_strings(bench->reader, view, &wanted, count_string, &strings), "strings");
    printf(" \"%s\": {\"ms\": %.3f, \"strings\": %" PRIu64 "},\n", key, (now() - begin) * 1e3,
        strings);
    weir_index_view_close(view);
    weir_index_matchers_free(matchers);
}

/* Order, labels and groups of a whole metric. */
static void
print_metric(struct bench *bench)
{
    struct weir_index_match matches[] = {match("__name__", WEIR_INDEX_EQUAL, "node_load")};
    const char *names[] = {"cluster"};
    struct weir_index_grouping grouping = {names, 1, false};
    struct weir_index_matchers *matchers;
    struct weir_index_selection *selection;
    must(weir_index_matchers_new(matches, 1, &matchers), "matchers");
    struct weir_index_view *view = weir_index_view_open(bench->index);
    must(weir_index_select(bench->reader, view, matchers, WEIR_INDEX_ANY_DAY, &selection),
        "select");
    uint64_t count = weir_index_selection_count(selection);
    uint32_t *ids = malloc((count + 1) * sizeof *ids), groups;
    must(ids == NULL ? WEIR_NOMEM : WEIR_OK, "ids");
    double begin = now();
    must(weir_index_selection_groups(bench->reader, selection, &grouping, ids, &groups), "groups");
    double grouped = now();
    must(weir_index_selection_sort(bench->reader, selection), "sort");
    double sorted = now();
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *labels;
        size_t size;
        must(weir_index_selection_labels(bench->reader, selection, i, &labels, &size), "labels");
    }
    double labels_end = now();
    printf(" \"metric\": {\"series\": %" PRIu64 ", \"groups\": %u, \"groups_ms\": %.3f, "
           "\"sort_ms\": %.3f, \"labels_ns\": %.1f},\n",
        count, groups, (grouped - begin) * 1e3, (sorted - grouped) * 1e3,
        (labels_end - sorted) * 1e9 / (double)(count == 0 ? 1 : count));
    free(ids);
    weir_index_selection_free(selection);
    weir_index_view_close(view);
    weir_index_matchers_free(matchers);
}

static void
ask(struct bench *bench)
{
    char instance[96], pod[64], pods[800];
    uint64_t hosts = (bench->series - 1) / HOSTS_SERIES + 1;
    hosts_instance(hosts / 2, instance, sizeof instance);
    hosts_pod(hosts / 3, 4, pod, sizeof pod);
    size_t used = 0;
    for (unsigned i = 0; i < 20; i++) {
        char text[64];
        hosts_pod(hosts / 3 + i * 7 % (hosts / 2 + 1), i % HOSTS_PODS, text, sizeof text);
        used += (size_t)snprintf(pods + used, sizeof pods - used, "%s%s", i == 0 ? "" : "|", text);
    }
    struct weir_index_match host[] = {match("instance", WEIR_INDEX_EQUAL, instance)};
    struct weir_index_match one[] = {match("__name__", WEIR_INDEX_EQUAL, "node_cpu_seconds_total"),
        match("instance", WEIR_INDEX_EQUAL, instance), match("mode", WEIR_INDEX_NOT_EQUAL, "idle"),
        match("job", WEIR_INDEX_EQUAL, "node")};
    struct weir_index_match set[] = {match("pod", WEIR_INDEX_REGEX, pods)};
    struct weir_index_match filtered[] = {
        match("__name__", WEIR_INDEX_EQUAL, "container_memory_rss"),
        match("pod", WEIR_INDEX_EQUAL, pod), match("namespace", WEIR_INDEX_REGEX, ".*a.*")};
    struct weir_index_match metric[] = {match("__name__", WEIR_INDEX_EQUAL, "node_load"),
        match("region", WEIR_INDEX_REGEX, "eu-.*")};
    struct weir_index_match regex[] = {match("pod", WEIR_INDEX_REGEX, ".*7z.*q.*")};
    struct weir_index_match wide[] = {match("id", WEIR_INDEX_REGEX, ".*[0-9]z.*q.*")};
    struct weir_index_match most[] = {match("job", WEIR_INDEX_NOT_EQUAL, "none")};
    print_select(bench, "select_host", host, 1);
    print_select(bench, "select_host_metric", one, 4);
    print_select(bench, "select_set_of_20", set, 1);
    print_select(bench, "select_pod", filtered, 3);
    print_select(bench, "select_metric_region", metric, 2);
    print_select(bench, "select_all", most, 1);
    print_select(bench, "regex_pods", regex, 1);
    print_select(bench, "regex_500000_values", wide, 1);
    print_listing(bench, "values_of_metrics_of_host", "__name__", host, 1);
    print_listing(bench, "values_of_pod_of_host", "pod", host, 1);
    print_listing(bench, "values_of_pod", "pod", NULL, 0);
    print_metric(bench);
}

static void
usage(void)
{
    fputs("usage: indexbench [--series N] [--directory DIR]\n\n"
          "Builds a label index of N series (1000000) below DIR (/tmp), and asks it.\n", stderr);
    exit(2);
}

static void
read_options(int argc, char **argv, struct bench *bench)
{
    static const struct option options[] = {{"series", required_argument, NULL, 's'},
        {"directory", required_argument, NULL, 'd'}, {NULL, 0, NULL, 0}};
    const char *base = "/tmp";
    int option;
    bench->series = 1000000;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's')
            bench->series = strtoull(optarg, NULL, 10);
        else if (option == 'd')
            base = optarg;
        else
            usage();
    }
    if (optind != argc || bench->series < 1000 || bench->series > UINT64_C(1) << 31)
        usage();
    snprintf(bench->directory, sizeof bench->directory, "%s/weir-indexbench-XXXXXX", base);
    if (mkdtemp(bench->directory) == NULL)
        must(weir_fail(WEIR_IO, errno, "%s", bench->directory), "directory");
}

static void
clean_up(struct bench *bench)
{
    char path[600];
    for (uint32_t shard = 0; shard <= (bench->series - 1) >> WEIR_SHARD_BITS; shard++) {
        segment_path(bench, shard, path);
        unlink(path);
    }
    segment_path(bench, WIDE_SHARD, path);
    unlink(path);
    rmdir(bench->directory);
}

int
main(int argc, char **argv)
{
    static struct bench bench;
    struct weir_io_options options = {.backend = WEIR_IO_AUTO};
    read_options(argc, argv, &bench);
    must(weir_io_new(&options, &bench.io), "io");
    bench.writer_memory = aligned_alloc(64, WRITER_MEMORY);
    must(bench.writer_memory == NULL ? WEIR_NOMEM : WEIR_OK, "writer");
    bench.writer = weir_index_writer_init(bench.writer_memory, WRITER_MEMORY, bench.io);
    new_index(&bench);
    double series = (double)bench.series;
    build(&bench);
    printf("{\n \"series\": %" PRIu64 ",\n \"label_bytes_per_series\": %.1f,\n"
           " \"delta_adds_per_s\": %.0f,\n \"build_ns_per_series\": %.1f,\n"
           " \"bytes_per_series\": %.2f,\n \"scratch_runs\": %u,\n",
        bench.series, (double)bench.label_bytes / series, series / bench.add_seconds,
        bench.merge_seconds * 1e9 / series, (double)bench.file_bytes / series, bench.runs);
    build_wide(&bench);
    end_index(&bench);
    free(bench.writer_memory);
    new_index(&bench);
    printf(" \"open_ms\": %.3f,\n", open_all(&bench));
    ask(&bench);
    const struct weir_index_counts *counts = weir_index_reader_counts(bench.reader);
    printf(" \"resident_bytes\": %" PRIu64 ",\n \"blocks_damaged\": %" PRIu64 "\n}\n",
        resident_bytes(), counts->blocks_damaged);
    end_index(&bench);
    weir_io_free(bench.io);
    clean_up(&bench);
    return 0;
}
