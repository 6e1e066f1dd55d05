/* Answers what the control plane asks of the channels: pages of them, and to forget those of a
 * sender. A question is worked on piece by piece, and packets hardly wait for it: a piece takes
 * some 20 us, and there is one a millisecond at most. */
#include "dataplane/protocol/weir/channels/internal.h"

#define PIECE_NS 1000000
#define PIECE_SLOTS 2048
/* Slots of one answer: the page is given out then, however little is on it. */
#define ANSWER_SLOTS 65536
#define CHANNELS_SENDER 65536 /* that a sender may have */
#define PIECE_CHANNELS 1024

static void
put_row(struct weir_channels *channels, const struct weir_channel *channel)
{
    struct weir_channels_desk *desk = &channels->desk;
    desk->answer.rows[desk->answer.count++] = weir_channel_row_of(channels, channel);
}

static bool
is_wanted(const struct weir_channels *channels, const struct weir_channel *channel)
{
    const struct weir_channel_question *question = &channels->desk.question;
    if (channel->epoch == 0 ||
        (question->one_sender == 1 && channel->sender != question->sender))
        return false;
    return weir_channels_seen_ms(channels, channel) <= question->seen_until_ms;
}

/* True where the answer is complete. */
static bool
list_some(struct weir_channels *channels)
{
    struct weir_channels_desk *desk = &channels->desk;
    uint64_t rows_max = desk->question.rows_max < WEIR_CHANNEL_PAGE ? desk->question.rows_max
                                                                    : WEIR_CHANNEL_PAGE;
    for (int i = 0; i < PIECE_SLOTS; i++, desk->at++) {
        bool full = desk->answer.count == rows_max ||
            desk->at - desk->question.from >= ANSWER_SLOTS;
        if (full || desk->at >= channels->slots) {
            desk->answer.next = desk->at >= channels->slots ? WEIR_CHANNEL_LIST_END : desk->at;
            desk->answer.channels = channels->channel_count;
            return true;
        }
        const struct weir_channel *channel = &channels->table[desk->at];
        if (is_wanted(channels, channel))
            put_row(channels, channel);
    }
    return false;
}

/* The log forgets a channel that is known: one with definitions on their way is left for the next
 * round, since their answer would meet another one. */
static bool
forget_channel(struct weir_channels *channels, uint16_t number)
{
    uint64_t sender = channels->desk.question.sender;
    struct weir_channel *channel = weir_channels_find(channels, sender, number);
    if (channel == NULL)
        return true;
    if (channel->pending > 0 || !weir_channels_may_forget(channels))
        return false;
    weir_channels_erase(channels, sender, number, channel->epoch);
    weir_channel_leave(channels, channel);
    channels->desk.answer.channels++;
    return true;
}

/* ... and one that made room. */
static bool
forget_remembered(struct weir_channels *channels, struct weir_forgotten *entry)
{
    if (entry->epoch == 0 || entry->sender != channels->desk.question.sender)
        return true;
    if (!weir_channels_may_forget(channels))
        return false;
    weir_channels_erase(channels, entry->sender, entry->channel, entry->epoch);
    entry->epoch = 0;
    channels->desk.answer.channels++;
    return true;
}

/* First the channels that are known, by number, then what is remembered of others. */
static bool
forget_some(struct weir_channels *channels)
{
    const uint64_t end = CHANNELS_SENDER + WEIR_FORGOTTEN_MAX;
    struct weir_channels_desk *desk = &channels->desk;
    for (int i = 0; i < PIECE_CHANNELS && desk->at < end; i++, desk->at++) {
        bool done = desk->at < CHANNELS_SENDER
            ? forget_channel(channels, (uint16_t)desk->at)
            : forget_remembered(channels, &channels->forgotten[desk->at - CHANNELS_SENDER]);
        if (!done)
            return false;
    }
    return desk->at == end;
}

static void
begin(struct weir_channels_desk *desk)
{
    desk->busy = true;
    desk->at = desk->question.kind == WEIR_CHANNEL_LIST ? desk->question.from : 0;
    desk->answer.channels = 0;
    desk->answer.count = 0;
    desk->answer.next = WEIR_CHANNEL_LIST_END;
}

void
weir_channels_serve(struct weir_channels *channels, struct weir_channel_mail *mail)
{
    channels->desk.mail = mail;
}

bool
weir_channels_work(struct weir_channels *channels, int64_t mono_ns)
{
    struct weir_channels_desk *desk = &channels->desk;
    if (desk->mail == NULL || mono_ns < desk->due_ns)
        return desk->busy;
    desk->due_ns = mono_ns + PIECE_NS;
    if (weir_channel_mail_asked(desk->mail, &desk->number, &desk->question))
        begin(desk);
    if (!desk->busy)
        return false;
    bool done = true; /* nothing is done that is not known */
    if (desk->question.kind == WEIR_CHANNEL_LIST)
        done = list_some(channels);
    else if (desk->question.kind == WEIR_CHANNEL_FORGET)
        done = forget_some(channels);
    desk->busy = !done;
    if (done)
        weir_channel_mail_reply(desk->mail, desk->number, &desk->answer);
    return true;
}
