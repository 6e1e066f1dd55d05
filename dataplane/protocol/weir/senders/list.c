/* Answers what the control plane asks of the channels: pages of them, and to forget those of a
 * sender. A question is worked on piece by piece, so that packets hardly wait for it: a piece takes
 * some 20 us, and there is one a millisecond at most. */
#include "dataplane/protocol/weir/senders/internal.h"

#define PIECE_NS 1000000
#define PIECE_SLOTS 2048
/* Slots of one answer: the page is given out then, however little is on it. */
#define ANSWER_SLOTS 65536
#define CHANNELS_SENDER 65536 /* that a sender may have */
#define PIECE_CHANNELS 1024

static void
put_row(struct weir_senders *senders, const struct weir_channel *channel)
{
    struct weir_senders_desk *desk = &senders->desk;
    desk->answer.rows[desk->answer.count++] = weir_senders_row_of(senders, channel);
}

static bool
is_wanted(const struct weir_senders *senders, const struct weir_channel *channel)
{
    const struct weir_senders_question *question = &senders->desk.question;
    if (channel->epoch == 0 ||
        (question->one_sender == 1 && channel->sender != question->sender))
        return false;
    return weir_senders_seen_ms(senders, channel) <= question->seen_until_ms;
}

/* True where the answer is complete. */
static bool
list_some(struct weir_senders *senders)
{
    struct weir_senders_desk *desk = &senders->desk;
    uint64_t rows_max = desk->question.rows_max < WEIR_SENDERS_PAGE ? desk->question.rows_max
                                                                    : WEIR_SENDERS_PAGE;
    for (int i = 0; i < PIECE_SLOTS; i++, desk->at++) {
        bool full = desk->answer.count == rows_max ||
            desk->at - desk->question.from >= ANSWER_SLOTS;
        if (full || desk->at >= senders->slots) {
            desk->answer.next = desk->at >= senders->slots ? WEIR_SENDERS_END : desk->at;
            desk->answer.channels = senders->channel_count;
            return true;
        }
        const struct weir_channel *channel = &senders->channels[desk->at];
        if (is_wanted(senders, channel))
            put_row(senders, channel);
    }
    return false;
}

/* The log forgets a channel that is known: one with definitions on their way is left for the next
 * round, since their answer would meet another one. */
static bool
forget_channel(struct weir_senders *senders, uint16_t number)
{
    uint64_t sender = senders->desk.question.sender;
    struct weir_channel *channel = weir_senders_find(senders, sender, number);
    if (channel == NULL)
        return true;
    if (channel->pending > 0 || !weir_senders_may_forget(senders))
        return false;
    weir_senders_erase(senders, sender, number, channel->epoch);
    weir_channel_leave(senders, channel);
    senders->desk.answer.channels++;
    return true;
}

/* ... and one that made room. */
static bool
forget_remembered(struct weir_senders *senders, struct weir_forgotten *entry)
{
    if (entry->epoch == 0 || entry->sender != senders->desk.question.sender)
        return true;
    if (!weir_senders_may_forget(senders))
        return false;
    weir_senders_erase(senders, entry->sender, entry->channel, entry->epoch);
    entry->epoch = 0;
    senders->desk.answer.channels++;
    return true;
}

/* First the channels that are known, by number, then what is remembered of others. */
static bool
forget_some(struct weir_senders *senders)
{
    const uint64_t end = CHANNELS_SENDER + WEIR_FORGOTTEN_MAX;
    struct weir_senders_desk *desk = &senders->desk;
    for (int i = 0; i < PIECE_CHANNELS && desk->at < end; i++, desk->at++) {
        bool done = desk->at < CHANNELS_SENDER
            ? forget_channel(senders, (uint16_t)desk->at)
            : forget_remembered(senders, &senders->forgotten[desk->at - CHANNELS_SENDER]);
        if (!done)
            return false;
    }
    return desk->at == end;
}

static void
begin(struct weir_senders_desk *desk)
{
    desk->busy = true;
    desk->at = desk->question.kind == WEIR_SENDERS_LIST ? desk->question.from : 0;
    desk->answer.channels = 0;
    desk->answer.count = 0;
    desk->answer.next = WEIR_SENDERS_END;
}

void
weir_senders_serve(struct weir_senders *senders, struct weir_senders_mail *mail)
{
    senders->desk.mail = mail;
}

bool
weir_senders_work(struct weir_senders *senders, int64_t mono_ns)
{
    struct weir_senders_desk *desk = &senders->desk;
    if (desk->mail == NULL || mono_ns < desk->due_ns)
        return desk->busy;
    desk->due_ns = mono_ns + PIECE_NS;
    if (weir_senders_asked(desk->mail, &desk->number, &desk->question))
        begin(desk);
    if (!desk->busy)
        return false;
    bool done = true; /* nothing is done that is not known */
    if (desk->question.kind == WEIR_SENDERS_LIST)
        done = list_some(senders);
    else if (desk->question.kind == WEIR_SENDERS_FORGET)
        done = forget_some(senders);
    desk->busy = !done;
    if (done)
        weir_senders_reply(desk->mail, desk->number, &desk->answer);
    return true;
}
