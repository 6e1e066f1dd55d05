#include "base/spell.h"

enum weir_spell_news
weir_spell_met(struct weir_spell *spell, uint64_t count, int64_t now_ns)
{
    if (!spell->lasts) {
        *spell = (struct weir_spell){.lasts = true, .count = count, .begun_ns = now_ns,
            .met_ns = now_ns, .told_ns = now_ns};
        return WEIR_SPELL_BEGINS;
    }
    spell->count += count;
    spell->met_ns = now_ns;
    if (now_ns - spell->told_ns < WEIR_SPELL_NS)
        return WEIR_SPELL_NOTHING;
    spell->told_ns = now_ns;
    return WEIR_SPELL_LASTS;
}

enum weir_spell_news
weir_spell_look(struct weir_spell *spell, int64_t now_ns)
{
    if (!spell->lasts || now_ns - spell->met_ns < WEIR_SPELL_NS)
        return WEIR_SPELL_NOTHING;
    spell->lasts = false;
    return WEIR_SPELL_ENDS;
}
