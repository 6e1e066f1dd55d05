/* index_ordinal_list: the ordinals of a term while it is written. */
#ifndef WEIR_STORAGE_INDEX_ORDINAL_LIST_H
#define WEIR_STORAGE_INDEX_ORDINAL_LIST_H

#include "storage/index/ordinals.h"

/* Ordinals of one term: a list, or from WEIR_INDEX_GAPS_MAX + 1 on a set. */
struct weir_ordinal_list {
    uint32_t count;
    bool large; /* in the set */
    uint32_t list[WEIR_INDEX_GAPS_MAX];
    struct weir_ordinals set; /* empty while it is not large */
};

/* Empties it. */
void weir_ordinal_list_clear(struct weir_ordinal_list *ordinals);
/* ordinal: greater than those that are in it. */
void weir_ordinal_list_add(struct weir_ordinal_list *ordinals, uint32_t ordinal);
/* Into another set. */
void weir_ordinal_list_join(const struct weir_ordinal_list *ordinals, struct weir_ordinals *set);

#endif
