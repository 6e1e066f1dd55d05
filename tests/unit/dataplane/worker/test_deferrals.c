/* Records with unknown series: looked up by their labels, sent to the registrar, come back. */
#include "tests/unit/dataplane/worker/worker_fixture.h"

static void
test_a_line_with_one_unknown_series_goes_whole_to_the_registrar(void **state)
{
    (void)state;
    define("m_a");
    ready("m a=1,new=2 " NOW_TEXT "\nm a=3 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released[0].accepted, 1);
    assert_int_equal(t.port.released[0].deferred, 1);
    struct weir_deferral *deferral = weir_ring_pop(stages.deferrals);
    assert_non_null(deferral);
    assert_int_equal(deferral->records, 1);
    assert_int_equal(deferral->samples, 2);
    assert_int_equal(deferral->packets, 0); /* the packet ends with its other record */
    struct weir_deferred_line line;
    memcpy(&line, deferral->lines, sizeof line);
    assert_int_equal(line.samples, 2);
    assert_int_equal(line.source, weir_source(1, 7));
    assert_true(line.resolved);
    const struct weir_deferred_point *point = (const void *)(deferral->lines + sizeof line);
    assert_int_equal(point->number, 0); /* known, with nothing to compare */
    assert_int_equal(point->labels_size, 0);
    assert_int_equal(point->value, 1);
    point++;
    struct weir_label label;
    assert_int_equal(point->number, WEIR_SERIES_UNKNOWN);
    assert_int_equal(point->value, 2);
    assert_true(weir_labels_find((const uint8_t *)(point + 1), point->labels_size,
        WEIR_NAME_LABEL, &label));
    assert_int_equal(label.value_size, 5);
    assert_memory_equal(label.value, "m_new", 5);
    struct weir_hash128 fingerprint = weir_series_fingerprint(stages.series,
        (const uint8_t *)(point + 1), point->labels_size);
    assert_memory_equal(&fingerprint, &point->fingerprint, sizeof fingerprint);
    assert_int_equal(line.size, weir_deferred_point_bytes(0) +
        weir_deferred_point_bytes(point->labels_size));
    closed();
}

/* The first point of the deferral that was just pushed, which goes back as it stands. */
static struct weir_deferred_point *
completed_point(void)
{
    struct weir_deferral *deferral = weir_ring_pop(stages.deferrals);
    assert_non_null(deferral);
    assert_true(weir_ring_push(stages.completed, deferral));
    return (void *)(deferral->lines + sizeof(struct weir_deferred_line));
}

static void
test_numbers_that_come_back_need_no_labels_any_more(void **state)
{
    (void)state;
    const uint64_t *misses = &stages.counts.counter[WEIR_COUNTER_raw_misses];
    for (int round = 0; round < 4; round++) {
        t.texts = 0;
        ready("m a=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
        if (round < 2) /* refused the first time, numbered the second */
            completed_point()->number = round == 0 ? WEIR_SERIES_UNKNOWN : 0;
        if (round == 1)
            define("m_a");
        assert_int_equal(*misses, round < 2 ? round + 1 : 2);
    }
    assert_int_equal(t.port.released[0].accepted, 1);
}

static uint32_t drawn = 1;

static uint32_t
draw(uint32_t below)
{
    drawn = drawn * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)drawn * below >> 32);
}

#define HOSTS 20
#define HOST_FIELDS 9

/* A host's fields as a line each or as one line, in their order or in another, some left out, one
 * of another host or a refused line between. A value tells whose it is. */
static size_t
write_host(char *text, size_t room, uint32_t *samples)
{
    uint32_t host = draw(HOSTS), from = draw(3) == 0 ? draw(HOST_FIELDS) : 0, used = 0;
    bool one_line = draw(2) == 0, open = false;
    for (uint32_t n = 0; n < HOST_FIELDS; n++) {
        uint32_t field = (from + n) % HOST_FIELDS, other = draw(HOSTS);
        if (draw(7) == 0)
            continue;
        used += (uint32_t)snprintf(text + used, room - used, "%s", open ? "," : "");
        if (!open)
            used += (uint32_t)snprintf(text + used, room - used, "h%u ", host);
        used += (uint32_t)snprintf(text + used, room - used, "f%u=%ui", field,
            host * HOST_FIELDS + field);
        ++*samples;
        open = one_line;
        if (!one_line)
            used += (uint32_t)snprintf(text + used, room - used, " " NOW_TEXT "\n");
        if (!one_line && draw(9) == 0)
            used += (uint32_t)snprintf(text + used, room - used, "h%u refused\n", other);
        if (!one_line && draw(9) == 0) {
            used += (uint32_t)snprintf(text + used, room - used, "h%u f%u=%ui " NOW_TEXT "\n",
                other, field, other * HOST_FIELDS + field);
            ++*samples;
        }
    }
    if (open)
        used += (uint32_t)snprintf(text + used, room - used, " " NOW_TEXT "\n");
    return used;
}

/* Each sample is of the series its line says, in whatever order lines come, through many bursts. */
static void
test_samples_are_of_their_lines_series_whatever_their_order(void **state)
{
    (void)state;
    static char text[60000];
    char metric[32];
    for (uint32_t n = 0; n < HOSTS * HOST_FIELDS; n++) {
        snprintf(metric, sizeof metric, "h%u_f%u", n / HOST_FIELDS, n % HOST_FIELDS);
        define(metric);
    }
    uint32_t samples = 0;
    for (int round = 0; round < 60; round++) {
        t.texts = 0;
        for (uint32_t packets = 1 + draw(12); packets > 0; packets--) {
            size_t used = 0, least = draw(3) == 0 ? draw(50000) : 1;
            while (used < least)
                used += write_host(text + used, sizeof text - used, &samples);
            ready(text, true);
        }
        weir_worker_run_once(t.worker);
    }
    while (!weir_worker_drain(t.worker))
        assert_non_null(weir_ring_peek(stages.batches));
    uint32_t seen = 0;
    for (struct weir_batch *batch; (batch = weir_ring_pop(stages.batches)) != NULL;) {
        for (uint32_t i = 0; i < batch->count; i++, seen++)
            assert_int_equal(batch->samples[i].value, weir_sample_series(&batch->samples[i]));
    }
    assert_int_equal(seen, samples);
    assert_in_range(samples, 10000, BATCHES * WEIR_BATCH_SAMPLES_MAX - 1);
}

/* Restarted: the series are there and the cache is empty. */
static void
test_known_labels_are_resolved_whatever_their_number(void **state)
{
    (void)state;
    static char text[60000];
    size_t used = (size_t)snprintf(text, sizeof text, "m ");
    unsigned fields = 0;
    char metric[32];
    for (; used + 64 < sizeof text; fields++) {
        used += (size_t)snprintf(text + used, 32, "%sf%u=%u", fields ? "," : "", fields, fields);
        snprintf(metric, sizeof metric, "m_f%u", fields);
        define(metric);
    }
    snprintf(text + used, sizeof text - used, " " NOW_TEXT);
    ready(text, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released[0].accepted, 1);
    assert_int_equal(stages.counts.counter[WEIR_COUNTER_raw_misses], fields);
    while (!weir_worker_drain(t.worker))
        assert_non_null(weir_ring_peek(stages.batches));
    struct weir_batch *batch = weir_ring_pop(stages.batches);
    assert_int_equal(batch->count, fields);
    for (unsigned i = 0; i < fields; i++)
        assert_int_equal(weir_sample_series(&batch->samples[i]), i);
}

static struct weir_deferred_line
pushed_line(void)
{
    struct weir_deferred_line line;
    struct weir_deferral *deferral = weir_ring_pop(stages.deferrals);
    assert_non_null(deferral);
    memcpy(&line, deferral->lines, sizeof line);
    return line;
}

static void
test_a_line_goes_as_text_where_its_labels_take_too_much_room(void **state)
{
    (void)state;
    static char text[60000];
    size_t used = (size_t)snprintf(text, sizeof text, "m,tag=");
    memset(text + used, 'x', 4000);
    used += 4000;
    text[used++] = ' ';
    for (unsigned i = 0; i < 100; i++)
        used += (size_t)snprintf(text + used, 32, "%sf%u=1", i ? "," : "", i);
    snprintf(text + used, sizeof text - used, " " NOW_TEXT);
    ready(text, true);
    weir_worker_run_once(t.worker);
    struct weir_deferred_line line = pushed_line();
    assert_false(line.resolved);
    assert_int_equal(line.samples, 100);
    assert_int_equal(line.size, strlen(text));
    closed();
}

/* Deferrals that senders are listened to for are kept for text, which takes less room. */
static void
test_a_line_goes_as_text_where_deferrals_are_few(void **state)
{
    (void)state;
    bool resolved = true;
    t.port.port.ops = &mute_ops;
    for (int round = 0; round < WEIR_DEFERRALS; round++) {
        t.texts = 0;
        ready("unknown f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
        struct weir_deferred_line line = pushed_line();
        assert_true(resolved || !line.resolved);
        resolved = line.resolved;
        if (round == 0)
            assert_true(resolved);
        if (!resolved)
            assert_int_equal(line.size, strlen("unknown f=1 " NOW_TEXT));
    }
    assert_false(resolved);
}

static void
test_completions_reach_the_port_and_deferrals_come_back(void **state)
{
    (void)state;
    for (int round = 0; round < 3 * WEIR_DEFERRALS; round++) {
        ready("unknown f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
        t.texts = 0;
        struct weir_deferral *deferral = weir_ring_pop(stages.deferrals);
        assert_non_null(deferral);
        assert_int_equal(deferral->number, round + 1);
        assert_int_equal(deferral->packets, 1);
        /* the played registrar refuses it */
        uint32_t edge = WEIR_EDGE_WORKER_REGISTRAR(0);
        t.registrar.popped[edge] = deferral->number;
        for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
            t.registrar.unit[unit].rejected[WEIR_REASON_table_full]++;
        weir_ledger_publish(&stages.ledger->blocks[WEIR_BLOCK_REGISTRAR], &t.registrar);
        deferral->completions[0] = (struct weir_completion){.source = weir_source(1, 7),
            .rejected = 1};
        deferral->completion_count = 1;
        assert_true(weir_ring_push(stages.completed, deferral));
    }
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.completed_count, 3 * WEIR_DEFERRALS);
    assert_int_equal(t.port.completed.rejected, 1);
    assert_int_equal(closed()->in_flight[WEIR_UNIT_RECORDS], 0);
}

static void
test_unknown_lines_are_refused_when_no_deferral_is_left(void **state)
{
    (void)state;
    t.port.port.ops = &mute_ops;
    for (int round = 0; round < WEIR_DEFERRALS; round++) {
        ready("unknown f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
        t.texts = 0;
    }
    define("known_f");
    ready("unknown f=1 " NOW_TEXT "\nknown f=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released[0].rejected, 1);
    assert_int_equal(t.port.released[0].accepted, 1);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_define_backlog), 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_define_backlog), 1);
}

static void
test_datagrams_of_new_series_leave_room_to_senders_that_wait(void **state)
{
    (void)state;
    struct played_port streams = {.port = t.port.port};
    t.port.port.ops = &mute_ops;
    weir_worker_free(t.worker);
    t.options.ports[1] = &streams.port;
    t.options.port_count = 2;
    assert_int_equal(weir_worker_new(&t.options, &t.worker), WEIR_OK);
    define("known_f");
    for (int round = 0; round < 2 * WEIR_DEFERRALS; round++) {
        t.texts = 0;
        ready("unknown f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
    }
    assert_true(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_define_backlog) > 0);
    ready("new f=1 " NOW_TEXT "\nknown f=1 " NOW_TEXT, true);
    streams.ready[0] = t.port.ready[0];
    streams.ready[0].source = weir_source(2, 7);
    streams.ready_count = 1;
    t.port.ready_count = 0;
    weir_worker_run_once(t.worker);
    assert_int_equal(streams.released_count, 1);
    assert_int_equal(streams.released[0].accepted, 1);
    assert_int_equal(streams.released[0].deferred, 1);
    weir_worker_free(t.worker); /* while its ports are there */
    t.worker = NULL;
}

static void
test_senders_that_wait_are_held_back_while_the_registrar_lags(void **state)
{
    (void)state;
    for (int round = 0; round < WEIR_DEFERRALS; round++) {
        t.port.ready_count = 0;
        t.texts = 0;
        ready("unknown f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
    }
    size_t receives = t.port.receives;
    assert_true(receives < WEIR_DEFERRALS);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.receives, receives);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_define_backlog), 0);
    /* a refusal is to be told */
    atomic_store(&stages.progress.state, WEIR_INGEST_DISK_FULL);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.receives, receives + 1);
    assert_int_equal(t.port.released[0].rejected, 1);
    atomic_store(&stages.progress.state, WEIR_INGEST_OPEN);
    /* the played registrar gives all back */
    struct weir_deferral *deferral;
    while ((deferral = weir_ring_pop(stages.deferrals)) != NULL)
        assert_true(weir_ring_push(stages.completed, deferral));
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.receives, receives + 2);
}

static void
test_without_deferrals_a_cold_known_line_behind_many_unknown_ones_is_refused(void **state)
{
    (void)state;
    define("m_a");
    t.port.port.ops = &mute_ops;
    for (int round = 0; round < WEIR_DEFERRALS; round++) {
        ready("unknown f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
        t.texts = 0;
    }
    ready("x a=1 " NOW_TEXT "\nx b=1 " NOW_TEXT "\nx c=1 " NOW_TEXT "\nx d=1 " NOW_TEXT
          "\nm a=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released[0].accepted, 0);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_define_backlog), 5);
    /* ahead of them it is looked up, and what is known once stays known behind them */
    ready("m a=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released[0].accepted, 1);
    ready("x a=1 " NOW_TEXT "\nx b=1 " NOW_TEXT "\nx c=1 " NOW_TEXT "\nx d=1 " NOW_TEXT
          "\nx e=1 " NOW_TEXT "\nx f=1 " NOW_TEXT "\nm a=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released[0].accepted, 1);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_define_backlog), 5 + 6);
    closed();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_without_deferrals_a_cold_known_line_behind_many_unknown_ones_is_refused, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            test_a_line_with_one_unknown_series_goes_whole_to_the_registrar, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_numbers_that_come_back_need_no_labels_any_more, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_samples_are_of_their_lines_series_whatever_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_known_labels_are_resolved_whatever_their_number, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_line_goes_as_text_where_its_labels_take_too_much_room, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_line_goes_as_text_where_deferrals_are_few, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_completions_reach_the_port_and_deferrals_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_unknown_lines_are_refused_when_no_deferral_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_datagrams_of_new_series_leave_room_to_senders_that_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_senders_that_wait_are_held_back_while_the_registrar_lags, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
