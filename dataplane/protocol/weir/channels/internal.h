/* internal: what channels.c and templates.c share.
 *
 *   | head | channels, open addressing | what packets do not need of them | shares of channels
 *   | shares of templates | blocks of templates |
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_WEIR_CHANNELS_INTERNAL_H
#define WEIR_DATAPLANE_PROTOCOL_WEIR_CHANNELS_INTERNAL_H

#include "dataplane/protocol/weir/channels/channels.h"
#include "dataplane/protocol/weir/channels/template_blocks.h"

#define WEIR_FORGOTTEN_MAX WEIR_STATE_FORGOTTEN_MAX
#define WEIR_FORGOTTEN_BATCH 1024 /* of them that a batch holds state entries for */

/* The rest of a channel that made room. */
struct weir_forgotten {
    uint64_t sender;
    uint64_t highest;
    uint32_t epoch; /* 0: known again */
    uint16_t channel;
};

/* Of the channel in the slot of the same index: what its packets do not need. */
struct weir_channel_side {
    uint32_t source_share; /* of the table of channels, as the next one: model/shares.h */
    uint32_t sender_share;
    uint32_t met_s;    /* when it was met; 0: by recovery */
    uint32_t dirty_at; /* its place in `dirty`, where it is that */
    uint32_t jumps;    /* of its numbers, since the dataplane started */
    bool owes;         /* it is in the list of those whose templates found no room in a batch */
    uint32_t owing_next, owing_previous; /* slots + 1 of its neighbours there; 0 none */
};

/* Orders channels by what they lost. */
struct weir_loss {
    uint64_t gaps;
    uint64_t duplicates;
    uint64_t reorderings;
};

/* The control plane's question, being worked on: see list.c. */
struct weir_channels_desk {
    struct weir_channel_mail *mail; /* NULL: nobody asks */
    uint64_t number;                /* of the question */
    uint64_t at;                    /* slot or channel that is next */
    int64_t due_ns;                 /* when the next piece may be done */
    bool busy;
    struct weir_channel_question question;
    struct weir_channel_answer answer;
};

struct weir_channels {
    const struct weir_hash_key *key;
    struct weir_channel *table;
    struct weir_channel_side *sides;
    struct weir_shares *channel_sources;
    struct weir_shares *channel_senders;
    struct weir_blocks blocks; /* of templates */
    struct weir_shares *template_sources; /* units of memory by source and by sender */
    struct weir_shares *template_senders;
    uint32_t slots;
    uint32_t channels_max;
    uint32_t channel_count;
    uint32_t dirty_count;
    uint32_t dirty[WEIR_CHANNELS_DIRTY_MAX];
    uint32_t owing_first, owing_last; /* slots + 1 of channels that owe templates; 0 none */
    uint32_t owing_count;
    uint32_t now_s;     /* monotonic, of the second that runs, + 1; 0 before the first tick */
    uint32_t started_s; /* of the first tick */
    uint32_t hand;      /* slot at which the search for an idle channel goes on */
    uint32_t looks;     /* slots looked at since the last tick */
    uint64_t forgotten_count;  /* so far; the last ones are in the ring */
    uint64_t forgotten_written; /* of which a batch has the state entry */
    struct weir_forgotten forgotten[WEIR_FORGOTTEN_MAX];
    uint32_t erased_count; /* channels of which the log is to forget all; the next batch says so */
    struct weir_forgotten erased[WEIR_FORGOTTEN_BATCH];
    struct weir_channels_desk desk;
    int64_t wall_of_zero_ms; /* where the monotonic clock began, as of the last tick */
    struct weir_channel_view *view;
    uint32_t worst_count;
    uint32_t worst[WEIR_CHANNEL_VIEW_ROWS]; /* slots: most gaps, then duplicates */
    struct weir_loss worst_least;      /* no channel in worst has less; 0 while there is room */
};
#define WEIR_CHANNELS_HEAD (256u << 10)
_Static_assert(sizeof(struct weir_channels) <= WEIR_CHANNELS_HEAD, "the head fits");

_Static_assert(WEIR_CHANNELS_DIRTY_MAX * WEIR_STATE_ENTRY_BYTES_MAX +
        WEIR_FORGOTTEN_BATCH * sizeof(struct weir_state_entry) <= WEIR_BATCH_STATE_BYTES_MAX,
    "a batch holds the state entries of all that may change");
_Static_assert(WEIR_STATE_TEMPLATES_MAX == WEIR_WIRE_TEMPLATES_MAX &&
        WEIR_STATE_TEMPLATE_SERIES_MAX == WEIR_WIRE_TEMPLATE_SERIES_MAX,
    "state entries that are folded are held to the protocol's limits");

/* The slot where the search for a channel begins. */
uint32_t weir_channel_home(const struct weir_channels *channels, uint64_t sender, uint16_t channel);
/* Forgets an idle channel, which moves others; *gaps grows by what it was missing. False where
 * none was found now. */
bool weir_channels_make_room(struct weir_channels *channels, uint64_t *gaps);
/* Whether the next batch has room for one more channel that was forgotten or erased. */
bool weir_channels_may_forget(const struct weir_channels *channels);
/* The log forgets the channel, whatever it says so far; weir_channels_may_forget was true. */
void weir_channels_erase(struct weir_channels *channels, uint64_t sender, uint16_t channel,
    uint32_t epoch);
/* Its missing numbers will not come: they become gaps. */
void weir_channel_give_up(struct weir_channel *channel, uint64_t *gaps);
/* Takes the channel out of the table, which moves others. */
void weir_channel_leave(struct weir_channels *channels, struct weir_channel *channel);
/* The channel from one slot is in another one now, with its side: so the list of those that owe
 * state entries says. */
void weir_channel_owing_moved(struct weir_channels *channels, uint32_t slot);
/* The lists of channels that owe state entries go on without it. */
void weir_channel_clean(struct weir_channels *channels, struct weir_channel *channel);
/* The memory of a channel. */
bool weir_channels_remembered(struct weir_channels *channels, uint64_t sender, uint16_t channel,
    struct weir_forgotten *out);
/* It need not be remembered any more. */
void weir_channels_known_again(struct weir_channels *channels, uint64_t sender, uint16_t channel);
/* Writes what was forgotten since the last batch, ahead of all other state entries. */
void weir_forgotten_write(struct weir_channels *channels, struct weir_batch *batch);
void weir_forgotten_restore(struct weir_channels *channels, const struct weir_state_entry *entry);
/* A row of the view, and of pages. */
struct weir_channel_row weir_channel_row_of(const struct weir_channels *channels,
    const struct weir_channel *channel);
int64_t weir_channels_seen_ms(const struct weir_channels *channels,
    const struct weir_channel *channel);
/* Takes a channel out of the list of the worst. */
void weir_worst_drop(struct weir_channels *channels, struct weir_channel *channel);
/* Enters a channel among the worst where it belongs there. */
void weir_worst_note(struct weir_channels *channels, struct weir_channel *channel);
/* Frees all templates of a channel. */
void weir_templates_drop(struct weir_channels *channels, struct weir_channel *channel);
/* Writes the changed templates into the batch; false where one found no room. */
bool weir_templates_write_state(struct weir_channels *channels, struct weir_channel *channel,
    struct weir_batch *batch);
void weir_template_restore(struct weir_channels *channels, struct weir_channel *channel,
    const struct weir_state_entry *entry, uint64_t series_count);

#endif
