/* What the registrar refuses: without room, beyond a share, while the log takes nothing. */
#include "tests/unit/dataplane/registrar/registrar_fixture.h"

static void
test_registrar_reports_once_that_the_table_is_full(void **state)
{
    (void)state;
    int ends[2];
    static char reported[65536];
    stages_give_batch(stages.empties);
    for (unsigned i = 0; i < SERIES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        line(0, name, 1);
    }
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    int kept = dup(STDERR_FILENO);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    line(5, "new new newer", 3);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    line(5, "new", 1);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    dup2(kept, STDERR_FILENO);
    ssize_t size = read(ends[0], reported, sizeof reported - 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_table_full), 4);
    assert_true(
        size > 0 && reported[size - 1] == '\n' && memchr(reported, '\n', (size_t)size - 1) == NULL);
    assert_non_null(strstr(reported, " event=table_full detail=\"series table full: "));
    close(kept);
    close(ends[0]);
    close(ends[1]);
}

static void
test_registrar_refuses_by_name_when_the_table_is_full(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    for (unsigned i = 0; i < SERIES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        line(0, name, 1);
    }
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    assert_int_equal(stages.degraded.at_ms[WEIR_DEGRADED_series_full], 0);
    line(5, "new", 1);
    line(5, "new ! new", 3);
    send_deferral(2);
    weir_registrar_run_once(t.registrar);
    assert_true(weir_degraded_by(&stages.degraded, WEIR_DEGRADED_series_full,
        weir_mono_ns() / 1000000));
    expect_completion(pop_completed(), 0, 5, 0, 2, 0);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_table_full), 3);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_table_full), 1);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_no_sample_accepted), 1);
    assert_int_equal(rejected(WEIR_UNIT_PACKETS, WEIR_REASON_nothing_accepted), 2);
    line(5, "m1 new", 2);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    weir_registrar_flush(t.registrar);
    assert_int_equal(pop_batch()->count, SERIES_MAX + 1);
}

static void
refuses_while(uint32_t ingest_state, enum weir_reason reason)
{
    atomic_store(&stages.progress.state, ingest_state);
    line(5, "a b", 2); /* and there is no empty batch */
    send_deferral(1);
    assert_int_equal(weir_registrar_run_once(t.registrar), 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, reason), 2);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, reason), 1);
    assert_int_equal(weir_series_count(t.options.series), 0);
    assert_true(weir_registrar_idle(t.registrar));
}

static void
test_registrar_refuses_lines_while_the_disk_is_full(void **state)
{
    (void)state;
    refuses_while(WEIR_INGEST_DISK_FULL, WEIR_REASON_disk_full);
}

static void
test_registrar_refuses_lines_after_a_device_error(void **state)
{
    (void)state;
    refuses_while(WEIR_INGEST_IO_ERROR, WEIR_REASON_io_error);
}

/* What is written on standard error between the two goes into text. */
static int captured[2];

static int
capture_begin(void)
{
    assert_int_equal(pipe2(captured, O_NONBLOCK), 0);
    int kept = dup(STDERR_FILENO);
    assert_int_equal(dup2(captured[1], STDERR_FILENO), STDERR_FILENO);
    return kept;
}

static void
capture_end(int kept, char *text, size_t size)
{
    dup2(kept, STDERR_FILENO);
    ssize_t got = read(captured[0], text, size - 1);
    text[got > 0 ? got : 0] = '\0';
    close(kept);
    close(captured[0]);
    close(captured[1]);
}

/* From here on a source defines no more than its share of so many series. */
static void
bound_sources(uint64_t series)
{
    assert_int_equal(weir_prefix_parse("10.0.0.9", &t.trusted), WEIR_OK);
    t.shares[0] = zeroed(weir_shares_footprint(8));
    t.options.series_shares = weir_shares_init(t.shares[0], series, 8, &stages.key);
    t.options.trusted = (struct weir_prefixes){&t.trusted, 1};
    weir_registrar_free(t.registrar);
    assert_int_equal(weir_registrar_new(&t.options, &t.registrar), WEIR_OK);
}

/* Sends a line from 10.0.0.LAST and returns how many of its words were taken. */
static unsigned
sent_from(uint8_t last, const char *text, unsigned words, bool resolved)
{
    weir_peer_set_ipv4(&t.peer, (const uint8_t[]){10, 0, 0, last});
    uint64_t refused = stages.counts.unit[WEIR_UNIT_SAMPLES].rejected[WEIR_REASON_over_share];
    if (resolved)
        resolved_line(1, text);
    else
        line(1, text, words);
    send_deferral(1);
    assert_int_equal(weir_registrar_run_once(t.registrar), 1);
    struct weir_deferral *deferral = weir_ring_pop(stages.completed);
    while (deferral->used == 0) {
        assert_true(weir_ring_push(stages.completed, deferral));
        deferral = weir_ring_pop(stages.completed);
    }
    deferral->used = 0;
    assert_true(weir_ring_push(stages.completed, deferral));
    return words - (unsigned)(
        stages.counts.unit[WEIR_UNIT_SAMPLES].rejected[WEIR_REASON_over_share] - refused);
}

static void
test_a_line_defines_no_more_than_its_bytes_allow(void **state)
{
    (void)state;
    enum { TEXT = 1000, WITHIN = 48 * TEXT / LONG_LABEL };
    static const char words[] = "La Lb Lc Ld Le Lf Lg Lh Li Lj";
    t.text_size = TEXT;
    stages_give_batch(stages.empties);
    for (uint32_t defined = WITHIN; defined < 10 + WITHIN; defined += WITHIN) {
        line(5, words, 10);
        send_deferral(1);
        weir_registrar_run_once(t.registrar);
        uint32_t now = defined < 10 ? defined : 10;
        assert_int_equal(stages.counts.counter[WEIR_COUNTER_series_defined], now);
    }
    assert_true(weir_registrar_flush(t.registrar));
    struct weir_batch *batch = pop_batch();
    uint64_t refused = rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_define_limit);
    assert_true(WITHIN > 1 && WITHIN < 10 && refused > 0);
    assert_int_equal(batch->count % 10, 10 - refused % 10);
}

static void
test_registrar_leaves_a_source_its_share_of_a_table_that_is_half_full(void **state)
{
    (void)state;
    bound_sources(16);
    stages_give_batch(stages.empties);
    char events[4096];
    int kept = capture_begin();
    assert_int_equal(sent_from(1, "a b c d e f g h i j k", 11, false), 9);
    assert_int_equal(sent_from(1, "l", 1, true), 0);
    assert_int_equal(sent_from(2, "m n o", 3, true), 2);
    assert_int_equal(sent_from(3, "p", 1, false), 1);
    assert_int_equal(sent_from(2, "a b i m n q", 6, false), 5); /* known series are everybody's */
    assert_int_equal(sent_from(2, "a b i m n q", 6, true), 5);
    assert_int_equal(sent_from(9, "q r s", 3, false), 3); /* trusted */
    capture_end(kept, events, sizeof events);
    assert_non_null(strstr(events, " event=over_share table=series who=10.0.0.1"));
    assert_null(strstr(events, "who=10.0.0.2")); /* one event a minute */
    assert_true(weir_degraded_by(&stages.degraded, WEIR_DEGRADED_series_full,
        weir_mono_ns() / 1000000));
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_over_share), 1);
    assert_int_equal(stages.counts.counter[WEIR_COUNTER_series_defined], 15);
    assert_true(weir_registrar_flush(t.registrar));
    pop_batch();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_registrar_reports_once_that_the_table_is_full),
        TEST(test_registrar_refuses_by_name_when_the_table_is_full),
        TEST(test_a_line_defines_no_more_than_its_bytes_allow),
        TEST(test_registrar_leaves_a_source_its_share_of_a_table_that_is_half_full),
        TEST(test_registrar_refuses_lines_while_the_disk_is_full),
        TEST(test_registrar_refuses_lines_after_a_device_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
