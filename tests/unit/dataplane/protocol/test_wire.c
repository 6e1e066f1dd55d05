/* The weir protocol: the window against a slow twin, templates and state entries through a restart,
 * the client's bytes against tests/golden/wire.txt, and packets with one byte changed. */
#include "base/crc.h"
#include "client/weir_client.h"
#include "dataplane/protocol/weir/group_append.h"
#include "dataplane/protocol/weir/definition.h"
#include "dataplane/protocol/weir/record.h"
#include "dataplane/protocol/weir/weir.h"
#include "dataplane/protocol/weir/channels/internal.h"
#include "tests/unit/dataplane/stages_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CHANNELS 8
#define TEMPLATE_BYTES (1u << 20)
#define SERIES_MAX 100
#define LABEL_BYTES (1u << 16)
#define NOW_MS INT64_C(1700000000000)

static struct weir_hash_key key;

static struct weir_channels *
channels_of(uint32_t channels)
{
    return weir_channels_init(zeroed(weir_channels_footprint(channels, TEMPLATE_BYTES)), channels,
        TEMPLATE_BYTES, &key);
}

static struct weir_channels *
channels_new(void)
{
    return channels_of(CHANNELS);
}

/* ---- window ---- */

#define NUMBERS 6000

static void
test_window_agrees_with_a_list_of_all_numbers(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        static bool come[NUMBERS + 2000];
        memset(come, 0, sizeof come);
        struct weir_channels *channels = channels_new();
        uint64_t gaps = 0;
        struct weir_channel *channel = weir_channels_find_or_add(channels, 1, 0, 1, &gaps);
        uint64_t random = seed, highest = 0, reach = 1 + seed * 15;
        for (uint64_t number = 1; number < NUMBERS;) {
            uint64_t back = next_random(&random) % reach;
            uint64_t sequence = next_random(&random) % 3 == 0 && back < number ? number - back
                                                                                : number;
            number += next_random(&random) % 4;
            enum weir_sequence expected = sequence > highest ? WEIR_SEQUENCE_NEW
                : highest - sequence >= WEIR_WIRE_WINDOW     ? WEIR_SEQUENCE_OLD
                : come[sequence]                             ? WEIR_SEQUENCE_DUPLICATE
                                                             : WEIR_SEQUENCE_LATE;
            assert_int_equal(weir_channel_meet(channel, sequence, &gaps), expected);
            if (expected != WEIR_SEQUENCE_OLD)
                come[sequence] = true;
            highest = sequence > highest ? sequence : highest;
            uint64_t passed = highest > WEIR_WIRE_WINDOW ? highest - WEIR_WIRE_WINDOW : 0;
            uint64_t missing = 0;
            for (uint64_t i = 1; i <= passed; i++)
                missing += !come[i];
            assert_int_equal(gaps, missing);
        }
        uint64_t missing = 0;
        for (uint64_t i = 1; i <= highest + 7; i++)
            missing += !come[i];
        weir_channel_heartbeat(channel, highest + 7, true, &gaps);
        assert_int_equal(gaps, missing);
        assert_int_equal(weir_channel_complete(channel), highest + 7);
        assert_int_equal(weir_channel_meet(channel, highest, &gaps), WEIR_SEQUENCE_DUPLICATE);
        /* what was given up is neither new nor a duplicate, and no gap a second time */
        assert_int_equal(weir_channel_meet(channel, highest + 1, &gaps), WEIR_SEQUENCE_OLD);
        assert_int_equal(weir_channel_meet(channel, highest + 8, &gaps), WEIR_SEQUENCE_NEW);
        assert_int_equal(weir_channel_meet(channel, highest + 3000, &gaps), WEIR_SEQUENCE_NEW);
        weir_channel_heartbeat(channel, highest + 3000, true, &gaps);
        assert_int_equal(gaps, missing + 2991);
        free(channels);
        if (seed % 10 != 0)
            seed += 8;
    }
}

static void
test_first_number_far_from_one_is_where_numbers_begin(void **state)
{
    (void)state;
    struct weir_channels *channels = channels_new();
    uint64_t gaps = 0;
    struct weir_channel *channel = weir_channels_find_or_add(channels, 1, 0, 1, &gaps);
    assert_int_equal(weir_channel_meet(channel, 1u << 20, &gaps), WEIR_SEQUENCE_NEW);
    assert_int_equal(weir_channel_meet(channel, (1u << 20) - 1, &gaps), WEIR_SEQUENCE_OLD);
    assert_int_equal(weir_channel_meet(channel, (1u << 20) + 5000, &gaps), WEIR_SEQUENCE_NEW);
    weir_channel_heartbeat(channel, (1u << 20) + 5000, true, &gaps);
    assert_int_equal(gaps, 4999);
    free(channels);
}

static void
test_number_far_away_is_a_new_beginning_and_keeps_no_other_out(void **state)
{
    (void)state;
    const uint64_t far = WEIR_SEQUENCE_FAR;
    struct weir_channels *channels = channels_new();
    uint64_t gaps = 0;
    struct weir_channel *channel = weir_channels_find_or_add(channels, 1, 0, 1, &gaps);
    for (uint64_t number = 1; number <= 2000; number++)
        assert_int_equal(weir_channel_meet(channel, number, &gaps), WEIR_SEQUENCE_NEW);
    assert_int_equal(weir_channel_meet(channel, 2003, &gaps), WEIR_SEQUENCE_NEW);
    /* somebody sends the last number there is, in the sender's name */
    assert_int_equal(weir_channel_meet(channel, UINT64_MAX, &gaps), WEIR_SEQUENCE_JUMP);
    assert_int_equal(gaps, 2); /* 2001 and 2002 */
    assert_int_equal(weir_channel_meet(channel, UINT64_MAX, &gaps), WEIR_SEQUENCE_DUPLICATE);
    assert_int_equal(weir_channel_complete(channel), UINT64_MAX);
    /* the sender goes on */
    assert_int_equal(weir_channel_meet(channel, 2004, &gaps), WEIR_SEQUENCE_JUMP);
    assert_int_equal(weir_channel_meet(channel, 2005, &gaps), WEIR_SEQUENCE_NEW);
    assert_int_equal(weir_channel_meet(channel, 2003, &gaps), WEIR_SEQUENCE_OLD);
    assert_int_equal(gaps, 2);
    /* up to 2^20 away is an outage, whose packets are counted; what is further is none */
    assert_int_equal(weir_channel_meet(channel, 2005 + far, &gaps), WEIR_SEQUENCE_NEW);
    assert_int_equal(weir_channel_meet(channel, 2006 + 2 * far, &gaps), WEIR_SEQUENCE_JUMP);
    assert_int_equal(gaps, 2 + far - 1);
    assert_int_equal(weir_channel_meet(channel, 2006 + far, &gaps), WEIR_SEQUENCE_OLD);
    assert_int_equal(weir_channel_meet(channel, 2005 + far, &gaps), WEIR_SEQUENCE_JUMP);
    /* heartbeats too */
    assert_true(weir_channel_heartbeat(channel, UINT64_MAX, true, &gaps));
    assert_true(weir_channel_heartbeat(channel, 7, false, &gaps));
    assert_int_equal(weir_channel_meet(channel, 8, &gaps), WEIR_SEQUENCE_NEW);
    assert_false(weir_channel_heartbeat(channel, 8, false, &gaps));
    assert_true(weir_channel_heartbeat(channel, 9 + far, false, &gaps));
    assert_int_equal(gaps, 2 + far - 1);
    free(channels);
}

static void
test_gaps_of_a_channel_stay_numbers_that_json_holds(void **state)
{
    (void)state;
    struct weir_channels *channels = channels_new();
    uint64_t gaps = 0;
    struct weir_channel *channel = weir_channels_find_or_add(channels, 1, 0, 1, &gaps);
    channel->gaps = WEIR_CHANNEL_COUNT_MAX - 5;
    (void)weir_channel_meet(channel, 1, &gaps);
    (void)weir_channel_heartbeat(channel, 100000, true, &gaps);
    assert_int_equal(gaps, 99999);
    assert_int_equal(channel->gaps, WEIR_CHANNEL_COUNT_MAX);
    (void)weir_channel_heartbeat(channel, 200000, true, &gaps);
    assert_int_equal(channel->gaps, WEIR_CHANNEL_COUNT_MAX);
    free(channels);
}

/* ---- the worst channels ---- */

static int
by_gaps(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x > y ? -1 : x < y;
}

static void
test_the_channels_with_most_gaps_are_in_the_view(void **state)
{
    (void)state;
    enum { MANY = 300 };
    struct weir_channels *channels = channels_of(MANY);
    struct weir_batch *batch = batch_new();
    static struct weir_channel_view view;
    static struct weir_channel_rows rows;
    static uint64_t lost[MANY], sorted[MANY], highest[MANY];
    uint64_t random = 7, gaps = 0;
    weir_channels_watch(channels, &view);
    for (int round = 0; round < 200; round++) {
        weir_channels_tick(channels, round * INT64_C(1000000000), NOW_MS + round * 1000);
        for (int i = 0; i < 20; i++) {
            uint64_t sender = next_random(&random) % MANY;
            uint64_t missing = next_random(&random) % 4 == 0 ? next_random(&random) % 50 : 0;
            struct weir_channel *channel = weir_channels_find_or_add(channels, sender, 1, 1, &gaps);
            highest[sender] += 1 + missing;
            lost[sender] += missing;
            weir_channel_meet(channel, highest[sender], &gaps);
            weir_channel_heartbeat(channel, highest[sender], true, &gaps);
            weir_channels_dirty(channels, channel);
        }
        weir_channels_write_state(channels, batch);
        weir_batch_reset(batch);
        weir_channels_tick(channels, round * INT64_C(1000000000), NOW_MS + round * 1000);
        assert_int_equal(weir_channel_view_read(&view, &rows), WEIR_OK);
        memcpy(sorted, lost, sizeof lost);
        qsort(sorted, MANY, sizeof sorted[0], by_gaps);
        for (uint64_t i = 0; i < rows.count; i++) {
            const struct weir_channel_row *row = &rows.rows[i];
            assert_true(row->channel == 1 && row->gaps == lost[row->sender] && row->gaps > 0);
            assert_int_equal(row->highest, highest[row->sender]);
            assert_true(row->last_seen_ms <= NOW_MS + round * 1000);
            /* none outside has lost more */
            assert_true(rows.count < WEIR_CHANNEL_VIEW_ROWS ||
                row->gaps >= sorted[WEIR_CHANNEL_VIEW_ROWS - 1]);
        }
        uint64_t lossy = 0;
        while (lossy < WEIR_CHANNEL_VIEW_ROWS && sorted[lossy] > 0)
            lossy++;
        assert_int_equal(rows.count, lossy);
    }
    assert_int_equal(rows.count, WEIR_CHANNEL_VIEW_ROWS);
    batch_free(batch);
    free(channels);
}

static void
test_a_channel_was_seen_less_than_a_second_behind_what_the_view_says(void **state)
{
    (void)state;
    struct weir_channels *channels = channels_of(1);
    struct weir_batch *batch = batch_new();
    static struct weir_channel_view view;
    static struct weir_channel_rows rows;
    uint64_t random = 3, gaps = 0, number = 1;
    int64_t mono_ns = 777000000;
    const int64_t zero_ns = NOW_MS * INT64_C(1000000) + 400000; /* the milliseconds do not align */
    weir_channels_watch(channels, &view);
    for (int round = 0; round < 1000; round++) {
        mono_ns += (int64_t)(next_random(&random) % 3000000000);
        if (round % 2 == 0)
            mono_ns += 1000000000 - mono_ns % 1000000000; /* the second has just begun */
        int64_t seen_ns = mono_ns;
        weir_channels_now(channels, mono_ns);
        struct weir_channel *channel = weir_channels_find_or_add(channels, 1, 0, 1, &gaps);
        weir_channel_meet(channel, number += 2, &gaps);
        weir_channels_dirty(channels, channel);
        weir_channel_heartbeat(channel, number, true, &gaps);
        weir_channels_write_state(channels, batch);
        weir_batch_reset(batch);
        mono_ns += (int64_t)(next_random(&random) % 3000000000);
        weir_channels_tick(channels, mono_ns, (zero_ns + mono_ns) / 1000000);
        assert_int_equal(weir_channel_view_read(&view, &rows), WEIR_OK);
        assert_int_equal(rows.count, 1);
        int64_t before_ns = zero_ns + seen_ns - rows.rows[0].last_seen_ms * 1000000;
        assert_true(before_ns >= 0 && before_ns < 1002000000); /* and what rounding takes */
    }
    batch_free(batch);
    free(channels);
}

/* ---- channels that make room ---- */

#define SECOND_NS INT64_C(1000000000)

static void
tick(struct weir_channels *channels, int64_t second)
{
    weir_channels_tick(channels, second * SECOND_NS, NOW_MS + second * 1000);
}

static void
push_sender_state(
    struct weir_channels *channels, struct weir_channels *after, struct weir_batch *batch)
{
    weir_channels_write_state(channels, batch);
    weir_channels_restore(after, batch->sender_state, batch->state_bytes, 0);
    weir_batch_reset(batch);
}

static void
test_only_an_idle_channel_makes_room_and_its_gaps_are_counted(void **state)
{
    (void)state;
    struct weir_channels *channels = channels_new(), *after = channels_new();
    struct weir_batch *batch = batch_new();
    uint64_t gaps = 0;
    tick(channels, 10);
    for (uint64_t sender = 0; sender < CHANNELS; sender++) {
        struct weir_channel *channel = weir_channels_find_or_add(channels, sender, 0, 1, &gaps);
        weir_channel_meet(channel, 1, &gaps);
        weir_channel_meet(channel, 5, &gaps); /* 2, 3 and 4 are missing */
        channel->delivered = true;
        weir_channels_dirty(channels, channel);
    }
    tick(channels, 10 + 7200);
    assert_null(
        weir_channels_find_or_add(channels, 99, 0, 1, &gaps)); /* their state entries are owed */
    push_sender_state(channels, after, batch);
    tick(channels, 10 + 3599);
    assert_null(weir_channels_find_or_add(channels, 99, 0, 1, &gaps));
    struct weir_channel *said_bye = weir_channels_find(channels, 3, 0);
    weir_channel_heartbeat(said_bye, 5, true, &gaps);
    assert_int_equal(gaps, 3);
    assert_non_null(weir_channels_find_or_add(channels, 99, 0, 1, &gaps));
    weir_channels_find(channels, 99, 0)->delivered = true;
    assert_null(weir_channels_find(channels, 3, 0));
    assert_int_equal(gaps, 3); /* none a second time */
    tick(channels, 10 + 3600);
    assert_non_null(weir_channels_find_or_add(channels, 100, 0, 1, &gaps));
    assert_int_equal(gaps, 6);
    batch_free(batch);
    free(channels);
    free(after);
}

static void
test_a_channel_that_comes_back_goes_on_where_it_was(void **state)
{
    (void)state;
    struct weir_channels *channels = channels_new();
    struct weir_batch *batch = batch_new();
    uint64_t gaps = 0;
    tick(channels, 1);
    for (uint64_t sender = 0; sender < CHANNELS; sender++) {
        struct weir_channel *channel = weir_channels_find_or_add(channels, sender, 0, 5, &gaps);
        weir_channel_meet(channel, 10, &gaps);
        channel->delivered = true;
    }
    tick(channels, 1 + 3600);
    for (uint64_t sender = 50; sender < 50 + CHANNELS; sender++)
        assert_non_null(weir_channels_find_or_add(channels, sender, 0, 1, &gaps));
    assert_int_equal(gaps, 9 * CHANNELS);
    tick(channels, 1 + 7300);
    struct weir_channel *back = weir_channels_find_or_add(channels, 0, 0, 5, &gaps);
    assert_int_equal(weir_channel_complete(back), 10);
    assert_int_equal(weir_channel_meet(back, 10, &gaps), WEIR_SEQUENCE_OLD);
    assert_int_equal(weir_channel_meet(back, 13, &gaps), WEIR_SEQUENCE_NEW);
    assert_int_equal(weir_channel_meet(back, 12, &gaps), WEIR_SEQUENCE_LATE);
    weir_channel_heartbeat(back, 13, true, &gaps);
    assert_int_equal(gaps, 9 * CHANNELS + 1);
    assert_int_equal(
        weir_channels_find_or_add(channels, 1, 0, 4, &gaps)->epoch, 5); /* 4 is an old one */
    assert_int_equal(weir_channels_find_or_add(channels, 2, 0, 6, &gaps)->highest, 0);
    batch_free(batch);
    free(channels);
}

/* Many senders for a small table, each silent for hours between its packets: whatever makes room
 * when, gaps are the packets that were lost, and recovery ends with the same channels. */
static void
test_gaps_are_exact_whoever_makes_room(void **state)
{
    (void)state;
    enum { ROOM = 48, MANY = 150, STEPS = 20000 }; /* three quarters of 64 slots */
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct weir_channels *channels = channels_of(ROOM), *after = channels_of(ROOM);
        struct weir_batch *batch = batch_new();
        uint64_t random = seed, gaps = 0, lost = 0, sent[MANY] = {0};
        for (int step = 1; step <= STEPS + MANY; step++) {
            tick(channels, step * INT64_C(3600));
            bool bye = step > STEPS;
            uint64_t sender = bye ? (uint64_t)(step - STEPS - 1) : next_random(&random) % MANY;
            uint64_t missing = next_random(&random) % 5 == 0 ? next_random(&random) % 3 : 0;
            struct weir_channel *channel = weir_channels_find_or_add(channels, sender, 2, 1, &gaps);
            assert_non_null(channel);
            channel->delivered = true;
            if (bye) {
                weir_channel_heartbeat(channel, sent[sender], true, &gaps);
            } else {
                lost += missing;
                sent[sender] += missing + 1;
                assert_int_equal(weir_channel_meet(channel, sent[sender], &gaps),
                    WEIR_SEQUENCE_NEW);
            }
            weir_channels_dirty(channels, channel);
            if (next_random(&random) % 8 == 0 || weir_channels_dirty_count(channels) > ROOM / 2)
                push_sender_state(channels, after, batch);
        }
        push_sender_state(channels, after, batch);
        assert_int_equal(gaps, lost);
        for (uint64_t sender = 0; sender < MANY; sender++) {
            const struct weir_channel *here = weir_channels_find(channels, sender, 2);
            const struct weir_channel *there = weir_channels_find(after, sender, 2);
            assert_true((here == NULL) == (there == NULL));
            assert_true(here == NULL || here->highest == there->highest);
            assert_true(here == NULL ||
                weir_channel_complete(here) == weir_channel_complete(there));
        }
        batch_free(batch);
        free(channels);
        free(after);
    }
}

/* ---- channels without samples, and shares ---- */

static const struct weir_owner nobody_special = {.high = 1, .kind = 1};

/* The next packet of a sender, from a source; the channel, or NULL with *reason. */
static struct weir_channel *
admit(struct weir_channels *channels, uint64_t sender, uint16_t channel,
    const struct weir_owner *source, uint8_t *reason)
{
    uint64_t gaps = 0;
    const struct weir_wire_header header = {.sender = sender, .channel = channel, .epoch = 1};
    *reason = WEIR_REASON_NONE;
    struct weir_channel *found = weir_channels_find(channels, sender, channel);
    return found != NULL ? found : weir_channels_admit(channels, &header, source, &gaps, reason);
}

static void
test_channels_that_never_delivered_make_room_and_leave_no_trace(void **state)
{
    (void)state;
    enum { ROOM = 48 };
    struct weir_channels *channels = channels_of(ROOM), *after = channels_of(ROOM);
    struct weir_batch *batch = batch_new();
    uint8_t reason;
    tick(channels, 1);
    for (uint64_t sender = 0; sender < ROOM; sender++) {
        struct weir_channel *channel = admit(channels, sender, 0, NULL, &reason);
        assert_non_null(channel);
        channel->delivered = sender < 8;
        channel->highest = 5;
        if (sender < 16) /* eight of those without samples have sent packets with numbers */
            weir_channels_dirty(channels, channel);
        else
            weir_channels_seen(channels, channel);
    }
    tick(channels, 2);
    assert_null(admit(channels, 1000, 0, NULL, &reason)); /* they are too young */
    assert_int_equal(reason, WEIR_REASON_senders_full);
    push_sender_state(channels, after, batch);
    assert_int_equal(after->channel_count, 16);
    tick(channels, 3);
    for (uint64_t sender = 1000; sender < 1000 + ROOM - 8; sender++) {
        struct weir_channel *channel = admit(channels, sender, 0, NULL, &reason);
        assert_non_null(channel);
        channel->delivered = true;
        weir_channels_dirty(channels, channel);
    }
    assert_null(admit(channels, 2000, 0, NULL, &reason));
    for (uint64_t sender = 0; sender < 8; sender++)
        assert_non_null(weir_channels_find(channels, sender, 0));
    assert_int_equal(channels->forgotten_count, 0); /* that is for those who come back */
    push_sender_state(channels, after, batch);
    assert_int_equal(after->channel_count, ROOM);
    for (uint64_t sender = 8; sender < ROOM; sender++)
        assert_null(weir_channels_find(after, sender, 0));
    batch_free(batch);
    free(channels);
    free(after);
}

static void
test_sender_and_source_hold_their_shares_of_the_channels(void **state)
{
    (void)state;
    enum { ROOM = 96 };
    struct weir_channels *channels = channels_of(ROOM);
    struct weir_owner source = {.high = 7, .kind = 1};
    uint8_t reason;
    uint32_t taken = 0;
    tick(channels, 1);
    for (uint16_t channel = 0; channel < ROOM; channel++) /* one id from many sources */
        taken += admit(channels, 666, channel,
            &(struct weir_owner){.high = 100 + channel, .kind = 1}, &reason) != NULL;
    assert_int_equal(taken, ROOM / 2 + 1);
    assert_int_equal(reason, WEIR_REASON_over_share);
    for (uint64_t sender = 1; sender <= ROOM; sender++) /* many ids from one source */
        taken += admit(channels, sender, 0, &source, &reason) != NULL;
    assert_int_equal(taken, ROOM / 2 + 1 + ROOM / 8);
    assert_int_equal(reason, WEIR_REASON_over_share);
    assert_non_null(admit(channels, 5000, 0, &nobody_special, &reason));
    assert_non_null(admit(channels, 666, 500, NULL, &reason)); /* trusted */
    /* those that leave leave their share */
    tick(channels, 10);
    for (uint64_t sender = 6000; sender < 6000 + 2 * ROOM; sender++)
        (void)admit(channels, sender, 0, NULL, &reason);
    assert_int_equal(weir_shares_used(channels->channel_sources), channels->channel_count);
    assert_int_equal(weir_shares_held(channels->channel_sources, &source), 0);
    struct weir_owner id = weir_owner_sender(666);
    assert_int_equal(weir_shares_held(channels->channel_senders, &id), 0);
    free(channels);
}

static void
test_epoch_that_lay_ahead_is_forgotten_over_restarts_too(void **state)
{
    (void)state;
    struct weir_channels *channels = channels_new(), *after = channels_new();
    struct weir_batch *batch = batch_new();
    uint64_t gaps = 0;
    tick(channels, 1);
    struct weir_channel *channel = weir_channels_find_or_add(channels, 4, 1, 2147483647, &gaps);
    channel->delivered = true;
    (void)weir_channel_meet(channel, 70, &gaps);
    weir_channels_dirty(channels, channel);
    push_sender_state(channels, after, batch);
    assert_int_equal(weir_channels_find(after, 4, 1)->epoch, 2147483647);
    assert_true(weir_channel_heal(channels, channel, 1700000000));
    (void)weir_channel_meet(channel, 1, &gaps);
    weir_channels_dirty(channels, channel);
    push_sender_state(channels, after, batch);
    const struct weir_channel *healed = weir_channels_find(after, 4, 1);
    assert_int_equal(healed->epoch, 1700000000);
    assert_int_equal(healed->highest, 1);
    assert_true(healed->delivered);
    batch_free(batch);
    free(channels);
    free(after);
}

/* ---- what the control plane asks ---- */

/* Asks, and has the worker work until the answer is there. Returns how many rounds that took. */
static int
asked(struct weir_channels *channels, const struct weir_channel_question *question,
    struct weir_channel_answer *answer)
{
    static struct weir_channel_mail mail;
    static int64_t now_ns;
    weir_channels_serve(channels, &mail);
    uint64_t number = weir_channel_mail_ask(&mail, question);
    for (int rounds = 1; rounds < 1000; rounds++) {
        (void)weir_channels_work(channels, now_ns += SECOND_NS / 500);
        if (weir_channel_mail_answered(&mail, number, answer))
            return rounds;
    }
    return -1;
}

static void
test_pages_hold_every_channel_once(void **state)
{
    (void)state;
    enum { ROOM = 5000, MANY = 3000 };
    static struct weir_channel_answer answer;
    static bool listed[MANY];
    struct weir_channels *channels = channels_of(ROOM);
    uint64_t gaps = 0;
    memset(listed, 0, sizeof listed);
    tick(channels, 1);
    for (uint64_t sender = 0; sender < MANY; sender++)
        (void)weir_channels_find_or_add(channels, sender, 3, 1, &gaps);
    struct weir_channel_question question = {
        .kind = WEIR_CHANNEL_LIST, .rows_max = 100, .seen_until_ms = INT64_MAX};
    int pages = 0, rounds;
    do {
        assert_in_range(rounds = asked(channels, &question, &answer), 1, 5);
        assert_in_range(answer.count, 0, 100);
        assert_int_equal(answer.channels, MANY);
        for (uint64_t i = 0; i < answer.count; i++) {
            assert_false(listed[answer.rows[i].sender]);
            listed[answer.rows[i].sender] = true;
        }
        question.from = answer.next;
        pages++;
    } while (answer.next != WEIR_CHANNEL_LIST_END);
    assert_in_range(pages, MANY / 100, MANY / 100 + 1);
    for (int i = 0; i < MANY; i++)
        assert_true(listed[i]);
    question = (struct weir_channel_question){.kind = WEIR_CHANNEL_LIST, .rows_max = 100,
        .sender = 77, .one_sender = 1, .seen_until_ms = INT64_MAX};
    (void)asked(channels, &question, &answer);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.rows[0].sender, 77);
    question.seen_until_ms = NOW_MS - 1000000; /* it was seen later */
    (void)asked(channels, &question, &answer);
    assert_int_equal(answer.count, 0);
    /* what is no question has an empty answer, and a page past the end too */
    (void)asked(channels, &(struct weir_channel_question){.kind = 99}, &answer);
    assert_int_equal(answer.count, 0);
    (void)asked(channels, &(struct weir_channel_question){.kind = WEIR_CHANNEL_LIST,
        .from = UINT64_MAX - 1, .rows_max = UINT64_MAX}, &answer);
    assert_int_equal(answer.count, 0);
    free(channels);
}

static void
test_sender_that_is_forgotten_is_met_like_a_new_one_over_restarts_too(void **state)
{
    (void)state;
    enum { ROOM = 4000, OWN = 1500 };
    static struct weir_channel_answer answer;
    struct weir_channels *channels = channels_of(ROOM), *after = channels_of(ROOM);
    struct weir_batch *batch = batch_new();
    uint64_t gaps = 0;
    tick(channels, 1);
    for (uint16_t channel = 0; channel < OWN; channel++)
        for (uint64_t sender = 1; sender <= 2; sender++) {
            struct weir_channel *own =
                weir_channels_find_or_add(channels, sender, channel, 50, &gaps);
            own->delivered = true;
            own->pending = sender == 1 && channel == 700; /* the registrar has a definition */
            (void)weir_channel_meet(own, 9, &gaps);
            weir_channels_dirty(channels, own);
        }
    push_sender_state(channels, after, batch);
    assert_int_equal(after->channel_count, 2 * OWN);
    const struct weir_channel_question question = {.kind = WEIR_CHANNEL_FORGET, .sender = 1};
    static struct weir_channel_mail mail;
    weir_channels_serve(channels, &mail);
    uint64_t number = weir_channel_mail_ask(&mail, &question);
    int64_t now_ns = 0;
    for (int i = 0; i < 100; i++) /* waits for the definition */
        (void)weir_channels_work(channels, now_ns += SECOND_NS);
    assert_false(weir_channel_mail_answered(&mail, number, &answer));
    weir_channels_find(channels, 1, 700)->pending = 0;
    for (int i = 0; i < 300 && !weir_channel_mail_answered(&mail, number, &answer); i++) {
        (void)weir_channels_work(channels, now_ns += SECOND_NS);
        if (weir_channels_owe_state(channels)) /* a batch holds 1,024 of them */
            push_sender_state(channels, after, batch);
    }
    assert_int_equal(answer.channels, OWN);
    push_sender_state(channels, after, batch);
    assert_int_equal(channels->channel_count, OWN);
    assert_int_equal(after->channel_count, OWN);
    assert_int_equal(weir_channels_find_or_add(after, 1, 4, 7, &gaps)->epoch, 7);
    assert_int_equal(weir_channels_find(after, 2, 4)->highest, 9);
    batch_free(batch);
    free(channels);
    free(after);
}

static void
test_a_sender_whose_channels_made_room_is_forgotten_too(void **state)
{
    (void)state;
    static struct weir_channel_answer answer;
    static struct weir_channel_mail mail;
    struct weir_channels *channels = channels_of(64);
    struct weir_forgotten entry;
    uint64_t gaps = 0;
    for (uint16_t channel = 0; channel < 3; channel++)
        for (uint64_t sender = 1; sender <= 2; sender++)
            weir_forgotten_restore(channels,
                &(struct weir_state_entry){.type = WEIR_STATE_FORGOTTEN, .channel = channel,
                    .bytes = sizeof(struct weir_state_entry), .sender = sender, .epoch = 5,
                    .sequence = 9});
    tick(channels, 1);
    assert_int_equal(
        weir_channels_find_or_add(channels, 1, 2, 4, &gaps)->epoch, 5); /* known again */
    weir_channels_serve(channels, &mail);
    uint64_t number = weir_channel_mail_ask(&mail,
        &(struct weir_channel_question){.kind = WEIR_CHANNEL_FORGET, .sender = 1});
    int64_t now_ns = 0;
    for (int i = 0; i < 300 && !weir_channel_mail_answered(&mail, number, &answer); i++)
        (void)weir_channels_work(channels, now_ns += SECOND_NS);
    assert_int_equal(answer.channels, 3);
    assert_false(weir_channels_remembered(channels, 1, 0, &entry));
    assert_true(weir_channels_remembered(channels, 2, 0, &entry));
    assert_int_equal(weir_channels_find_or_add(channels, 1, 1, 4, &gaps)->epoch, 4);
    free(channels);
}

/* ---- state entries ---- */

/* Forty channels whose templates fill several batches, and a few that have little to say. */
static void
test_templates_that_find_no_room_in_a_batch_are_owed_and_keep_no_channel_changed(void **state)
{
    (void)state;
    enum { OWING = 40, SERIES = 12000, FEW = 5 };
    const uint64_t room = 8u << 20;
    struct weir_channels *before =
        weir_channels_init(zeroed(weir_channels_footprint(64, room)), 64, room, &key);
    struct weir_channels *after =
        weir_channels_init(zeroed(weir_channels_footprint(64, room)), 64, room, &key);
    struct weir_batch *batch = batch_new();
    uint64_t gaps = 0;
    uint32_t batches = 0;
    for (uint64_t sender = 1; sender <= OWING + FEW; sender++) {
        struct weir_channel *channel = weir_channels_find_or_add(before, sender, 0, 5, &gaps);
        const uint16_t count = sender <= OWING ? SERIES : 1;
        struct weir_wire_record record = {
            .template_id = 4, .template_hash = 77, .count = count, .total = count};
        uint8_t reason = WEIR_REASON_COUNT;
        struct weir_template *template =
            weir_channel_define(before, channel, &record, 3, NULL, &reason);
        assert_non_null(template);
        for (uint32_t i = 0; i < count; i++) /* no two of them follow each other */
            weir_template_enter(before, template, i, sender + 2 * (uint64_t)(count - i));
        weir_channels_dirty(before, channel);
    }
    while (weir_channels_owe_state(before)) {
        weir_channels_write_state(before, batch);
        assert_int_equal(weir_channels_dirty_count(before), 0);
        weir_channels_restore(after, batch->sender_state, batch->state_bytes, UINT64_MAX);
        weir_batch_reset(batch);
        if (batches++ == 0) /* one that owes is forgotten; one that owes has news */
            weir_channel_leave(before, weir_channels_find(before, OWING, 0));
        if (batches == 2)
            weir_channels_dirty(before, weir_channels_find(before, OWING - 1, 0));
        assert_in_range(batches, 1, 100);
    }
    assert_in_range(batches, 3, 100);
    for (uint64_t sender = 1; sender <= OWING + FEW; sender++) {
        if (sender == OWING)
            continue;
        const struct weir_channel *back = weir_channels_find(after, sender, 0);
        assert_non_null(back);
        const struct weir_template *again = weir_channel_template(after, back, 4);
        assert_non_null(again);
        assert_int_equal(again->unknown, 0);
        for (uint32_t i = 0; i < again->total; i++)
            assert_int_equal(weir_template_number(after, again, i),
                sender + 2 * (uint64_t)(again->total - i));
    }
    batch_free(batch);
    free(before);
    free(after);
}

static void
test_state_entries_bring_back_windows_and_templates(void **state)
{
    (void)state;
    struct weir_channels *before = channels_new(), *after = channels_new();
    uint64_t gaps = 0;
    struct weir_channel *channel = weir_channels_find_or_add(before, 9, 2, 5, &gaps);
    for (uint64_t number = 1; number <= 3000; number += 1 + number % 3)
        weir_channel_meet(channel, number, &gaps);
    struct weir_wire_record record = {
        .template_id = 4, .template_hash = 77, .count = 10, .total = 10};
    uint8_t reason = WEIR_REASON_COUNT;
    struct weir_template *template =
        weir_channel_define(before, channel, &record, 3, NULL, &reason);
    const uint64_t numbers[10] = {5, 6, 7, UINT64_MAX, 50, 40, 41, 8, 99, UINT64_MAX};
    for (uint32_t i = 0; i < 10; i++)
        if (numbers[i] != UINT64_MAX)
            weir_template_enter(before, template, i, numbers[i]);
    weir_channels_dirty(before, channel);
    struct weir_batch *batch = batch_new();
    weir_channels_write_state(before, batch);
    assert_int_equal(weir_channels_dirty_count(before), 0);
    assert_false(template->unlogged);
    assert_int_equal(batch->series_through, 100);
    weir_channels_restore(after, batch->sender_state, batch->state_bytes, 100);
    struct weir_channel *back = weir_channels_find(after, 9, 2);
    assert_non_null(back);
    assert_int_equal(back->epoch, 5);
    assert_int_equal(back->highest, channel->highest);
    assert_memory_equal(back->seen, channel->seen, sizeof back->seen);
    const struct weir_template *again = weir_channel_template(after, back, 4);
    assert_non_null(again);
    assert_int_equal(again->hash, 77);
    assert_int_equal(again->unknown, 2);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(weir_template_number(after, again, i), numbers[i]);
    batch_free(batch);
    free(before);
    free(after);
}

static void
test_templates_are_replaced_by_newer_ones_and_their_blocks_used_again(void **state)
{
    (void)state;
    struct weir_channels *channels = channels_new();
    uint64_t gaps = 0;
    struct weir_channel *channel = weir_channels_find_or_add(channels, 1, 0, 1, &gaps);
    uint8_t reason = WEIR_REASON_COUNT;
    for (uint32_t i = 1; i <= 100000; i++) {
        struct weir_wire_record record = {
            .template_id = (uint16_t)(i % 3), .template_hash = i, .count = (uint16_t)(i % 500 + 1),
            .total = (uint16_t)(i % 500 + 1)};
        assert_non_null(weir_channel_define(channels, channel, &record, i, NULL, &reason));
    }
    struct weir_wire_record old = {.template_id = 1, .template_hash = 1, .total = 5};
    assert_null(weir_channel_define(channels, channel, &old, 1, NULL, &reason));
    assert_int_equal(reason, WEIR_REASON_COUNT);
    for (uint16_t id = 3; id < WEIR_WIRE_TEMPLATES_MAX; id++) {
        struct weir_wire_record more = {.template_id = id, .template_hash = 1, .total = 1};
        assert_non_null(weir_channel_define(channels, channel, &more, 1, NULL, &reason));
    }
    struct weir_wire_record last = {.template_id = 99, .template_hash = 1, .total = 1};
    assert_null(weir_channel_define(channels, channel, &last, 1, NULL, &reason));
    assert_int_equal(reason, WEIR_REASON_templates_full);
    free(channels);
}

/* ---- bytes ---- */

struct packets {
    size_t count;
    size_t size[8];
    uint8_t data[8][2048];
};

static void
collect(void *context, const uint8_t *packet, size_t size)
{
    struct packets *packets = context;
    assert_true(packets->count < 8 && size <= 2048);
    memcpy(packets->data[packets->count], packet, size);
    packets->size[packets->count++] = size;
}

static void
client_packets(struct packets *packets)
{
    const struct weir_client_options options = {.sender = UINT64_C(0x0102030405060708),
        .epoch = 7, .channel = 3, .emit = collect, .emit_context = packets};
    const struct weir_client_label common[] = {{"job", "golden"}, {"host", "a"}};
    const struct weir_client_label first[] = {{"__name__", "first"}};
    const struct weir_client_label second[] = {{"__name__", "second"}, {"core", "0"}};
    const struct weir_client_series series[] = {{first, 1}, {second, 2}};
    struct weir_client *client;
    uint16_t id;
    assert_int_equal(weir_client_new(&options, &client), 0);
    assert_int_equal(weir_client_add_template(client, common, 2, series, 2, &id), 0);
    assert_int_equal(weir_client_add_values(client, id, 0, (double[]){1.5, -2}, 2, NOW_MS), 0);
    assert_int_equal(weir_client_add_values(client, id, 1, (double[]){0.1}, 1, NOW_MS + 10), 0);
    assert_int_equal(weir_client_close(client, 0), 0);
}

static void
test_the_clients_bytes_are_the_golden_ones(void **state)
{
    (void)state;
    static struct packets packets;
    packets.count = 0;
    client_packets(&packets);
    FILE *file = fopen(getenv("WEIR_GOLDEN_WIRE"), "r");
    assert_non_null(file);
    for (size_t i = 0; i < packets.count; i++) {
        char name[32], hex[4097];
        assert_int_equal(fscanf(file, "%31s %4096s", name, hex), 2);
        assert_int_equal(strlen(hex), 2 * packets.size[i]);
        for (size_t at = 0; at < packets.size[i]; at++) {
            char digits[3];
            snprintf(digits, sizeof digits, "%02x", packets.data[i][at]);
            assert_memory_equal(digits, hex + 2 * at, 2);
        }
    }
    assert_int_equal(packets.count, 3);
    fclose(file);
}

static struct weir_parsed parsed;
static struct weir_definitions definitions;

/* Parses one datagram in memory of its exact size, which stays until the next: items point there.
 */
static void
parse(struct weir_channels *channels, const struct weir_series *series, const uint8_t *data,
    size_t size)
{
    static uint8_t *exact;
    free(exact);
    exact = malloc(size + WEIR_PACKET_SLACK);
    assert_non_null(exact);
    memcpy(exact, data, size);
    const struct weir_parse_context context = {.key = &key,
        .time_min_ms = INT64_MIN,
        .time_max_ms = INT64_MAX,
        .channels = channels,
        .series = series,
        .definitions = &definitions,
        .refusal = WEIR_REASON_NONE};
    struct weir_packet packet = {.data = exact, .size = (uint32_t)size, .final = true};
    weir_parsed_reset(&parsed);
    size_t at = weir_wire_parse(&context, &packet, 0, &parsed);
    assert_true(at == size && parsed.record_count > 0 && !parsed.waits);
}

static void
define(struct weir_series *series, const char *name)
{
    struct weir_label labels[4] = {
        {(const uint8_t *)"__name__", (const uint8_t *)name, 8, (uint16_t)strlen(name)},
        {(const uint8_t *)"job", (const uint8_t *)"golden", 3, 6},
        {(const uint8_t *)"host", (const uint8_t *)"a", 4, 1},
        {(const uint8_t *)"core", (const uint8_t *)"0", 4, 1}};
    uint8_t canonical[WEIR_LABELS_BYTES_MAX];
    size_t size;
    uint64_t number;
    bool defined;
    assert_int_equal(weir_labels_encode(labels, strcmp(name, "first") == 0 ? 3 : 4, canonical,
        &size), WEIR_OK);
    assert_int_equal(weir_series_define(series, canonical, size, &number, &defined), WEIR_OK);
}

static void
test_groups_name_their_series_by_number(void **state)
{
    (void)state;
    static struct packets packets;
    packets.count = 0;
    client_packets(&packets);
    struct weir_channels *channels = channels_new();
    struct weir_series *series = series_new(&key, SERIES_MAX, LABEL_BYTES);
    parse(channels, series, packets.data[1], packets.size[1]);
    assert_int_equal(parsed.samples_rejected[WEIR_REASON_no_template], 3);
    struct weir_channel *channel =
        weir_channels_find(channels, UINT64_C(0x0102030405060708), 3);
    weir_channel_restart(channels, channel, 7);
    define(series, "second");
    define(series, "first");
    parse(channels, series, packets.data[0], packets.size[0]);
    assert_int_equal(parsed.items[0].kind, WEIR_WIRE_ITEM_EMPTY);
    parse(channels, series, packets.data[1], packets.size[1]);
    assert_int_equal(parsed.record_count, 2);
    struct weir_batch *batch = batch_new();
    for (int i = 0; i < 2; i++) {
        const struct weir_wire_item *item = &parsed.items[i];
        weir_group_append(batch, item->numbers, item->values, item->offsets, item->count,
            item->time_ms);
    }
    assert_int_equal(batch->count, 3);
    const double values[] = {1.5, -2, 0.1};
    const uint64_t numbers[] = {1, 0, 0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weir_sample_series(&batch->samples[i]), numbers[i]);
        assert_true(weir_sample_double(&batch->samples[i]) == values[i]);
        assert_int_equal(batch->samples[i].time_ms, NOW_MS + (i == 2 ? 10 : 0));
    }
    assert_int_equal(weir_sample_kind(&batch->samples[1]), WEIR_VALUE_DECIMAL);
    assert_false(batch->ascending);
    batch_free(batch);
    free(channels);
    free(series);
}

static void
enter_checksum(uint8_t *data, size_t size)
{
    uint32_t crc = weir_crc32c(weir_crc32c(0, data, 44), data + 64, size - 64);
    memcpy(data + 44, &crc, sizeof crc);
}

static void
test_groups_of_a_newer_epoch_find_no_template_of_the_one_before(void **state)
{
    (void)state;
    static struct packets packets;
    packets.count = 0;
    client_packets(&packets);
    struct weir_channels *channels = channels_new();
    struct weir_series *series = series_new(&key, SERIES_MAX, LABEL_BYTES);
    define(series, "first");
    define(series, "second");
    parse(channels, series, packets.data[0], packets.size[0]);
    parse(channels, series, packets.data[1], packets.size[1]);
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_NONE);
    struct weir_wire_header header;
    memcpy(&header, packets.data[1], sizeof header);
    header.epoch++;
    memcpy(packets.data[1], &header, sizeof header);
    enter_checksum(packets.data[1], packets.size[1]);
    parse(channels, series, packets.data[1], packets.size[1]);
    assert_int_equal(parsed.record_count, 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(parsed.records[i].reason, WEIR_REASON_no_template);
    assert_int_equal(parsed.samples_rejected[WEIR_REASON_no_template], 3);
    free(channels);
    free(series);
}

/* A number would be acknowledged, and after a crash be a duplicate, before what it defined is in
 * the log. */
static void
test_a_definition_with_a_number_is_refused(void **state)
{
    (void)state;
    static struct packets packets;
    packets.count = 0;
    client_packets(&packets);
    struct weir_channels *channels = channels_new();
    struct weir_series *series = series_new(&key, SERIES_MAX, LABEL_BYTES);
    struct weir_wire_header header;
    uint8_t *data = packets.data[0];
    memcpy(&header, data, sizeof header);
    assert_int_equal(header.flags, WEIR_WIRE_UNNUMBERED);
    header.flags = 0;
    header.sequence = 1;
    memcpy(data, &header, sizeof header);
    enter_checksum(data, packets.size[0]);
    parse(channels, series, data, packets.size[0]);
    assert_int_equal(parsed.record_count, 1);
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_bad_packet);
    assert_null(weir_channels_find(channels, header.sender, header.channel));
    free(channels);
    free(series);
}

/* Whatever a byte is changed to, with a checksum that fits: records are counted, nothing outside
 * the packet is read (the sanitizers look), and what is accepted lies inside. */
static void
test_no_changed_byte_is_read_past_the_packet(void **state)
{
    (void)state;
    static struct packets packets;
    packets.count = 0;
    client_packets(&packets);
    struct weir_series *series = series_new(&key, SERIES_MAX, LABEL_BYTES);
    define(series, "first");
    define(series, "second");
    for (size_t n = 0; n < packets.count; n++) {
        for (size_t at = 0; at < packets.size[n]; at++) {
            for (int change = 1; change < 256; change += at < 80 || at % 64 < 16 ? 1 : 37) {
                struct weir_channels *channels = channels_new();
                if (n > 0)
                    parse(channels, series, packets.data[0], packets.size[0]);
                uint8_t data[2048];
                memcpy(data, packets.data[n], packets.size[n]);
                data[at] ^= (uint8_t)change;
                enter_checksum(data, packets.size[n]);
                parse(channels, series, data, packets.size[n]);
                for (uint32_t i = 0; i < parsed.record_count; i++)
                    if (parsed.records[i].reason == WEIR_REASON_NONE &&
                        parsed.items[i].kind == WEIR_WIRE_ITEM_GROUP)
                        for (uint32_t k = 0; k < parsed.items[i].count; k++)
                            assert_true(parsed.items[i].numbers[k] < 2);
                free(channels);
                if (at >= 16 && at < 44)
                    change += 60;
            }
        }
    }
    free(series);
}

int
main(void)
{
    const uint8_t seed[WEIR_HASH_SEED_BYTES] = {1};
    weir_hash_key_init(&key, seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_agrees_with_a_list_of_all_numbers),
        cmocka_unit_test(test_first_number_far_from_one_is_where_numbers_begin),
        cmocka_unit_test(test_number_far_away_is_a_new_beginning_and_keeps_no_other_out),
        cmocka_unit_test(test_gaps_of_a_channel_stay_numbers_that_json_holds),
        cmocka_unit_test(test_channels_that_never_delivered_make_room_and_leave_no_trace),
        cmocka_unit_test(test_sender_and_source_hold_their_shares_of_the_channels),
        cmocka_unit_test(test_pages_hold_every_channel_once),
        cmocka_unit_test(test_sender_that_is_forgotten_is_met_like_a_new_one_over_restarts_too),
        cmocka_unit_test(test_a_sender_whose_channels_made_room_is_forgotten_too),
        cmocka_unit_test(test_epoch_that_lay_ahead_is_forgotten_over_restarts_too),
        cmocka_unit_test(test_the_channels_with_most_gaps_are_in_the_view),
        cmocka_unit_test(test_a_channel_was_seen_less_than_a_second_behind_what_the_view_says),
        cmocka_unit_test(test_only_an_idle_channel_makes_room_and_its_gaps_are_counted),
        cmocka_unit_test(test_a_channel_that_comes_back_goes_on_where_it_was),
        cmocka_unit_test(test_gaps_are_exact_whoever_makes_room),
        cmocka_unit_test(test_state_entries_bring_back_windows_and_templates),
        cmocka_unit_test(
            test_templates_that_find_no_room_in_a_batch_are_owed_and_keep_no_channel_changed),
        cmocka_unit_test(test_templates_are_replaced_by_newer_ones_and_their_blocks_used_again),
        cmocka_unit_test(test_the_clients_bytes_are_the_golden_ones),
        cmocka_unit_test(test_groups_name_their_series_by_number),
        cmocka_unit_test(test_groups_of_a_newer_epoch_find_no_template_of_the_one_before),
        cmocka_unit_test(test_a_definition_with_a_number_is_refused),
        cmocka_unit_test(test_no_changed_byte_is_read_past_the_packet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
