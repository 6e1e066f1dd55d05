/* labelset: sets of labels, each kept once a query: two are equal where their pointers are.
 *
 * Threads: one a query
 * Memory:  the query's arena, from which names and values are copied too
 * Errors:  WEIR_NOMEM
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_SCAN_LABELSET_H
#define WEIR_CONTROLPLANE_PROMQL_SCAN_LABELSET_H

#include "controlplane/promql/source.h"

#include <stdbool.h>

struct weir_promql_labelset {
    uint64_t hash;   /* of this process alone: keyed */
    uint32_t number; /* 0, 1, ... in the order they came */
    uint32_t count;
    struct weir_promql_label labels[]; /* by rising name, none with an empty value */
};

struct weir_promql_labelsets {
    struct weir_promql_arena *arena;
    const struct weir_promql_labelset **slots; /* a power of two of them, open addressing */
    uint32_t slot_count, count;
    struct weir_promql_label *draft; /* the set that is being made */
    uint32_t draft_room;
    uint64_t key;
};

enum weir_err weir_promql_labelsets_init(
    struct weir_promql_labelsets *sets, struct weir_promql_arena *arena) WEIR_MUST_USE;

/* The set of these labels, which are sorted by name, once each, with values. */
enum weir_err weir_promql_labelset_of(struct weir_promql_labelsets *sets,
    const struct weir_promql_label *labels, uint32_t count,
    const struct weir_promql_labelset **out) WEIR_MUST_USE;
/* That without labels. */
enum weir_err weir_promql_labelset_empty(
    struct weir_promql_labelsets *sets, const struct weir_promql_labelset **out) WEIR_MUST_USE;

/* Those of set whose names are among names (keep), or are not (drop). */
enum weir_err weir_promql_labelset_keep(struct weir_promql_labelsets *sets,
    const struct weir_promql_labelset *set, const struct weir_promql_text *names, uint32_t count,
    const struct weir_promql_labelset **out) WEIR_MUST_USE;
enum weir_err weir_promql_labelset_drop(struct weir_promql_labelsets *sets,
    const struct weir_promql_labelset *set, const struct weir_promql_text *names, uint32_t count,
    const struct weir_promql_labelset **out) WEIR_MUST_USE;
/* Without __name__, __type__ and __unit__. */
enum weir_err weir_promql_labelset_nameless(struct weir_promql_labelsets *sets,
    const struct weir_promql_labelset *set, const struct weir_promql_labelset **out) WEIR_MUST_USE;
/* With name set to value; an empty value removes it. */
enum weir_err weir_promql_labelset_with(struct weir_promql_labelsets *sets,
    const struct weir_promql_labelset *set, struct weir_promql_text name,
    struct weir_promql_text value, const struct weir_promql_labelset **out) WEIR_MUST_USE;

/* Value of a label; of size 0 where it is not there. */
struct weir_promql_text weir_promql_labelset_get(
    const struct weir_promql_labelset *set, struct weir_promql_text name);
/* Order of answers: by name, then value, label by label; a prefix comes first. */
int weir_promql_labelset_compare(
    const struct weir_promql_labelset *a, const struct weir_promql_labelset *b);
/* {__name__="up", job="x"}, zero terminated; NULL without memory. */
const char *weir_promql_labelset_text(
    struct weir_promql_arena *arena, const struct weir_promql_labelset *set);

/* Bytes by value, then the shorter first. */
int weir_promql_text_compare(struct weir_promql_text a, struct weir_promql_text b);

#define WEIR_PROMQL_TEXT(literal) ((struct weir_promql_text){literal, sizeof(literal) - 1})
#define WEIR_PROMQL_NAME WEIR_PROMQL_TEXT("__name__")

#endif
