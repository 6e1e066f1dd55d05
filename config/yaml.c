/* weir.yaml: reading it over a configuration, and printing one as YAML. */
#include "base/escape.h"
#include "config/keys.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

#define KEY_SIZE_MAX 128
#define KEYS_MAX WEIR_CONFIG_KEYS_MAX

struct loader {
    struct weir_config *config;
    const char *path;
    yaml_document_t document;
    bool named[KEYS_MAX]; /* keys seen, by place in config_keys */
};

static uint32_t
line_of(const yaml_node_t *node)
{
    return (uint32_t)node->start_mark.line + 1;
}

static enum weir_err
fail_at(const struct loader *loader, const yaml_node_t *node, const char *key, const char *format,
    ...) __attribute__((format(printf, 4, 5)));

static enum weir_err
fail_at(const struct loader *loader, const yaml_node_t *node, const char *key, const char *format,
    ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return weir_fail(WEIR_INVALID, 0, "%s:%zu: %s: %s", loader->path, node->start_mark.line + 1,
        key, text);
}

/* Puts the place before the text of the value's parser. */
static enum weir_err
fail_value(const struct loader *loader, const yaml_node_t *node, const char *key)
{
    char text[400];
    snprintf(text, sizeof text, "%s", weir_err_detail());
    return fail_at(loader, node, key, "%s", text);
}

static yaml_node_t *
node_of(struct loader *loader, int index)
{
    return yaml_document_get_node(&loader->document, index);
}

/* The value as a string, or NULL where it is none (the detail says why). */
static const char *
scalar_text(const struct loader *loader, const yaml_node_t *node, const char *key)
{
    if (node->type != YAML_SCALAR_NODE) {
        (void)fail_at(loader, node, key, "a single value is expected here");
        return NULL;
    }
    const char *text = (const char *)node->data.scalar.value;
    if (strlen(text) != node->data.scalar.length) {
        (void)fail_at(loader, node, key, "the value holds a zero byte");
        return NULL;
    }
    return text;
}

/* Splits a mapping entry into key and value; key_out has room for KEY_SIZE_MAX bytes. */
static enum weir_err
entry_key(struct loader *loader, const yaml_node_pair_t *pair, const char *prefix, char *key_out)
{
    const yaml_node_t *node = node_of(loader, pair->key);
    const char *text = scalar_text(loader, node, *prefix != '\0' ? prefix : "key");
    if (text == NULL)
        return WEIR_INVALID;
    int used = snprintf(key_out, KEY_SIZE_MAX, "%s%s%s", prefix, *prefix != '\0' ? "." : "", text);
    if (used >= KEY_SIZE_MAX)
        return fail_at(loader, node, "key", "a key of %d bytes is none of ours", used);
    return WEIR_OK;
}

static bool
is_section(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < config_key_count; i++)
        if (strncmp(config_keys[i].path, name, size) == 0 && config_keys[i].path[size] == '.')
            return true;
    return false;
}

static enum weir_err
fail_unknown(const struct loader *loader, const yaml_node_t *node, const char *key)
{
    const char *candidates[2 * KEYS_MAX];
    char sections[KEYS_MAX][32];
    size_t count = 0;
    for (size_t i = 0; i < config_key_count; i++) {
        const char *path = config_keys[i].path;
        candidates[count++] = path;
        const char *dot = strchr(path, '.');
        snprintf(sections[i], sizeof sections[i], "%.*s", dot != NULL ? (int)(dot - path) : 0,
            path);
        candidates[count++] = sections[i];
    }
    const char *nearest = config_nearest(key, candidates, count);
    if (nearest != NULL && *nearest != '\0')
        return fail_at(loader, node, key, "unknown key; is %s meant?", nearest);
    return fail_at(loader, node, key, "unknown key");
}

static enum weir_err
load_listener_field(struct loader *loader, const yaml_node_pair_t *pair,
    struct weir_config_listener *listener, unsigned *seen)
{
    static const char *const fields[] = {"proto", "transport", "address", "time_unit"};
    const yaml_node_t *node = node_of(loader, pair->key);
    char key[KEY_SIZE_MAX];
    enum weir_err err = entry_key(loader, pair, "listeners", key);
    if (err != WEIR_OK)
        return err;
    const char *name = key + strlen("listeners.");
    size_t field = 0;
    while (field < 4 && strcmp(fields[field], name) != 0)
        field++;
    if (field == 4) {
        const char *nearest = config_nearest(name, fields, 4);
        return fail_at(loader, node, key, "unknown key%s%s", nearest ? "; is this meant: " : "",
            nearest ? nearest : "");
    }
    if (*seen & 1u << field)
        return fail_at(loader, node, key, "named twice");
    *seen |= 1u << field;
    node = node_of(loader, pair->value);
    const char *text = scalar_text(loader, node, key);
    if (text == NULL)
        return WEIR_INVALID;
    if (field == 0)
        err = config_parse_choice(text, config_protos, &listener->proto);
    else if (field == 1)
        err = config_parse_choice(text, config_transports, &listener->transport);
    else if (field == 2)
        err = config_parse_address(text, listener->address, &listener->port);
    else
        err = config_parse_choice(text, config_units, &listener->time_unit);
    return err == WEIR_OK ? WEIR_OK : fail_value(loader, node, key);
}

static enum weir_err
load_listener(struct loader *loader, const yaml_node_t *node)
{
    struct weir_config_listener listener;
    memset(&listener, 0, sizeof listener);
    unsigned seen = 0;
    if (node->type != YAML_MAPPING_NODE)
        return fail_at(loader, node, "listeners",
            "each one is {proto: .., transport: .., address: ..}");
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        enum weir_err err = load_listener_field(loader, pair, &listener, &seen);
        err = config_mistake(loader->config, err);
        if (err != WEIR_OK)
            return err;
    }
    if ((seen & 7) != 7)
        return fail_at(loader, node, "listeners", "proto, transport and address are all needed");
    if (config_add_listener(loader->config, &listener) != WEIR_OK)
        return fail_value(loader, node, "listeners");
    loader->config->origin.listener_lines[loader->config->listener_count - 1] = line_of(node);
    return WEIR_OK;
}

static enum weir_err
load_item(struct loader *loader, const struct config_key *key, const yaml_node_t *node)
{
    if (key->kind == CONFIG_LISTENERS)
        return load_listener(loader, node);
    const char *text = scalar_text(loader, node, key->path);
    if (text == NULL)
        return WEIR_INVALID;
    enum weir_err err = key->kind == CONFIG_PORTS ? config_add_port(loader->config, text)
        : key->kind == CONFIG_SOURCES             ? config_add_source(loader->config, text)
        : key->kind == CONFIG_HOSTS               ? config_add_host(loader->config, text)
        : key->kind == CONFIG_ORIGINS             ? config_add_origin(loader->config, text)
                                                  : config_add_core(loader->config, text);
    if (err != WEIR_OK)
        return fail_value(loader, node, key->path);
    if (key->kind == CONFIG_PORTS)
        loader->config->origin.port_lines[loader->config->port_count - 1] = line_of(node);
    return WEIR_OK;
}

static enum weir_err
load_list(struct loader *loader, const struct config_key *key, const yaml_node_t *node)
{
    if (node->type != YAML_SEQUENCE_NODE)
        return fail_at(loader, node, key->path, "a list is expected here; [] is the empty one");
    config_list_clear(loader->config, key->kind);
    for (const yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        enum weir_err err = load_item(loader, key, node_of(loader, *item));
        err = config_mistake(loader->config, err);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

static bool
is_list(const struct config_key *key)
{
    return key->kind == CONFIG_LISTENERS || key->kind == CONFIG_PORTS ||
           key->kind == CONFIG_CORES || key->kind == CONFIG_SOURCES ||
           key->kind == CONFIG_HOSTS || key->kind == CONFIG_ORIGINS;
}

/* `http: ADDR:PORT` is short for the section with its address alone. */
static const struct config_key *
find_key(const char *path)
{
    return config_key_find(strcmp(path, "http") == 0 ? "http.address" : path);
}

static enum weir_err
load_key(struct loader *loader, const yaml_node_pair_t *pair, const char *path)
{
    const yaml_node_t *at = node_of(loader, pair->key);
    const yaml_node_t *node = node_of(loader, pair->value);
    const struct config_key *key = find_key(path);
    if (key == NULL)
        return fail_unknown(loader, at, path);
    if (loader->named[key - config_keys])
        return fail_at(loader, at, path, "named twice");
    loader->named[key - config_keys] = true;
    config_key_came_from(loader->config, key, line_of(at));
    if (is_list(key))
        return load_list(loader, key, node);
    const char *text = scalar_text(loader, node, path);
    if (text == NULL)
        return WEIR_INVALID;
    if (config_key_set(loader->config, key, text) != WEIR_OK)
        return fail_value(loader, node, path);
    return WEIR_OK;
}

static enum weir_err
load_section(struct loader *loader, const char *name, const yaml_node_t *node)
{
    char path[KEY_SIZE_MAX];
    if (node->type != YAML_MAPPING_NODE)
        return fail_at(loader, node, name, "a section with keys is expected here");
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        enum weir_err err = entry_key(loader, pair, name, path);
        if (err == WEIR_OK)
            err = load_key(loader, pair, path);
        err = config_mistake(loader->config, err);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

static enum weir_err
load_root(struct loader *loader)
{
    char path[KEY_SIZE_MAX];
    const yaml_node_t *root = yaml_document_get_root_node(&loader->document);
    if (root == NULL)
        return WEIR_OK; /* an empty file says nothing */
    if (root->type != YAML_MAPPING_NODE)
        return fail_at(loader, root, "file", "keys with values are expected");
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        enum weir_err err = entry_key(loader, pair, "", path);
        bool is_short = err == WEIR_OK && find_key(path) != NULL &&
            node_of(loader, pair->value)->type == YAML_SCALAR_NODE;
        if (err == WEIR_OK && is_section(path) && !is_short)
            err = load_section(loader, path, node_of(loader, pair->value));
        else if (err == WEIR_OK)
            err = load_key(loader, pair, path);
        err = config_mistake(loader->config, err);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

static enum weir_err
fail_syntax(const char *path, const yaml_parser_t *parser)
{
    size_t line = parser->problem_mark.line + 1;
    return weir_fail(WEIR_INVALID, 0, "%s:%zu: %s%s%s", path, line,
        parser->problem != NULL ? parser->problem : "no YAML",
        parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "");
}

/* Only one document: a second one would be silently ignored otherwise. */
static enum weir_err
expect_end(const char *path, yaml_parser_t *parser)
{
    yaml_document_t more;
    if (!yaml_parser_load(parser, &more))
        return fail_syntax(path, parser);
    const yaml_node_t *root = yaml_document_get_root_node(&more);
    size_t line = root != NULL ? root->start_mark.line + 1 : 0;
    yaml_document_delete(&more);
    if (root != NULL)
        return weir_fail(WEIR_INVALID, 0, "%s:%zu: file: a second document", path, line);
    return WEIR_OK;
}

enum weir_err
weir_config_load(struct weir_config *config, const char *path)
{
    struct loader loader = {.config = config, .path = path};
    yaml_parser_t parser;
    snprintf(config->origin.file, sizeof config->origin.file, "%s", path);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return weir_fail(WEIR_INVALID, errno, "%s", path);
    struct stat status;
    if (fstat(fileno(file), &status) == 0 && S_ISDIR(status.st_mode)) {
        fclose(file);
        return weir_fail(WEIR_INVALID, 0, "%s is a directory; a file is wanted", path);
    }
    if (!yaml_parser_initialize(&parser)) {
        fclose(file);
        return weir_fail(WEIR_NOMEM, 0, "%s: YAML parser", path);
    }
    yaml_parser_set_input_file(&parser, file);
    enum weir_err err;
    if (!yaml_parser_load(&parser, &loader.document)) {
        err = fail_syntax(path, &parser);
    } else {
        err = load_root(&loader);
        if (err == WEIR_OK && yaml_document_get_root_node(&loader.document) != NULL)
            err = expect_end(path, &parser);
        yaml_document_delete(&loader.document);
    }
    yaml_parser_delete(&parser);
    fclose(file);
    return err;
}

/* In double quotes YAML has the escapes of WEIR_ESCAPE_QUOTED; values are UTF-8, checked when they
 * were set. */
static void
print_quoted(const char *text, FILE *out)
{
    fputc('"', out);
    weir_escape_print(WEIR_ESCAPE_QUOTED, text, strlen(text), out);
    fputc('"', out);
}

static void
print_listeners(const struct weir_config *config, FILE *out)
{
    fprintf(out, config->listener_count == 0 ? "listeners: []\n" : "listeners:\n");
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct weir_config_listener *listener = &config->listeners[i];
        char address[80];
        config_address_text(listener->address, listener->port, address, sizeof address);
        fprintf(out, "  - {proto: %s, transport: %s, address: \"%s\", time_unit: %s}\n",
            config_protos[listener->proto], config_transports[listener->transport], address,
            config_units[listener->time_unit]);
    }
}

static void
print_source(const struct weir_prefix *source, FILE *out)
{
    char text[WEIR_PEER_TEXT_MAX];
    weir_prefix_text(source, text);
    print_quoted(text, out);
}

static void
print_list(const struct weir_config *config, const struct config_key *key, const char *name,
    FILE *out)
{
    if (key->kind == CONFIG_LISTENERS) {
        print_listeners(config, out);
        return;
    }
    fprintf(out, "%s: [", name);
    uint32_t count = key->kind == CONFIG_PORTS ? config->port_count
        : key->kind == CONFIG_SOURCES          ? config->trusted_source_count
        : key->kind == CONFIG_HOSTS            ? config->http_host_count
        : key->kind == CONFIG_ORIGINS          ? config->http_cors_count
                                               : config->core_count;
    for (uint32_t i = 0; i < count; i++) {
        fputs(i > 0 ? ", " : "", out);
        if (key->kind == CONFIG_PORTS)
            print_quoted(config->ports[i], out);
        else if (key->kind == CONFIG_HOSTS)
            print_quoted(config->http_hosts[i], out);
        else if (key->kind == CONFIG_ORIGINS)
            print_quoted(config->http_cors[i], out);
        else if (key->kind == CONFIG_SOURCES)
            print_source(&config->trusted_sources[i], out);
        else
            fprintf(out, "%d", config->cores[i]);
    }
    fputs("]\n", out);
}

void
config_key_print(const struct weir_config *config, const struct config_key *key, FILE *out)
{
    const char *dot = strchr(key->path, '.');
    const char *name = dot != NULL ? dot + 1 : key->path;
    fputs(dot != NULL ? "  " : "", out);
    if (is_list(key)) {
        print_list(config, key, name, out);
        return;
    }
    char text[WEIR_CONFIG_PATH_MAX];
    config_key_text(config, key, text, sizeof text);
    fprintf(out, "%s: ", name);
    if (key->kind == CONFIG_PATH || key->kind == CONFIG_HTTP)
        print_quoted(text, out);
    else
        fputs(text, out);
    fputc('\n', out);
}

void
weir_config_print(const struct weir_config *config, FILE *out)
{
    const char *section = "";
    size_t section_size = 0;
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (key->kind == CONFIG_GONE)
            continue;
        const char *dot = strchr(key->path, '.');
        size_t size = dot != NULL ? (size_t)(dot - key->path) : 0;
        if (size != section_size || strncmp(section, key->path, size) != 0) {
            if (size > 0)
                fprintf(out, "%.*s:\n", (int)size, key->path);
            section = key->path;
            section_size = size;
        }
        config_key_print(config, key, out);
    }
}
