#include "ebpf/rules.h"

#include "base/replace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX 3
#define ADDRESS_MAX 45 /* of IPv6 as text */

/* Decimal digits alone, least to most. */
static enum weir_err
parse_number(const char *text, uint32_t least, uint32_t most, uint32_t *out)
{
    uint64_t value = 0;
    size_t size = strlen(text);
    for (size_t i = 0; i < size && size <= 9; i++) {
        if (text[i] < '0' || text[i] > '9')
            size = SIZE_MAX;
        else
            value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (size == 0 || size > 9 || value < least || value > most)
        return weir_fail(WEIR_INVALID, 0, "'%s' is no number from %u to %u", text, least, most);
    *out = (uint32_t)value;
    return WEIR_OK;
}

/* Whether all bits after the prefix are zero. */
static bool
prefix_clean(const struct weir_rule *rule)
{
    size_t size = rule->v6 ? 16 : 4;
    for (size_t i = 0; i < size; i++) {
        unsigned kept = rule->bits > i * 8 ? rule->bits - (unsigned)(i * 8) : 0;
        unsigned mask = kept >= 8 ? 0 : 0xffu >> kept;
        if ((rule->address[i] & mask) != 0)
            return false;
    }
    return true;
}

static enum weir_err
parse_prefix(const char *text, struct weir_rule *out)
{
    char address[ADDRESS_MAX + 1];
    const char *slash = strchr(text, '/');
    size_t size = slash == NULL ? strlen(text) : (size_t)(slash - text);
    *out = (struct weir_rule){0};
    if (size > ADDRESS_MAX)
        return weir_fail(WEIR_INVALID, 0, "'%s' is no address", text);
    memcpy(address, text, size);
    address[size] = '\0';
    out->v6 = strchr(address, ':') != NULL;
    if (inet_pton(out->v6 ? AF_INET6 : AF_INET, address, out->address) != 1)
        return weir_fail(WEIR_INVALID, 0, "'%s' is no numeric IPv4 or IPv6 address", address);
    uint32_t bits = out->v6 ? 128 : 32;
    if (slash != NULL && parse_number(slash + 1, 0, bits, &bits) != WEIR_OK)
        return WEIR_INVALID;
    out->bits = (uint8_t)bits;
    if (!prefix_clean(out))
        return weir_fail(WEIR_INVALID, 0, "'%s' has bits set after its /%u", text, bits);
    return WEIR_OK;
}

static struct weir_rule *
find(struct weir_rules *rules, const struct weir_rule *like)
{
    for (uint32_t i = 0; i < rules->count; i++) {
        struct weir_rule *rule = &rules->rule[i];
        if (rule->v6 == like->v6 && rule->bits == like->bits &&
            memcmp(rule->address, like->address, sizeof rule->address) == 0)
            return rule;
    }
    return NULL;
}

static enum weir_err
add(struct weir_rules *rules, const char *prefix, enum weir_xdp_action action)
{
    struct weir_rule rule;
    enum weir_err err = parse_prefix(prefix, &rule);
    if (err != WEIR_OK)
        return err;
    rule.action = (uint8_t)action;
    struct weir_rule *there = find(rules, &rule);
    if (there != NULL) {
        there->action = rule.action;
        return WEIR_OK;
    }
    uint32_t family = 0;
    for (uint32_t i = 0; i < rules->count; i++)
        family += rules->rule[i].v6 == rule.v6;
    if (family == WEIR_XDP_RULES_MAX)
        return weir_fail(WEIR_LIMIT, 0, "%d rules of %s are the most", WEIR_XDP_RULES_MAX,
            rule.v6 ? "IPv6" : "IPv4");
    rules->rule[rules->count++] = rule;
    return WEIR_OK;
}

static enum weir_err
remove_rule(struct weir_rules *rules, const char *prefix)
{
    struct weir_rule rule;
    enum weir_err err = parse_prefix(prefix, &rule);
    if (err != WEIR_OK)
        return err;
    struct weir_rule *there = find(rules, &rule);
    if (there == NULL)
        return weir_fail(WEIR_NOT_FOUND, 0, "no rule for %s", prefix);
    size_t behind = (size_t)(&rules->rule[rules->count] - (there + 1));
    memmove(there, there + 1, behind * sizeof *there);
    rules->count--;
    return WEIR_OK;
}

static enum weir_err
set_limit(struct weir_rules *rules, char *const *words, size_t count)
{
    uint32_t rate = 0;
    uint32_t burst = 0;
    if (strcmp(words[1], "off") == 0) {
        if (count != 2)
            return weir_fail(WEIR_INVALID, 0, "limit off takes nothing more");
    } else {
        if (parse_number(words[1], 1, WEIR_RULE_RATE_MAX, &rate) != WEIR_OK)
            return WEIR_INVALID;
        burst = rate >= 20 ? rate / 10 : 1;
        if (count == 3 && parse_number(words[2], 1, WEIR_RULE_BURST_MAX, &burst) != WEIR_OK)
            return WEIR_INVALID;
    }
    rules->rate = rate;
    rules->burst = burst;
    return WEIR_OK;
}

enum weir_err
weir_rules_change(struct weir_rules *rules, const char *line)
{
    char text[WEIR_RULE_LINE_MAX];
    char *words[WORDS_MAX + 1] = {0};
    size_t count = 0;
    size_t size = strlen(line);
    if (size >= sizeof text)
        return weir_fail(WEIR_INVALID, 0, "a rule of more than %zu bytes", sizeof text - 1);
    memcpy(text, line, size + 1);
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        if (count == WORDS_MAX)
            return weir_fail(WEIR_INVALID, 0, "too many words");
        words[count++] = word;
    }
    if (count >= 2 && strcmp(words[0], "limit") == 0)
        return set_limit(rules, words, count);
    if (count == 2 && strcmp(words[0], "deny") == 0)
        return add(rules, words[1], WEIR_XDP_DENY);
    if (count == 2 && strcmp(words[0], "allow") == 0)
        return add(rules, words[1], WEIR_XDP_ALLOW);
    if (count == 2 && strcmp(words[0], "remove") == 0)
        return remove_rule(rules, words[1]);
    return weir_fail(WEIR_INVALID, 0,
        "expected deny PREFIX, allow PREFIX, remove PREFIX, limit RATE [BURST] or limit off");
}

void
weir_rules_print(const struct weir_rules *rules, FILE *out)
{
    if (rules->rate == 0)
        fprintf(out, "limit off\n");
    else
        fprintf(out, "limit %u %u\n", rules->rate, rules->burst);
    for (uint32_t i = 0; i < rules->count; i++) {
        const struct weir_rule *rule = &rules->rule[i];
        char address[INET6_ADDRSTRLEN] = "";
        inet_ntop(rule->v6 ? AF_INET6 : AF_INET, rule->address, address, sizeof address);
        fprintf(out, "%s %s/%u\n", rule->action == WEIR_XDP_DENY ? "deny" : "allow", address,
            rule->bits);
    }
}

enum weir_err
weir_rules_load(struct weir_rules *rules, const char *path)
{
    rules->count = rules->rate = rules->burst = 0;
    int fd;
    enum weir_err err = weir_open_regular(path, O_RDONLY, 0, &fd);
    if (err != WEIR_OK)
        return err == WEIR_NOT_FOUND ? WEIR_OK : err;
    FILE *file = fdopen(fd, "r");
    if (file == NULL) {
        err = weir_fail(WEIR_NOMEM, errno, "open %s", path);
        close(fd);
        return err;
    }
    char line[WEIR_RULE_LINE_MAX + 2];
    for (unsigned number = 1; err == WEIR_OK && fgets(line, sizeof line, file) != NULL; number++) {
        size_t size = strlen(line);
        bool whole = size > 0 && line[size - 1] == '\n';
        if (whole)
            line[size - 1] = '\0';
        char reason[256] = "no end of line";
        if (whole && (err = weir_rules_change(rules, line)) != WEIR_OK)
            snprintf(reason, sizeof reason, "%s", weir_err_detail());
        if (!whole || err != WEIR_OK)
            err = weir_fail(WEIR_INVALID, 0, "%s line %u: %s", path, number, reason);
    }
    if (err == WEIR_OK && ferror(file) != 0)
        err = weir_fail(WEIR_IO, errno, "read %s", path);
    fclose(file);
    return err;
}

enum weir_err
weir_rules_save(const struct weir_rules *rules, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        return weir_fail(WEIR_NOMEM, errno, "text of %s", path);
    weir_rules_print(rules, stream);
    bool failed = ferror(stream) != 0;
    enum weir_err err = fclose(stream) != 0 || failed
        ? weir_fail(WEIR_NOMEM, errno, "text of %s", path)
        : weir_replace(path, text, size, 0600, 0);
    free(text);
    return err;
}
