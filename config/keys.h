/* keys: the one table of configuration keys, shared by loading, options and printing.
 *
 * Threads: any; constant
 * Errors:  values that do not parse: WEIR_INVALID, the detail says how it should be, without
 *          the place; the caller puts file and line or the option in front
 */
#ifndef WEIR_CONFIG_KEYS_H
#define WEIR_CONFIG_KEYS_H

#include "config/config.h"

enum config_kind {
    CONFIG_PATH,     /* char[WEIR_CONFIG_PATH_MAX] */
    CONFIG_HTTP,     /* http_address and http_port */
    CONFIG_LISTENERS,
    CONFIG_PORTS,
    CONFIG_CORES,
    CONFIG_HOSTS,
    CONFIG_ORIGINS,
    CONFIG_SOURCES,
    CONFIG_BOOL,
    CONFIG_U32,
    CONFIG_U64,
    CONFIG_SIZE,     /* uint64_t, bytes */
    CONFIG_MIB,      /* uint32_t, MiB */
    CONFIG_MS32,     /* uint32_t, milliseconds */
    CONFIG_MS64,     /* uint64_t, milliseconds */
    CONFIG_CHOICE,   /* uint8_t, index into names */
    CONFIG_GONE,     /* uint64_t, bytes: taken for one release, without effect; not printed */
};

struct config_key {
    const char *path;     /* "section.key", or "key" at the top */
    enum config_kind kind;
    size_t offset;        /* of the field in struct weir_config */
    uint64_t least, most; /* in the field's unit; numbers only */
    const char *const *names; /* choices, NULL terminated */
    const char *option;   /* without the dashes; NULL where there is none of its own */
    const char *argument; /* the form of its value, for help */
    const char *help;
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;
extern const char *const config_protos[];
extern const char *const config_transports[];
extern const char *const config_units[];

/* Parses text into the key's field. Not for CONFIG_LISTENERS, CONFIG_PORTS, CONFIG_CORES,
 * CONFIG_SOURCES, CONFIG_HOSTS, CONFIG_ORIGINS. */
enum weir_err config_key_set(struct weir_config *config, const struct config_key *key,
    const char *text) WEIR_MUST_USE;
/* Writes the field as text that config_key_set reads back to the same value. */
void config_key_text(const struct weir_config *config, const struct config_key *key, char *out,
    size_t size);
/* The key of this path, or NULL. */
const struct config_key *config_key_find(const char *path);
/* Writes the key's line or lines of YAML, as weir_config_print does. */
void config_key_print(const struct weir_config *config, const struct config_key *key, FILE *out);
/* Notes where a key's value came from: a line of origin.file, or WEIR_CONFIG_LINE_OPTION. */
void config_key_came_from(struct weir_config *config, const struct config_key *key, uint32_t line);

/* ADDR:PORT or [v6]:PORT, numeric, port 1 to 65535. address holds 64 bytes. */
enum weir_err config_parse_address(const char *text, char *address, uint16_t *port) WEIR_MUST_USE;
/* Index of text in names; the error suggests a near one. */
enum weir_err config_parse_choice(const char *text, const char *const *names, uint8_t *out)
    WEIR_MUST_USE;
/* Decimal, underscores between digits allowed, within least and most. */
enum weir_err config_parse_count(const char *text, uint64_t least, uint64_t most, uint64_t *out)
    WEIR_MUST_USE;
enum weir_err config_add_host(struct weir_config *config, const char *text) WEIR_MUST_USE;
enum weir_err config_add_origin(struct weir_config *config, const char *text) WEIR_MUST_USE;
enum weir_err config_add_core(struct weir_config *config, const char *text) WEIR_MUST_USE;
enum weir_err config_add_port(struct weir_config *config, const char *text) WEIR_MUST_USE;
enum weir_err config_add_listener(struct weir_config *config,
    const struct weir_config_listener *listener) WEIR_MUST_USE;
/* A prefix as weir_prefix_parse reads it. */
enum weir_err config_add_source(struct weir_config *config, const char *text) WEIR_MUST_USE;
/* Empties one of the lists. */
void config_list_clear(struct weir_config *config, enum config_kind kind);
/* "ADDR:PORT", brackets where the address is IPv6, or "none". out holds 80 bytes. */
void config_address_text(const char *address, uint16_t port, char *out, size_t size);

/* For a mistake that need not be the only one. If the configuration collects mistakes it reports
 * and counts this one and returns WEIR_OK, else it returns err. */
enum weir_err config_mistake(const struct weir_config *config, enum weir_err err) WEIR_MUST_USE;

/* WEIR_INVALID where mistakes were counted. */
enum weir_err config_mistakes_end(const struct weir_config *config) WEIR_MUST_USE;

/* The candidate nearest to word by edits, if it is near enough to be meant; else NULL. */
const char *config_nearest(const char *word, const char *const *candidates, size_t count);

#endif
