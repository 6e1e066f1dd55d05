#include "storage/index/ordinal_list.h"

void
weir_ordinal_list_clear(struct weir_ordinal_list *ordinals)
{
    if (ordinals->large)
        memset(&ordinals->set, 0, sizeof ordinals->set);
    ordinals->count = 0;
    ordinals->large = false;
}

void
weir_ordinal_list_add(struct weir_ordinal_list *ordinals, uint32_t ordinal)
{
    if (!ordinals->large && ordinals->count < WEIR_INDEX_GAPS_MAX) {
        ordinals->list[ordinals->count++] = ordinal;
        return;
    }
    if (!ordinals->large)
        for (uint32_t i = 0; i < ordinals->count; i++)
            weir_ordinals_add(&ordinals->set, ordinals->list[i]);
    ordinals->large = true;
    weir_ordinals_add(&ordinals->set, ordinal);
    ordinals->count++;
}

void
weir_ordinal_list_join(const struct weir_ordinal_list *ordinals, struct weir_ordinals *set)
{
    if (!ordinals->large)
        for (uint32_t i = 0; i < ordinals->count; i++)
            weir_ordinals_add(set, ordinals->list[i]);
    else
        for (uint32_t i = 0; i < WEIR_ORDINALS_WORDS; i++)
            set->words[i] |= ordinals->set.words[i];
}
