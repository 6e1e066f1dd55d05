/* Values of configuration keys, from text and back. */
#include "base/utf8.h"
#include "config/keys.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: printing takes the first that divides. A year has 365 days. */
static const struct unit size_units[] = {{"TiB", UINT64_C(1) << 40}, {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20}, {"KiB", UINT64_C(1) << 10}, {"B", 1}, {NULL, 0}};
static const struct unit time_units[] = {{"y", UINT64_C(365) * 86400000}, {"w", 7 * 86400000},
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
#define PRINTED_TIME_UNITS (time_units + 2) /* 7d stays 7d */

static void *
field(struct weir_config *config, const struct config_key *key)
{
    return (char *)config + key->offset;
}

static const void *
field_const(const struct weir_config *config, const struct config_key *key)
{
    return (const char *)config + key->offset;
}

/* Digits with underscores between them; *end is after the last. False without a digit or if the
 * number does not fit. */
static bool
scan_digits(const char *text, const char **end, uint64_t *out)
{
    uint64_t value = 0;
    const char *at = text;
    if (!isdigit((unsigned char)*at))
        return false;
    for (; isdigit((unsigned char)*at) || (*at == '_' && isdigit((unsigned char)at[1])); at++) {
        if (*at == '_')
            continue;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return false;
    }
    *end = at;
    *out = value;
    return true;
}

enum weir_err
config_parse_count(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    const char *end;
    uint64_t value;
    if (!scan_digits(text, &end, &value) || *end != '\0')
        return weir_fail(WEIR_INVALID, 0, "'%s' is no whole number", text);
    if (value < least || value > most)
        return weir_fail(WEIR_INVALID, 0,
            "%s is out of range, at least %" PRIu64 " and at most %" PRIu64, text, least, most);
    *out = value;
    return WEIR_OK;
}

static void
unit_text(uint64_t value, const struct unit *units, char *out, size_t size)
{
    const struct unit *unit = units == time_units ? PRINTED_TIME_UNITS : units;
    while (unit[1].name != NULL && (value == 0 || value % unit->factor != 0))
        unit++;
    snprintf(out, size, "%" PRIu64 "%s", value / unit->factor, unit->name);
}

/* A number with one of the units; a plain 0 needs none. */
static enum weir_err
parse_united(const char *text, const struct unit *units, const struct config_key *key,
    const char *what, uint64_t *out)
{
    const char *end;
    uint64_t value;
    if (!scan_digits(text, &end, &value))
        return weir_fail(WEIR_INVALID, 0, "'%s' is no %s", text, what);
    const struct unit *unit = units;
    while (unit->name != NULL && strcmp(unit->name, end) != 0)
        unit++;
    if (unit->name == NULL && value != 0 && *end == '\0')
        return weir_fail(WEIR_INVALID, 0, "'%s' has no unit; add a unit: %s%s", text, text,
            units == time_units ? "s" : "MiB");
    if (unit->name == NULL && *end != '\0')
        return weir_fail(WEIR_INVALID, 0, "'%s' is no %s", text, what);
    uint64_t factor = unit->name != NULL ? unit->factor : 1;
    /* MiB fields count in MiB, bounds included */
    uint64_t scale = key->kind == CONFIG_MIB ? UINT64_C(1) << 20 : 1;
    bool overflow = __builtin_mul_overflow(value, factor, &value);
    if (overflow || value / scale < key->least || value / scale > key->most) {
        char least[32];
        char most[32];
        unit_text(key->least * scale, units, least, sizeof least);
        unit_text(key->most * scale, units, most, sizeof most);
        return weir_fail(WEIR_INVALID, 0, "%s is out of range, at least %s and at most %s", text,
            least, most);
    }
    if (value % scale != 0)
        return weir_fail(WEIR_INVALID, 0, "%s is no whole number of MiB", text);
    *out = value / scale;
    return WEIR_OK;
}

enum weir_err
config_parse_choice(const char *text, const char *const *names, uint8_t *out)
{
    size_t count = 0;
    char list[128] = "";
    for (; names[count] != NULL; count++) {
        if (strcmp(names[count], text) == 0) {
            *out = (uint8_t)count;
            return WEIR_OK;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", count > 0 ? ", " : "", names[count]);
    }
    return weir_fail(WEIR_INVALID, 0, "'%s' is none of %s", text, list);
}

static enum weir_err
parse_bool(const char *text, bool *out)
{
    static const char *const names[] = {"false", "true", NULL};
    uint8_t index;
    enum weir_err err = config_parse_choice(text, names, &index);
    if (err == WEIR_OK)
        *out = index == 1;
    return err;
}

enum weir_err
config_parse_address(const char *text, char *address, uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    bool v6 = text[0] == '[';
    size_t size = colon != NULL ? (size_t)(colon - text) : 0;
    if (v6 && (size < 3 || text[size - 1] != ']'))
        size = 0;
    char host[64];
    if (size == 0 || size - (v6 ? 2 : 0) >= sizeof host)
        return weir_fail(WEIR_INVALID, 0, "'%s' is no address like 127.0.0.1:9880 or [::1]:9880",
            text);
    snprintf(host, sizeof host, "%.*s", (int)(size - (v6 ? 2 : 0)), text + (v6 ? 1 : 0));
    unsigned char binary[sizeof(struct in6_addr)];
    if (inet_pton(v6 ? AF_INET6 : AF_INET, host, binary) != 1)
        return weir_fail(WEIR_INVALID, 0,
            "'%s' is no numeric address like 127.0.0.1:9880 or [::1]:9880", text);
    uint64_t number;
    const char *end;
    if (!scan_digits(colon + 1, &end, &number) || *end != '\0' || number < 1 || number > 65535)
        return weir_fail(WEIR_INVALID, 0, "'%s' has no port from 1 to 65535", text);
    memset(address, 0, 64);
    /* the canonical form: one address is one string */
    inet_ntop(v6 ? AF_INET6 : AF_INET, binary, address, 64);
    *port = (uint16_t)number;
    return WEIR_OK;
}

void
config_address_text(const char *address, uint16_t port, char *out, size_t size)
{
    if (port == 0)
        snprintf(out, size, "none");
    else if (strchr(address, ':') != NULL)
        snprintf(out, size, "[%s]:%u", address, port);
    else
        snprintf(out, size, "%s:%u", address, port);
}

static enum weir_err
set_http(struct weir_config *config, const char *text)
{
    if (strcmp(text, "none") != 0)
        return config_parse_address(text, config->http_address, &config->http_port);
    memset(config->http_address, 0, sizeof config->http_address);
    config->http_port = 0;
    return WEIR_OK;
}

static enum weir_err
set_path(char *path, const char *text)
{
    size_t size = strlen(text);
    if (size == 0)
        return weir_fail(WEIR_INVALID, 0, "the path is empty");
    if (size >= WEIR_CONFIG_PATH_MAX)
        return weir_fail(WEIR_INVALID, 0, "the path is longer than %d bytes",
            WEIR_CONFIG_PATH_MAX - 1);
    for (const char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return weir_fail(WEIR_INVALID, 0, "the path holds a control character");
    /* the YAML of run/weir.yaml cannot hold other bytes */
    if (!weir_utf8_valid((const uint8_t *)text, size))
        return weir_fail(WEIR_INVALID, 0, "the path is not UTF-8");
    memset(path, 0, WEIR_CONFIG_PATH_MAX);
    memcpy(path, text, size);
    return WEIR_OK;
}

static enum weir_err
set_number(struct weir_config *config, const struct config_key *key, const char *text)
{
    uint64_t value;
    enum weir_err err;
    if (key->kind == CONFIG_U32 || key->kind == CONFIG_U64)
        err = config_parse_count(text, key->least, key->most, &value);
    else if (key->kind == CONFIG_SIZE || key->kind == CONFIG_MIB || key->kind == CONFIG_GONE)
        err = parse_united(text, size_units, key, "size like 64MiB or 16GiB", &value);
    else
        err = parse_united(text, time_units, key, "time like 200ms, 10s, 2h, 7d, 2w or 1y", &value);
    if (err != WEIR_OK)
        return err;
    if (key->kind == CONFIG_U64 || key->kind == CONFIG_SIZE || key->kind == CONFIG_MS64 ||
        key->kind == CONFIG_GONE)
        *(uint64_t *)field(config, key) = value;
    else
        *(uint32_t *)field(config, key) = (uint32_t)value;
    return WEIR_OK;
}

enum weir_err
config_key_set(struct weir_config *config, const struct config_key *key, const char *text)
{
    switch (key->kind) {
    case CONFIG_PATH:
        return set_path(field(config, key), text);
    case CONFIG_HTTP:
        return set_http(config, text);
    case CONFIG_BOOL:
        return parse_bool(text, field(config, key));
    case CONFIG_CHOICE:
        return config_parse_choice(text, key->names, field(config, key));
    default:
        return set_number(config, key, text);
    }
}

void
config_key_text(const struct weir_config *config, const struct config_key *key, char *out,
    size_t size)
{
    const void *at = field_const(config, key);
    switch (key->kind) {
    case CONFIG_HTTP:
        config_address_text(config->http_address, config->http_port, out, size);
        break;
    case CONFIG_BOOL:
        snprintf(out, size, "%s", *(const bool *)at ? "true" : "false");
        break;
    case CONFIG_CHOICE:
        snprintf(out, size, "%s", key->names[*(const uint8_t *)at]);
        break;
    case CONFIG_U32:
        snprintf(out, size, "%" PRIu32, *(const uint32_t *)at);
        break;
    case CONFIG_U64:
        snprintf(out, size, "%" PRIu64, *(const uint64_t *)at);
        break;
    case CONFIG_SIZE:
    case CONFIG_GONE:
        unit_text(*(const uint64_t *)at, size_units, out, size);
        break;
    case CONFIG_MIB:
        unit_text((uint64_t)*(const uint32_t *)at << 20, size_units, out, size);
        break;
    case CONFIG_MS32:
        unit_text(*(const uint32_t *)at, time_units, out, size);
        break;
    case CONFIG_MS64:
        unit_text(*(const uint64_t *)at, time_units, out, size);
        break;
    default:
        snprintf(out, size, "%s", (const char *)at);
        break;
    }
}

void
config_list_clear(struct weir_config *config, enum config_kind kind)
{
    /* the items too: unused ones are zero, because equal configurations must be equal bytes */
    if (kind == CONFIG_LISTENERS) {
        memset(config->listeners, 0, sizeof config->listeners);
        config->listener_count = 0;
    } else if (kind == CONFIG_PORTS) {
        memset(config->ports, 0, sizeof config->ports);
        config->port_count = 0;
    } else if (kind == CONFIG_HOSTS) {
        memset(config->http_hosts, 0, sizeof config->http_hosts);
        config->http_host_count = 0;
    } else if (kind == CONFIG_ORIGINS) {
        memset(config->http_cors, 0, sizeof config->http_cors);
        config->http_cors_count = 0;
    } else if (kind == CONFIG_SOURCES) {
        memset(config->trusted_sources, 0, sizeof config->trusted_sources);
        config->trusted_source_count = 0;
    } else {
        memset(config->cores, 0, sizeof config->cores);
        config->core_count = 0;
    }
}

/* "*", ".example.com" for the names below it, or a name. */
enum weir_err
config_add_host(struct weir_config *config, const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t size = strlen(text);
    if (config->http_host_count == WEIR_CONFIG_HOSTS_MAX)
        return weir_fail(WEIR_INVALID, 0, "more than %d names", WEIR_CONFIG_HOSTS_MAX);
    bool name = size > 0 && size < WEIR_CONFIG_HOST_SIZE && strspn(text, allowed) == size &&
        strstr(text, "..") == NULL && strcmp(text, ".") != 0;
    if (!name && strcmp(text, "*") != 0)
        return weir_fail(WEIR_INVALID, 0,
            "'%s' is no name like weir.example.com, .example.com for all below it, or *", text);
    char *host = config->http_hosts[config->http_host_count++];
    memset(host, 0, WEIR_CONFIG_HOST_SIZE);
    for (size_t i = 0; i < size; i++) /* names are equal whatever their case */
        host[i] = (char)tolower((unsigned char)text[i]);
    return WEIR_OK;
}

/* "*", or http://NAME or https://NAME, with a port where it is not the scheme's own. */
enum weir_err
config_add_origin(struct weir_config *config, const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:[]";
    size_t scheme = strncasecmp(text, "http://", 7) == 0 ? 7
        : strncasecmp(text, "https://", 8) == 0          ? 8
                                                         : 0;
    size_t size = strlen(text);
    if (config->http_cors_count == WEIR_CONFIG_HOSTS_MAX)
        return weir_fail(WEIR_INVALID, 0, "more than %d origins", WEIR_CONFIG_HOSTS_MAX);
    bool origin = scheme > 0 && size > scheme && size < WEIR_CONFIG_HOST_SIZE &&
        strspn(text + scheme, allowed) == size - scheme;
    if (!origin && strcmp(text, "*") != 0)
        return weir_fail(WEIR_INVALID, 0,
            "'%s' is no origin like https://grafana.example.com:3000, or * for all", text);
    char *entry = config->http_cors[config->http_cors_count++];
    memset(entry, 0, WEIR_CONFIG_HOST_SIZE);
    for (size_t i = 0; i < size; i++) /* scheme and host are equal whatever their case */
        entry[i] = (char)tolower((unsigned char)text[i]);
    return WEIR_OK;
}

enum weir_err
config_add_core(struct weir_config *config, const char *text)
{
    uint64_t core;
    enum weir_err err = config_parse_count(text, 0, 1023, &core);
    if (err != WEIR_OK)
        return err;
    size_t most = sizeof config->cores / sizeof config->cores[0];
    if (config->core_count == most)
        return weir_fail(WEIR_INVALID, 0, "more than %zu cores", most);
    for (uint32_t i = 0; i < config->core_count; i++)
        if (config->cores[i] == (int32_t)core)
            return weir_fail(WEIR_INVALID, 0, "core %s is named twice", text);
    config->cores[config->core_count++] = (int32_t)core;
    return WEIR_OK;
}

enum weir_err
config_add_port(struct weir_config *config, const char *text)
{
    size_t size = strlen(text);
    if (config->port_count == WEIR_CONFIG_PORTS_MAX)
        return weir_fail(WEIR_INVALID, 0, "more than %d ports", WEIR_CONFIG_PORTS_MAX);
    if (size == 0 || size >= sizeof config->ports[0])
        return weir_fail(WEIR_INVALID, 0, "a DPDK device of 1 to %zu bytes, like "
            "net_af_packet0,iface=eth1", sizeof config->ports[0] - 1);
    if (!weir_utf8_valid((const uint8_t *)text, size))
        return weir_fail(WEIR_INVALID, 0, "the device's name is not UTF-8");
    memset(config->ports[config->port_count], 0, sizeof config->ports[0]);
    memcpy(config->ports[config->port_count++], text, size);
    return WEIR_OK;
}

enum weir_err
config_add_source(struct weir_config *config, const char *text)
{
    if (config->trusted_source_count == WEIR_CONFIG_SOURCES_MAX)
        return weir_fail(WEIR_INVALID, 0, "more than %d prefixes", WEIR_CONFIG_SOURCES_MAX);
    enum weir_err err =
        weir_prefix_parse(text, &config->trusted_sources[config->trusted_source_count]);
    config->trusted_source_count += err == WEIR_OK;
    return err;
}

enum weir_err
config_add_listener(struct weir_config *config, const struct weir_config_listener *listener)
{
    if (config->listener_count == WEIR_CONFIG_LISTENERS_MAX)
        return weir_fail(WEIR_INVALID, 0, "more than %d listeners", WEIR_CONFIG_LISTENERS_MAX);
    config->listeners[config->listener_count++] = *listener;
    return WEIR_OK;
}

/* Levenshtein distance of words of less than 64 bytes. */
static size_t
edits(const char *a, const char *b)
{
    size_t row[64];
    size_t b_size = strlen(b);
    if (strlen(a) >= 64 || b_size >= 64)
        return 64;
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b_size];
}

const char *
config_nearest(const char *word, const char *const *candidates, size_t count)
{
    const char *nearest = NULL;
    /* a third of the word wrong is still a slip; more is another word */
    size_t limit = strlen(word) / 3 + 2;
    for (size_t i = 0; i < count; i++) {
        size_t distance = edits(word, candidates[i]);
        if (distance < limit) {
            limit = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}

void
weir_config_listener_name(const struct weir_config_listener *listener, char *out, size_t size)
{
    char address[80];
    config_address_text(listener->address, listener->port, address, sizeof address);
    snprintf(out, size, "%s-%s %s", config_protos[listener->proto],
        config_transports[listener->transport], address);
}
