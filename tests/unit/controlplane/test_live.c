/* Queries over the real reader on a log written here: bits from a batch to an answer. */
#include "controlplane/api/names.h"
#include "controlplane/query/query.h"
#include "storage/log/writer/log.h"
#include "tests/unit/storage/temp_dir.h"

#include "base/clock.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#define RING_BYTES (UINT64_C(64) << 20)
#define SERIES 50
#define SAMPLES 2000

static struct weir_batch *batch;
static struct weir_log *log_open;
static struct weir_io *io;
static void *ring;
static char directory[600];

static enum weir_err
define(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    (void)context;
    (void)number;
    (void)labels;
    (void)size;
    return WEIR_OK;
}

static void
open_log(void)
{
    static struct weir_counts counts;
    struct weir_io_options with = {.backend = WEIR_IO_SYNC};
    struct weir_log_recovery recovery;
    ring = aligned_alloc(4096, RING_BYTES);
    memset(ring, 0, RING_BYTES);
    assert_int_equal(weir_io_new(&with, &io), WEIR_OK);
    assert_int_equal(weir_frame_ring_init(ring, RING_BYTES), WEIR_OK);
    struct weir_log_options options = {.directory = directory, .segment_bytes = UINT64_C(16) << 20,
        .size_max = UINT64_C(64) << 20, .io = io, .ring = ring, .counts = &counts,
        .define = define};
    assert_int_equal(weir_log_open(&options, &log_open, &recovery), WEIR_OK);
}

static void
write_batch(void)
{
    struct weir_log_done done[8];
    size_t count = 0;
    enum weir_err err;
    batch->number++;
    while ((err = weir_log_append(log_open, batch)) == WEIR_AGAIN)
        assert_int_equal(weir_log_poll(log_open, 1000000, done, 8, &count), WEIR_OK);
    assert_int_equal(err, WEIR_OK);
    while (weir_log_inflight(log_open) > 0)
        assert_int_equal(weir_log_poll(log_open, 1000000, done, 8, &count), WEIR_OK);
    weir_batch_reset(batch);
}

static void
add_definition(uint64_t number)
{
    char host[20];
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size, used = batch->definition_bytes;
    int length = snprintf(host, sizeof host, "host%02u", (unsigned)number);
    struct weir_label list[] = {{(const uint8_t *)WEIR_NAME_LABEL, (const uint8_t *)"live", 8, 4},
        {(const uint8_t *)"host", (const uint8_t *)host, 4, (uint16_t)length}};
    assert_int_equal(weir_labels_encode(list, 2, labels, &size), WEIR_OK);
    assert_int_equal(weir_definition_append(batch->definitions, WEIR_BATCH_DEFINITIONS_MAX, &used,
        labels, size), WEIR_OK);
    batch->definition_bytes = (uint32_t)used;
    batch->definition_count++;
}

static void
add_double(uint64_t series, int64_t time_ms, double value)
{
    weir_batch_append(batch, weir_sample_key(series, WEIR_VALUE_DOUBLE, 0), time_ms,
        weir_double_bits(value));
}

/* What the log holds: value of sample i of a series; later frames rewrite every tenth. */
static double
value_of(uint64_t series, int i)
{
    double value = (double)series + i / 7.0;
    return i % 10 == 0 ? -value : value;
}

static int
write_log(void **state)
{
    (void)state;
    temp_dir_make();
    snprintf(directory, sizeof directory, "%s/log", temp_dir);
    batch = aligned_alloc(WEIR_CACHE_LINE, sizeof *batch);
    memset(batch, 0, offsetof(struct weir_batch, samples));
    batch->definitions = malloc(WEIR_BATCH_DEFINITIONS_MAX);
    weir_batch_reset(batch);
    open_log();
    for (uint64_t s = 0; s < SERIES; s++)
        add_definition(s);
    for (int i = 0; i < SAMPLES; i++)
        for (uint64_t s = 0; s < SERIES; s++)
            add_double(s, i * 1000, s + i / 7.0);
    write_batch();
    for (int i = SAMPLES - 10; i >= 0; i -= 10) /* late, newest first, superseding */
        for (uint64_t s = 0; s < SERIES; s++)
            add_double(s, i * 1000, value_of(s, i));
    write_batch();
    weir_log_close(log_open);
    weir_io_free(io);
    free(ring);
    return 0;
}

static int
remove_log(void **state)
{
    (void)state;
    free(batch->definitions);
    free(batch);
    temp_dir_remove();
    return 0;
}

static json_t *
ask(void (*run)(struct weir_call *), const char *query)
{
    static const struct weir_limits limits = {1000, 1000000, 10000000, 60000, 0, 64 << 20};
    _Atomic bool cancelled = false;
    struct weir_params params;
    struct weir_reader *reader;
    assert_int_equal(weir_params_init(&params, query, strlen(query)), WEIR_OK);
    assert_int_equal(weir_reader_open(directory, NULL, &reader), WEIR_OK);
    struct weir_call call = {.reader = reader, .params = &params, .limits = &limits,
        .cancelled = &cancelled, .deadline_ns = INT64_MAX};
    weir_text_init(&call.answer, weir_call_answer_max(&limits));
    weir_reader_set_check(reader, weir_call_check, &call);
    run(&call);
    assert_int_equal(call.status, WEIR_STATUS_OK);
    json_t *json = json_loadb(call.answer.data, call.answer.size, 0, NULL);
    assert_non_null(json);
    weir_text_fini(&call.answer);
    weir_params_fini(&params);
    weir_reader_close(reader);
    return json;
}

static void
test_raw_query_gives_back_every_bit_of_the_log(void **state)
{
    (void)state;
    json_t *json = ask(weir_query_run, "metric=live&from=0&to=100000&agg=raw");
    json_t *series = json_object_get(json, "series");
    assert_int_equal(json_array_size(series), SERIES);
    for (size_t s = 0; s < SERIES; s++) {
        json_t *points = json_object_get(json_array_get(series, s), "points");
        assert_int_equal(json_array_size(points), SAMPLES);
        for (int i = 0; i < SAMPLES; i++) {
            json_t *point = json_array_get(points, (size_t)i);
            double got = json_number_value(json_array_get(point, 1));
            double wanted = value_of(s, i);
            assert_true(json_number_value(json_array_get(point, 0)) == i);
            assert_true(got == wanted);
        }
    }
    json_decref(json);
}

static void
test_bucket_query_counts_superseded_samples_once(void **state)
{
    (void)state;
    json_t *json = ask(weir_query_run, "metric=live&from=0&to=2000&step=100&agg=sum&host=host07");
    json_t *series = json_object_get(json, "series");
    assert_int_equal(json_array_size(series), 1);
    json_t *points = json_object_get(json_array_get(series, 0), "points");
    assert_int_equal(json_array_size(points), 20);
    for (int k = 0; k < 20; k++) {
        double sum = 0;
        for (int i = k * 100; i < (k + 1) * 100; i++)
            sum += value_of(7, i);
        double got = json_number_value(json_array_get(json_array_get(points, (size_t)k), 1));
        assert_true(fabs(got - sum) < 1e-6);
    }
    json_decref(json);
    json = ask(weir_query_run, "metric=live&from=0&to=2000&step=2000&agg=count");
    json_t *first = json_array_get(json_object_get(json, "series"), 0);
    assert_int_equal(json_integer_value(json_array_get(
        json_array_get(json_object_get(first, "points"), 0), 1)), SAMPLES);
    json_decref(json);
}

static void
test_catalog_lists_what_the_log_defines(void **state)
{
    (void)state;
    json_t *json = ask(weir_names_series, "match[]=live{host!=\"host00\"}");
    assert_int_equal(json_array_size(json_object_get(json, "data")), SERIES - 1);
    json_decref(json);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw_query_gives_back_every_bit_of_the_log),
        cmocka_unit_test(test_bucket_query_counts_superseded_samples_once),
        cmocka_unit_test(test_catalog_lists_what_the_log_defines),
    };
    return cmocka_run_group_tests(tests, write_log, remove_log);
}
