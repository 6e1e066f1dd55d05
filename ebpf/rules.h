/* rules: deny and allow rules by source prefix and the limit of a source, as text and as a set.
 *
 *   deny PREFIX | allow PREFIX | remove PREFIX | limit RATE [BURST] | limit off
 *
 * PREFIX is a numeric address with or without /bits; bits after the prefix must be zero. RATE is
 * packets a second of one source, BURST how many may come at once (default: a tenth of a second's
 * worth, at least 1). The rule with the longest prefix decides; where none fits a source is
 * allowed. The limit holds for every source.
 *
 * Threads: any; a set belongs to its caller
 * Memory:  one struct of fixed size
 * Errors:  WEIR_INVALID the text; WEIR_LIMIT a family's rules are full; WEIR_NOT_FOUND remove of
 *          a rule that is not there; WEIR_IO the file
 * Limits:  WEIR_XDP_RULES_MAX rules a family, a line of WEIR_RULE_LINE_MAX bytes
 */
#ifndef WEIR_EBPF_RULES_H
#define WEIR_EBPF_RULES_H

#include "base/err.h"
#include "ebpf/weir_xdp.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define WEIR_RULE_LINE_MAX 128
#define WEIR_RULE_RATE_MAX 10000000
#define WEIR_RULE_BURST_MAX 10000000

struct weir_rule {
    bool v6;
    uint8_t bits;
    uint8_t action; /* enum weir_xdp_action */
    uint8_t address[16]; /* order of the wire; IPv4 in the first four bytes */
};

struct weir_rules {
    uint32_t count; /* in the order given */
    uint32_t rate;  /* packets a second and source; 0: no limit */
    uint32_t burst;
    struct weir_rule rule[2 * WEIR_XDP_RULES_MAX];
};

/* Carries out one line. The set stays as it was where the line is refused. */
enum weir_err weir_rules_change(struct weir_rules *rules, const char *line) WEIR_MUST_USE;

/* Writes the set as lines that weir_rules_change reads back to the same. */
void weir_rules_print(const struct weir_rules *rules, FILE *out);

/* The set of a file; a file that is not there is an empty set. A line that is refused fails the
 * whole, named with its number. */
enum weir_err weir_rules_load(struct weir_rules *rules, const char *path) WEIR_MUST_USE;
/* Replaces the file as a whole (base/replace.h). */
enum weir_err weir_rules_save(const struct weir_rules *rules, const char *path) WEIR_MUST_USE;

#endif
