/* Channels of the weir protocol: which make room, which are forgotten, what the view says. */
#include "tests/unit/dataplane/protocol/wire_fixture.h"

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

/* Numbers [first, last] of a sender come, and a batch says so. */
static void
meet_all(struct weir_channels *channels, uint64_t sender, uint64_t first, uint64_t last)
{
    uint64_t gaps = 0;
    struct weir_channel *channel = weir_channels_find_or_add(channels, sender, 0, 1, &gaps);
    for (uint64_t number = first; number <= last; number++)
        assert_int_equal(weir_channel_meet(channel, number, &gaps), WEIR_SEQUENCE_NEW);
    weir_channels_dirty(channels, channel);
}

/* docs/format/sender_state.md, "Lost entries": a later entry makes good for a lost one; where none
 * follows, what comes again counts anew. */
static void
test_what_a_lost_state_entry_means(void **state)
{
    (void)state;
    enum { LATER_FOLLOWS = 1, LAST_IS_LOST, ONLY_IS_LOST };
    struct weir_channels *channels = channels_new(), *after = channels_new();
    struct weir_batch *batch = batch_new();
    meet_all(channels, LATER_FOLLOWS, 1, 5);
    meet_all(channels, LAST_IS_LOST, 1, 5);
    push_sender_state(channels, after, batch);
    meet_all(channels, LATER_FOLLOWS, 6, 9);
    meet_all(channels, LAST_IS_LOST, 6, 9);
    meet_all(channels, ONLY_IS_LOST, 1, 9);
    weir_channels_write_state(channels, batch); /* lost */
    assert_int_equal(batch->state_bytes, 3 * sizeof(struct weir_state_entry));
    weir_batch_reset(batch);
    meet_all(channels, LATER_FOLLOWS, 10, 10);
    push_sender_state(channels, after, batch);
    uint64_t gaps = 0;
    struct weir_channel *channel = weir_channels_find(after, LATER_FOLLOWS, 0);
    for (uint64_t number = 1; number <= 10; number++)
        assert_int_equal(weir_channel_meet(channel, number, &gaps), WEIR_SEQUENCE_DUPLICATE);
    assert_int_equal(weir_channel_meet(channel, 11, &gaps), WEIR_SEQUENCE_NEW);
    channel = weir_channels_find(after, LAST_IS_LOST, 0);
    for (uint64_t number = 1; number <= 5; number++)
        assert_int_equal(weir_channel_meet(channel, number, &gaps), WEIR_SEQUENCE_DUPLICATE);
    assert_int_equal(weir_channel_meet(channel, 7, &gaps), WEIR_SEQUENCE_NEW);
    assert_int_equal(weir_channel_meet(channel, 10, &gaps), WEIR_SEQUENCE_NEW);
    weir_channel_heartbeat(channel, 10, true, &gaps);
    assert_int_equal(gaps, 3); /* 6, 8 and 9, whose samples the frame has */
    assert_null(weir_channels_find(after, ONLY_IS_LOST, 0));
    batch_free(batch);
    free(channels);
    free(after);
}

int
main(void)
{
    const uint8_t seed[WEIR_HASH_SEED_BYTES] = {1};
    weir_hash_key_init(&key, seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channels_that_never_delivered_make_room_and_leave_no_trace),
        cmocka_unit_test(test_sender_and_source_hold_their_shares_of_the_channels),
        cmocka_unit_test(test_pages_hold_every_channel_once),
        cmocka_unit_test(test_sender_that_is_forgotten_is_met_like_a_new_one_over_restarts_too),
        cmocka_unit_test(test_a_sender_whose_channels_made_room_is_forgotten_too),
        cmocka_unit_test(test_what_a_lost_state_entry_means),
        cmocka_unit_test(test_epoch_that_lay_ahead_is_forgotten_over_restarts_too),
        cmocka_unit_test(test_the_channels_with_most_gaps_are_in_the_view),
        cmocka_unit_test(test_a_channel_was_seen_less_than_a_second_behind_what_the_view_says),
        cmocka_unit_test(test_only_an_idle_channel_makes_room_and_its_gaps_are_counted),
        cmocka_unit_test(test_a_channel_that_comes_back_goes_on_where_it_was),
        cmocka_unit_test(test_gaps_are_exact_whoever_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
