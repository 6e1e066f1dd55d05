/* Bursts, batches and the ledger of a worker. */
#include "tests/unit/dataplane/worker/worker_fixture.h"

static void
test_known_series_go_into_the_batch(void **state)
{
    (void)state;
    define("m_a");
    define("m_b");
    ready("m a=1,b=2.5 " NOW_TEXT "\nm a=3 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released_count, 1);
    assert_int_equal(t.port.released[0].accepted, 2);
    assert_int_equal(t.port.released[0].deferred, 0);
    assert_int_equal(t.port.released[0].batch, 1);
    assert_int_equal(closed()->in_flight[WEIR_UNIT_SAMPLES], 3);
    assert_int_equal(closed()->in_flight[WEIR_UNIT_PACKETS], 1);
    assert_null(weir_ring_peek(stages.batches)); /* not due */
    while (!weir_worker_drain(t.worker))
        assert_non_null(weir_ring_peek(stages.batches));
    struct weir_batch *batch = weir_ring_pop(stages.batches);
    assert_non_null(batch);
    assert_int_equal(batch->count, 3);
    assert_int_equal(batch->records, 2);
    assert_int_equal(batch->packets, 1);
    assert_int_equal(batch->series_through, 2);
    assert_int_equal(weir_sample_series(&batch->samples[1]), 1);
    assert_true(weir_sample_double(&batch->samples[1]) == 2.5);
    assert_int_equal(closed()->in_flight[WEIR_UNIT_SAMPLES], 3); /* now on the edge */
}

static void
test_stages_count_the_samples_that_pass_them(void **state)
{
    (void)state;
    static char text[64000];
    size_t size = 0;
    define("m_a");
    define("m_b");
    define("m_c");
    for (int i = 0; i < 1000; i++)
        size += (size_t)snprintf(text + size, sizeof text - size,
            "m a=%d,b=2,c=3 " NOW_TEXT "\n", i);
    ready(text, true);
    ready("m a=1,new=1 " NOW_TEXT "\nm a=1,b=2 " NOW_TEXT "\nbad\n", true);
    weir_worker_run_once(t.worker);
    const uint64_t *samples = closed()->total.samples;
    assert_int_equal(samples[WEIR_STAGE_receive], 3004);
    assert_int_equal(samples[WEIR_STAGE_parse], 3004);
    assert_int_equal(samples[WEIR_STAGE_lookup], 3004);
    assert_int_equal(samples[WEIR_STAGE_batch], 3002); /* a line is the registrar's */
}

/* Whoever sends what takes long holds up others for a few packets, not for a whole burst. */
static void
test_a_port_whose_packets_take_long_gives_fewer_at_a_time(void **state)
{
    (void)state;
    enum { ROUNDS_MAX = 100000 };
    size_t before = 2 * WEIR_BURST_MAX;
    int rounds = 0;
    define("known_f");
    t.port.slow = true;
    for (; before > 1 && rounds < ROUNDS_MAX; rounds++) {
        t.texts = 0;
        ready("known f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
        assert_int_equal(t.port.asked, before / 2);
        before = t.port.asked;
    }
    t.port.slow = false;
    for (rounds = 0; t.port.asked < WEIR_BURST_MAX && rounds < ROUNDS_MAX; rounds++) {
        t.texts = 0;
        ready("known f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
    }
    assert_int_equal(t.port.asked, WEIR_BURST_MAX);
}

static void
test_packets_end_by_what_became_of_their_records(void **state)
{
    (void)state;
    ready("# only a comment\n\n", true);
    ready("broken\nm f=\n", true);
    ready("m s=\"text\" " NOW_TEXT, true);
    ready("m f=1 " NOW_TEXT, false); /* incomplete: not yet received */
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released_count, 4);
    assert_int_equal(t.port.released[3].consumed, 0);
    assert_int_equal(rejected(WEIR_UNIT_PACKETS, WEIR_REASON_empty), 1);
    assert_int_equal(rejected(WEIR_UNIT_PACKETS, WEIR_REASON_nothing_accepted), 2);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_bad_line), 2);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_no_sample_accepted), 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_unsupported_type), 1);
    assert_int_equal(closed()->total.unit[WEIR_UNIT_PACKETS].received, 3);
}

/* What had arrived when the stop came is taken; what comes for ever is not. */
static void
test_a_stopping_worker_takes_what_its_ports_hold(void **state)
{
    (void)state;
    define("m_f");
    ready("m f=1 " NOW_TEXT, true);
    assert_false(weir_worker_drain(t.worker));
    assert_int_equal(t.port.released_count, 1);
    assert_int_equal(t.port.released[0].accepted, 1);
    bool drained = false;
    for (int round = 0; round < 1000 && !drained; round++) {
        t.texts = 0;
        ready("# noise", true);
        drained = weir_worker_drain(t.worker);
    }
    assert_true(drained);
    struct weir_batch *batch = weir_ring_pop(stages.batches);
    assert_non_null(batch);
    assert_int_equal(batch->count, 1);
    closed();
}

static void
test_a_full_disk_refuses_at_the_door_and_resumes(void **state)
{
    (void)state;
    define("m_f");
    atomic_store(&stages.progress.state, WEIR_INGEST_DISK_FULL);
    ready("m f=1 " NOW_TEXT "\nnew f=1,g=2 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_disk_full), 2);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_disk_full), 3);
    assert_null(weir_ring_peek(stages.deferrals));
    atomic_store(&stages.progress.state, WEIR_INGEST_OPEN);
    ready("m f=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released[0].accepted, 1);
}

/* Usual lines, bad ones, and strings over several lines that are longer than what is parsed at a
 * time; the last line has no end. */
static size_t
mixed_text(char *text, size_t size)
{
    size_t at = 0;
    for (int i = 0; at < size - 8000; i++) {
        if (i % 7 == 3) {
            at += (size_t)sprintf(text + at, "m f=\n");
        } else if (i % 60 == 59) {
            at += (size_t)sprintf(text + at, "m s=\"");
            for (int k = 0; k < 600; k++)
                at += (size_t)sprintf(text + at, "as, bs=\n");
            at += (size_t)sprintf(text + at, "\",f=1 " NOW_TEXT "\n");
        } else {
            at += (size_t)sprintf(text + at, "m f=%d " NOW_TEXT "\n", i);
        }
    }
    return at + (size_t)sprintf(text + at, "m f=1 17500");
}

/* What the parser makes of it in one piece. */
static void
parse_whole(const struct weir_packet *packet, uint32_t *accepted, uint32_t *refused,
    uint32_t *consumed)
{
    static struct weir_parsed parsed;
    struct weir_parse_context context = {.key = &stages.key,
        .time_min_ms = INT64_MIN,
        .time_max_ms = INT64_MAX};
    struct weir_packet whole = *packet;
    size_t at = 0, before;
    do {
        before = at;
        weir_parsed_reset(&parsed);
        at = weir_influx_parse(&context, &whole, before, &parsed);
        for (uint32_t i = 0; i < parsed.record_count; i++) {
            bool good = parsed.records[i].reason == WEIR_REASON_NONE;
            *accepted += good;
            *refused += !good;
        }
    } while (at != before);
    *consumed = (uint32_t)at;
}

static void
test_long_packets_are_parsed_as_in_one_piece(void **state)
{
    (void)state;
    static char text[60000];
    define("m_f");
    size_t size = mixed_text(text, sizeof text);
    for (int final = 0; final < 2; final++) {
        uint32_t accepted = 0, refused = 0, consumed = 0;
        t.texts = 0;
        parse_whole(ready(text, final == 1), &accepted, &refused, &consumed);
        weir_worker_run_once(t.worker);
        assert_int_equal(t.port.released_count, 1);
        assert_int_equal(t.port.released[0].accepted, accepted);
        assert_int_equal(t.port.released[0].rejected, refused);
        assert_int_equal(t.port.released[0].consumed, consumed);
        assert_int_equal(consumed, final == 1 ? size : size - strlen("m f=1 17500"));
        assert_true(accepted > 300 && refused > 50);
        closed();
    }
}

/* A burst larger than all batches: the worker stands still, takes nothing, loses nothing. */
static void
test_it_stops_inside_a_burst_and_goes_on(void **state)
{
    (void)state;
    define("m_f");
    const char line[] = "m f=1 " NOW_TEXT "\n";
    size_t lines = 60000 / (sizeof line - 1);
    char *text = malloc(lines * sizeof line + 1);
    for (size_t i = 0; i < lines; i++)
        memcpy(text + i * (sizeof line - 1), line, sizeof line);
    uint64_t sent = 0;
    uint64_t taken = 0;
    /* more than three batches of samples wait in the port's bursts */
    while (sent <= (BATCHES + 1) * (uint64_t)WEIR_BATCH_SAMPLES_MAX) {
        if (t.port.ready_count == 0) {
            t.texts = 0;
            for (int i = 0; i < 60; i++, sent += lines)
                ready(text, true);
        }
        size_t receives = t.port.receives;
        for (int i = 0; i < 100 && t.port.receives < receives + 2; i++) {
            weir_worker_run_once(t.worker);
            closed();
            struct weir_batch *batch = weir_ring_pop(stages.batches);
            if (batch == NULL)
                continue;
            /* the played writer stores it */
            taken += batch->count;
            stages.writer.popped[WEIR_EDGE_WORKER_WRITER(0)] = batch->number;
            stages.writer.unit[WEIR_UNIT_SAMPLES].stored += batch->count;
            stages.writer.unit[WEIR_UNIT_RECORDS].stored += batch->records;
            stages.writer.unit[WEIR_UNIT_PACKETS].stored += batch->packets;
            weir_ledger_publish(&stages.ledger->blocks[WEIR_BLOCK_WRITER], &stages.writer);
            closed();
            assert_true(weir_ring_push(stages.empties, batch));
        }
    }
    free(text);
    const struct weir_ledger_sum *sum = closed();
    assert_true(taken > WEIR_BATCH_SAMPLES_MAX);
    assert_int_equal(sum->total.unit[WEIR_UNIT_SAMPLES].received,
        taken + sum->in_flight[WEIR_UNIT_SAMPLES]);
    assert_true(sum->total.unit[WEIR_UNIT_SAMPLES].received <= sent);
}

static void
test_it_takes_nothing_while_no_batch_is_empty(void **state)
{
    (void)state;
    define("m_f");
    t.port.waiting = true; /* so that every round flushes */
    for (int i = 0; i < BATCHES; i++) {
        t.texts = 0;
        ready("m f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
        weir_worker_run_once(t.worker);
    }
    assert_int_equal(weir_ring_count(stages.batches), BATCHES);
    t.texts = 0;
    ready("m f=2 " NOW_TEXT, true);
    t.port.released_count = 0;
    weir_worker_run_once(t.worker);
    size_t receives = t.port.receives;
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.receives, receives); /* stands still inside the burst */
    assert_int_equal(t.port.released_count, 0);
    struct weir_batch *batch = weir_ring_pop(stages.batches);
    assert_true(weir_ring_push(stages.empties, batch));
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released_count, 1);
    assert_int_equal(t.port.released[0].accepted, 1);
    assert_int_equal(t.port.released[0].batch, BATCHES + 1);
}

static void
test_a_waiting_sender_shortens_the_flush(void **state)
{
    (void)state;
    define("m_f");
    ready("m f=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_null(weir_ring_peek(stages.batches));
    assert_true(weir_worker_deadline_ns(t.worker) > weir_mono_ns() + HOUR_NS / 2);
    t.port.waiting = true;
    weir_worker_run_once(t.worker);
    assert_non_null(weir_ring_peek(stages.batches));
    assert_int_equal(atomic_load(&stages.progress.ack_waiting), 1);
    t.port.waiting = false;
    weir_worker_run_once(t.worker);
    assert_int_equal(atomic_load(&stages.progress.ack_waiting), 0);
}

static void
test_a_burst_of_every_kind_closes_the_ledger(void **state)
{
    (void)state;
    t.port.port.ops = &mute_ops; /* received from though no deferral comes back */
    define("m_f");
    static const char *const lines[] = {"m f=1 " NOW_TEXT "\n", "m f=1,u=2 " NOW_TEXT "\n",
        "x,a=b f=3i " NOW_TEXT "\n", "nonsense\n", "# comment\n", "m f=1,s=\"text\" " NOW_TEXT "\n",
        "m,a=1,a=2 f=1 " NOW_TEXT "\n", "m f=1 1\n"};
    srand(11);
    for (int round = 0; round < 200; round++) {
        t.texts = 0;
        for (int i = 0; i < 20; i++) {
            char text[2000] = "";
            for (int k = rand() % 12; k > 0; k--)
                strcat(text, lines[(size_t)rand() % 8]);
            ready(text, rand() % 4 != 0);
        }
        weir_worker_run_once(t.worker);
        closed();
    }
}

/* Nobody takes batches or deferrals any more: what is open is dropped by name, not in flight. */
static void
test_what_is_open_when_it_ends_is_dropped_by_name(void **state)
{
    (void)state;
    define("m_a");
    ready("m a=1 " NOW_TEXT "\nm a=3 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(closed()->in_flight[WEIR_UNIT_SAMPLES], 2);
    weir_worker_free(t.worker);
    t.worker = NULL;
    const struct weir_ledger_sum *sum = closed();
    static const uint64_t dropped[WEIR_UNIT_COUNT] = {1, 2, 2};
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        assert_int_equal(sum->in_flight[unit], 0);
        assert_int_equal(sum->total.unit[unit].dropped[WEIR_REASON_shutdown], dropped[unit]);
    }
}

/* Gives the batches that are full back as the log writer does, now and then. */
static void
write_some(uint64_t *random)
{
    struct weir_batch *batch;
    while (next_random(random) % 4 == 0 && (batch = weir_ring_pop(stages.batches)) != NULL) {
        stages.writer.unit[WEIR_UNIT_PACKETS].stored += batch->packets;
        stages.writer.unit[WEIR_UNIT_RECORDS].stored += batch->records;
        stages.writer.unit[WEIR_UNIT_SAMPLES].stored += batch->count;
        stages.writer.popped[WEIR_EDGE_WORKER_WRITER(0)] = batch->number;
        weir_ledger_publish(&stages.ledger->blocks[WEIR_BLOCK_WRITER], &stages.writer);
        weir_batch_reset(batch);
        assert_true(weir_ring_push(stages.empties, batch));
    }
}

static void
test_a_stop_anywhere_loses_no_packet_from_the_ledger(void **state)
{
    static char long_text[60000];
    size_t size = 0, in_bursts = 0;
    uint64_t random = 99;
    for (int i = 0; size < sizeof long_text - 100; i++)
        size += (size_t)snprintf(long_text + size, sizeof long_text - size, "m a=%d,b=2\n", i);
    for (int stop = 0; stop < 200; stop++) {
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
        define("m_a");
        define("m_b");
        uint64_t handed = 0, rounds = next_random(&random) % 30;
        for (uint64_t round = 0; round <= rounds; round++) {
            if (t.port.ready_count == 0) {
                t.texts = 0;
                t.port.released_count = 0;
                while (t.port.ready_count < 1 + next_random(&random) % WEIR_BURST_MAX)
                    ready(next_random(&random) % 4 == 0 ? "m a=1,new=1\nbad\n" : long_text,
                        next_random(&random) % 8 != 0);
                handed += t.port.ready_count;
            }
            weir_worker_run_once(t.worker);
            write_some(&random);
        }
        handed -= t.port.ready_count;
        in_bursts += t.port.ready_count == 0 && t.port.released_count == 0;
        weir_worker_free(t.worker);
        t.worker = NULL;
        assert_int_equal(closed()->total.unit[WEIR_UNIT_PACKETS].received, handed);
    }
    assert_true(in_bursts > 0);
}

static void
test_load_is_of_known_series_alone(void **state)
{
    (void)state;
    ready("x a=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(weir_worker_load(t.worker), WEIR_LOAD_NONE);
    define("m_a");
    ready("m a=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(weir_worker_load(t.worker), WEIR_LOAD_SOME);
    /* and stays so into a batch that has long been open */
    for (int round = 0; round < 8; round++) {
        usleep(3000);
        t.texts = 0;
        ready("m a=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
        assert_int_equal(weir_worker_load(t.worker), WEIR_LOAD_SOME);
    }
    t.texts = 0;
    while (t.port.ready_count < WEIR_BURST_MAX)
        ready("m a=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(weir_worker_load(t.worker), WEIR_LOAD_FULL);
    closed();
}

static void
run_until_statistics(size_t times)
{
    while (t.port.statistics < times)
        weir_worker_run_once(t.worker);
}

static void
test_worker_is_degraded_by_packets_that_a_listener_loses(void **state)
{
    (void)state;
    /* of the five before the first look nobody knows when they were */
    run_until_statistics(2);
    assert_int_equal(stages.degraded.at_ms[WEIR_DEGRADED_listener_drops], 0);
    t.port.drops = 1;
    run_until_statistics(3);
    assert_true(weir_degraded_by(&stages.degraded, WEIR_DEGRADED_listener_drops,
        weir_mono_ns() / 1000000));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_known_series_go_into_the_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_stop_anywhere_loses_no_packet_from_the_ledger, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_stages_count_the_samples_that_pass_them, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load_is_of_known_series_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_port_whose_packets_take_long_gives_fewer_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_packets_end_by_what_became_of_their_records, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_stopping_worker_takes_what_its_ports_hold, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_full_disk_refuses_at_the_door_and_resumes, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_long_packets_are_parsed_as_in_one_piece, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_it_stops_inside_a_burst_and_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_it_takes_nothing_while_no_batch_is_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_waiting_sender_shortens_the_flush, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_burst_of_every_kind_closes_the_ledger, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_what_is_open_when_it_ends_is_dropped_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_worker_is_degraded_by_packets_that_a_listener_loses, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
