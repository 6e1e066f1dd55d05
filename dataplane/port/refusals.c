#include "dataplane/port/refusals.h"

#include "base/event.h"

#include <inttypes.h>
#include <stdio.h>

#define NS_PER_S 1000000000

static void
begins(const struct weir_refusals *refusals, const char *who)
{
    if (refusals->listener == NULL)
        weir_event(WEIR_LEVEL_WARN, refusals->event, "table=%s who=%s", refusals->table, who);
    else
        weir_event(WEIR_LEVEL_WARN, refusals->event, "table=%s listener=%s who=%s", refusals->table,
            refusals->listener, who);
}

/* It lasts (who is the last one) or has ended (who is NULL). */
static void
counts(const struct weir_refusals *refusals, const char *who)
{
    const struct weir_condition *condition = &refusals->condition;
    int64_t seconds = (condition->met_ns - condition->begun_ns) / NS_PER_S;
    const char *listener = refusals->listener != NULL ? refusals->listener : "-";
    char name[64];
    snprintf(name, sizeof name, "%s_%s", refusals->event, who != NULL ? "lasts" : "ended");
    if (who != NULL)
        weir_event(WEIR_LEVEL_WARN, name,
            "table=%s listener=%s who=%s refused=%" PRIu64 " since_s=%" PRId64, refusals->table,
            listener, who, condition->count, seconds);
    else
        weir_event(WEIR_LEVEL_INFO, name,
            "table=%s listener=%s refused=%" PRIu64 " lasted_s=%" PRId64, refusals->table,
            listener, condition->count, seconds);
}

void
weir_refusals_met(struct weir_refusals *refusals, const struct weir_peer *source, uint64_t sender,
    int64_t now_ns)
{
    char who[WEIR_PEER_TEXT_MAX];
    enum weir_condition_news news = weir_condition_met(&refusals->condition, 1, now_ns);
    if (news == WEIR_CONDITION_NOTHING)
        return;
    if (source != NULL)
        weir_peer_address_text(source, who);
    else
        snprintf(who, sizeof who, "%" PRIu64, sender);
    if (news == WEIR_CONDITION_BEGINS)
        begins(refusals, who);
    else
        counts(refusals, who);
}

void
weir_refusals_look(struct weir_refusals *refusals, int64_t now_ns)
{
    if (weir_condition_look(&refusals->condition, now_ns) == WEIR_CONDITION_ENDS)
        counts(refusals, NULL);
}
