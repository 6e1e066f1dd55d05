/* The values of the program's maps. */
#include "ebpf/loader_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#define SECOND_NS 1000000000u
#define CPUS_MAX 1024

enum weir_err
weir_xdp_ports_set(struct weir_xdp *xdp, const uint16_t *ports, size_t count)
{
    uint64_t words[WEIR_XDP_PORT_WORDS] = {0};
    for (size_t i = 0; i < count; i++)
        words[ports[i] / 64] |= UINT64_C(1) << (ports[i] % 64);
    for (uint32_t i = 0; i < WEIR_XDP_PORT_WORDS; i++)
        if (bpf_map_update_elem(xdp->maps[PORTS], &i, &words[i], BPF_ANY) != 0)
            return weir_fail(WEIR_IO, errno, "change the XDP program's ports");
    return WEIR_OK;
}

/* A key of either family; the shorter one is the front of the longer. */
static struct weir_xdp_key_v6
key_of(const struct weir_rule *rule)
{
    struct weir_xdp_key_v6 key = {.bits = rule->bits};
    memcpy(key.address, rule->address, sizeof key.address);
    return key;
}

static bool
wanted(const struct weir_rules *rules, bool v6, const struct weir_xdp_key_v6 *key)
{
    for (uint32_t i = 0; i < rules->count; i++) {
        const struct weir_rule *rule = &rules->rule[i];
        if (rule->v6 == v6 && rule->bits == key->bits &&
            memcmp(rule->address, key->address, v6 ? 16 : 4) == 0)
            return true;
    }
    return false;
}

/* Deletes the keys that the set does not have. Keys are collected first: a trie that changes starts
 * its walk over. */
static enum weir_err
rules_delete(int map, const struct weir_rules *rules, bool v6)
{
    struct weir_xdp_key_v6 *stale = calloc(WEIR_XDP_RULES_MAX, sizeof *stale);
    struct weir_xdp_key_v6 key = {0};
    struct weir_xdp_key_v6 next = {0};
    size_t count = 0;
    enum weir_err err = WEIR_OK;
    if (stale == NULL)
        return weir_fail(WEIR_NOMEM, 0, "XDP rules");
    bool first = true;
    for (int i = 0; i < WEIR_XDP_RULES_MAX; i++) {
        if (bpf_map_get_next_key(map, first ? NULL : &key, &next) != 0)
            break;
        first = false;
        key = next;
        if (!wanted(rules, v6, &key))
            stale[count++] = key;
    }
    for (size_t i = 0; i < count && err == WEIR_OK; i++)
        if (bpf_map_delete_elem(map, &stale[i]) != 0 && errno != ENOENT)
            err = weir_fail(WEIR_IO, errno, "delete an XDP rule");
    free(stale);
    return err;
}

static enum weir_err
rules_family(int map, const struct weir_rules *rules, bool v6, uint32_t *count)
{
    *count = 0;
    /* stale keys go first if the trie cannot hold both */
    enum weir_err err = rules_delete(map, rules, v6);
    for (uint32_t i = 0; i < rules->count && err == WEIR_OK; i++) {
        if (rules->rule[i].v6 != v6)
            continue;
        struct weir_xdp_key_v6 key = key_of(&rules->rule[i]);
        uint32_t action = rules->rule[i].action;
        if (bpf_map_update_elem(map, &key, &action, BPF_ANY) != 0)
            err = weir_fail(WEIR_IO, errno, "add an XDP rule");
        (*count)++;
    }
    return err;
}

enum weir_err
weir_xdp_rules_set(struct weir_xdp *xdp, const struct weir_rules *rules)
{
    struct weir_xdp_config config = {0};
    uint32_t zero = 0;
    if (rules->rate != 0) {
        /* rounded up: the rate is never exceeded */
        config.interval_ns = (SECOND_NS + rules->rate - 1) / rules->rate;
        config.tolerance_ns = config.interval_ns * rules->burst;
    }
    enum weir_err err =
        rules_family(xdp->maps[RULES_V4], rules, false, &config.rules_v4);
    if (err == WEIR_OK)
        err = rules_family(xdp->maps[RULES_V6], rules, true, &config.rules_v6);
    if (err == WEIR_OK && bpf_map_update_elem(xdp->maps[CONFIG], &zero, &config, BPF_ANY) != 0)
        err = weir_fail(WEIR_IO, errno, "change the XDP program's limit");
    return err;
}

enum weir_err
weir_xdp_verdicts(const struct weir_xdp *xdp, uint64_t out[WEIR_XDP_VERDICTS])
{
    uint64_t values[CPUS_MAX];
    if (xdp->cpus < 1 || xdp->cpus > CPUS_MAX)
        return weir_fail(WEIR_LIMIT, 0, "more than %d CPUs", CPUS_MAX);
    for (uint32_t i = 0; i < WEIR_XDP_VERDICTS; i++) {
        if (bpf_map_lookup_elem(xdp->maps[VERDICTS], &i, values) != 0)
            return weir_fail(WEIR_IO, errno, "read the XDP program's counters");
        out[i] = 0;
        for (int cpu = 0; cpu < xdp->cpus; cpu++)
            out[i] += values[cpu];
    }
    return WEIR_OK;
}
