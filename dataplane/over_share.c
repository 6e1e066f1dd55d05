#include "dataplane/over_share.h"

#include "base/event.h"

#include <inttypes.h>
#include <stdio.h>

#define NS_PER_S 1000000000

void
weir_over_share_met(struct weir_over_share *over, const struct weir_peer *source, uint64_t sender,
    int64_t now_ns)
{
    char who[WEIR_PEER_TEXT_MAX];
    enum weir_spell_news news = weir_spell_met(&over->spell, 1, now_ns);
    if (news == WEIR_SPELL_NOTHING)
        return;
    if (source != NULL)
        weir_peer_address_text(source, who);
    else
        snprintf(who, sizeof who, "%016" PRIx64, sender);
    if (news == WEIR_SPELL_BEGINS)
        weir_event(WEIR_WARN, "over_share", "table=%s who=%s", over->table, who);
    else
        weir_event(WEIR_WARN, "over_share_lasts",
            "table=%s who=%s refused=%" PRIu64 " since_s=%" PRId64, over->table, who,
            over->spell.count, (over->spell.met_ns - over->spell.begun_ns) / NS_PER_S);
}

void
weir_over_share_look(struct weir_over_share *over, int64_t now_ns)
{
    if (weir_spell_look(&over->spell, now_ns) == WEIR_SPELL_ENDS)
        weir_event(WEIR_INFO, "over_share_ended",
            "table=%s refused=%" PRIu64 " lasted_s=%" PRId64, over->table, over->spell.count,
            (over->spell.met_ns - over->spell.begun_ns) / NS_PER_S);
}
