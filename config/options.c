/* Command-line options of a configuration. */
#include "config/keys.h"

#include <stdlib.h>
#include <string.h>

#define KEYS_MAX WEIR_CONFIG_KEYS_MAX

struct options {
    struct weir_config *config;
    int argc;
    char **argv;
    int at;               /* of the next argument */
    bool listeners_named; /* the first listener named takes the others away */
    bool ports_named;
    bool named[KEYS_MAX]; /* keys seen, by place in config_keys */
};

static enum weir_err
fail_option(const char *option)
{
    char text[400];
    snprintf(text, sizeof text, "%s", weir_err_detail());
    return weir_fail(WEIR_INVALID, 0, "--%s: %s", option, text);
}

/* Takes the next argument apart: --name, --name=value or --name value (where it takes one). name
 * holds 64 bytes. value is NULL where none follows: another option is none. */
static enum weir_err
next_option(struct options *options, char *name, const char **value)
{
    const char *text = options->argv[options->at++];
    if (strncmp(text, "--", 2) != 0 || text[2] == '\0')
        return weir_fail(WEIR_INVALID, 0, "'%s' is no option (they begin with --)", text);
    const char *equals = strchr(text, '=');
    size_t size = 0;
    while (text[2 + size] != '\0' && text[2 + size] != '=')
        size++;
    if (size >= 64)
        return weir_fail(WEIR_INVALID, 0, "unknown option %.64s", text);
    memcpy(name, text + 2, size);
    name[size] = '\0';
    *value = NULL;
    if (equals != NULL)
        *value = equals + 1;
    else if (strcmp(name, "no-huge") != 0 && options->at < options->argc &&
             strncmp(options->argv[options->at], "--", 2) != 0)
        *value = options->argv[options->at++];
    return WEIR_OK;
}

static const char *const listener_options[] = {
#define WEIR_PROTOCOL(NAME, name) #name "-udp", #name "-tcp",
#include "model/protocols.def"
};
#define LISTENER_OPTIONS (sizeof listener_options / sizeof listener_options[0])

/* influx-udp and its siblings. False where name is none of them. */
static bool
listener_option(const char *name, struct weir_config_listener *listener)
{
    memset(listener, 0, sizeof *listener);
    for (uint8_t proto = 0; config_protos[proto] != NULL; proto++) {
        for (uint8_t transport = 0; config_transports[transport] != NULL; transport++) {
            char wanted[32];
            snprintf(wanted, sizeof wanted, "%s-%s", config_protos[proto],
                config_transports[transport]);
            listener->proto = proto;
            listener->transport = transport;
            if (strcmp(name, wanted) == 0)
                return true;
        }
    }
    return false;
}

/* ADDR:PORT[,unit=UNIT] or none. */
static enum weir_err
apply_listener(struct options *options, struct weir_config_listener *listener, const char *value)
{
    if (!options->listeners_named)
        config_list_clear(options->config, CONFIG_LISTENERS);
    options->listeners_named = true;
    if (strcmp(value, "none") == 0)
        return WEIR_OK;
    char address[128];
    const char *comma = strchr(value, ',');
    size_t size = comma != NULL ? (size_t)(comma - value) : strlen(value);
    if (size >= sizeof address)
        return weir_fail(WEIR_INVALID, 0, "the address is too long");
    memcpy(address, value, size);
    address[size] = '\0';
    enum weir_err err = config_parse_address(address, listener->address, &listener->port);
    if (err == WEIR_OK && comma != NULL) {
        if (strncmp(comma, ",unit=", 6) != 0)
            return weir_fail(WEIR_INVALID, 0, "'%s' is not ,unit=auto|s|ms|us|ns", comma);
        err = config_parse_choice(comma + 6, config_units, &listener->time_unit);
    }
    if (err == WEIR_OK)
        err = config_add_listener(options->config, listener);
    if (err == WEIR_OK)
        options->config->origin.listener_lines[options->config->listener_count - 1] =
            WEIR_CONFIG_LINE_OPTION;
    return err;
}

static enum weir_err
apply_port(struct options *options, const char *value)
{
    if (!options->ports_named)
        config_list_clear(options->config, CONFIG_PORTS);
    options->ports_named = true;
    if (strcmp(value, "none") == 0)
        return WEIR_OK;
    enum weir_err err = config_add_port(options->config, value);
    if (err == WEIR_OK)
        options->config->origin.port_lines[options->config->port_count - 1] =
            WEIR_CONFIG_LINE_OPTION;
    return err;
}

/* 1,4-6 */
static enum weir_err
apply_cores(struct weir_config *config, const char *value)
{
    char list[256];
    if (strlen(value) >= sizeof list)
        return weir_fail(WEIR_INVALID, 0, "the list is too long");
    strcpy(list, value);
    config_list_clear(config, CONFIG_CORES);
    char *rest = list;
    for (char *item; (item = strsep(&rest, ",")) != NULL;) {
        char *dash = strchr(item, '-');
        uint64_t first;
        uint64_t last;
        if (dash != NULL)
            *dash = '\0';
        enum weir_err err = config_parse_count(item, 0, 1023, &first);
        if (err == WEIR_OK)
            err = config_parse_count(dash != NULL ? dash + 1 : item, first, 1023, &last);
        for (uint64_t core = first; err == WEIR_OK && core <= last; core++) {
            char text[24];
            snprintf(text, sizeof text, "%llu", (unsigned long long)core);
            err = config_add_core(config, text);
        }
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

/* "127.0.0.0/8,::1", "weir.example.com,.example.org", or "none" */
static enum weir_err
apply_list(struct weir_config *config, enum config_kind kind, const char *value)
{
    char list[WEIR_CONFIG_HOSTS_MAX * WEIR_CONFIG_HOST_SIZE];
    _Static_assert(sizeof list >= WEIR_CONFIG_SOURCES_MAX * WEIR_PEER_TEXT_MAX, "prefixes fit too");
    if (strlen(value) >= sizeof list)
        return weir_fail(WEIR_INVALID, 0, "the list is too long");
    strcpy(list, value);
    config_list_clear(config, kind);
    if (strcmp(list, "none") == 0)
        return WEIR_OK;
    char *rest = list;
    enum weir_err err = WEIR_OK;
    for (char *item; err == WEIR_OK && (item = strsep(&rest, ",")) != NULL;)
        err = kind == CONFIG_HOSTS   ? config_add_host(config, item)
            : kind == CONFIG_ORIGINS ? config_add_origin(config, item)
                                     : config_add_source(config, item);
    return err;
}

static const struct config_key *
find_option(const char *name)
{
    for (size_t i = 0; i < config_key_count; i++)
        if (config_keys[i].option != NULL && strcmp(config_keys[i].option, name) == 0)
            return &config_keys[i];
    return NULL;
}

static enum weir_err
fail_unknown(const char *name)
{
    const char *candidates[KEYS_MAX + LISTENER_OPTIONS + 2] = {"config", "no-huge"};
    size_t count = 2;
    for (size_t i = 0; i < LISTENER_OPTIONS; i++)
        candidates[count++] = listener_options[i];
    for (size_t i = 0; i < config_key_count; i++)
        if (config_keys[i].option != NULL)
            candidates[count++] = config_keys[i].option;
    const char *nearest = config_nearest(name, candidates, count);
    if (nearest != NULL)
        return weir_fail(WEIR_INVALID, 0, "unknown option --%s; is --%s meant?", name, nearest);
    return weir_fail(WEIR_INVALID, 0, "unknown option --%s", name);
}

static enum weir_err
apply_key(struct options *options, const struct config_key *key, const char *value)
{
    options->named[key - config_keys] = true;
    config_key_came_from(options->config, key, WEIR_CONFIG_LINE_OPTION);
    if (key->kind == CONFIG_PORTS)
        return apply_port(options, value);
    if (key->kind == CONFIG_CORES)
        return apply_cores(options->config, value);
    if (key->kind == CONFIG_SOURCES || key->kind == CONFIG_HOSTS || key->kind == CONFIG_ORIGINS)
        return apply_list(options->config, key->kind, value);
    return config_key_set(options->config, key, value);
}

static enum weir_err
apply_option(struct options *options, const char *name, const char *value)
{
    struct weir_config_listener listener;
    if (strcmp(name, "no-huge") == 0) {
        if (value != NULL)
            return weir_fail(WEIR_INVALID, 0, "--no-huge: takes no value");
        options->config->huge_pages = WEIR_CONFIG_OFF;
        return WEIR_OK;
    }
    const struct config_key *key = find_option(name);
    bool listens = listener_option(name, &listener);
    if (key == NULL && !listens && strcmp(name, "config") != 0)
        return fail_unknown(name);
    if (value == NULL)
        return weir_fail(WEIR_INVALID, 0, "--%s: a value is missing", name);
    enum weir_err err = WEIR_OK;
    if (listens)
        err = apply_listener(options, &listener, value);
    else if (key != NULL)
        err = apply_key(options, key, value);
    return err == WEIR_OK ? WEIR_OK : fail_option(name);
}

/* The file first: options override it wherever --config was written. */
static enum weir_err
load_file(struct weir_config *config, int argc, char **argv)
{
    struct options options = {.config = config, .argc = argc, .argv = argv};
    const char *path = NULL;
    while (options.at < argc) {
        char name[64];
        const char *value;
        /* a value that makes no sense is reported when the options are applied */
        if (next_option(&options, name, &value) != WEIR_OK || strcmp(name, "config") != 0 ||
            value == NULL)
            continue;
        if (path != NULL)
            return weir_fail(WEIR_INVALID, 0, "--config: named twice");
        path = value;
    }
    return path != NULL ? weir_config_load(config, path) : WEIR_OK;
}

enum weir_err
weir_config_arguments(struct weir_config *config, int argc, char **argv)
{
    struct options options = {.config = config, .argc = argc, .argv = argv};
    enum weir_err err = load_file(config, argc, argv);
    while (err == WEIR_OK && options.at < argc) {
        char name[64];
        const char *value;
        err = next_option(&options, name, &value);
        if (err == WEIR_OK)
            err = apply_option(&options, name, value);
        err = config_mistake(config, err);
    }
    if (err != WEIR_OK)
        return err;
    return config_mistakes_end(config);
}

static void
usage_line(FILE *out, const char *option, const char *argument, const char *help)
{
    char left[64];
    snprintf(left, sizeof left, "--%s %s", option, argument);
    fprintf(out, "  %-38s %s\n", left, help);
}

/* The first one, then the others as names, two or four to a line. */
static void
usage_listeners(FILE *out)
{
    char line[64] = "listener; also ";
    char first[48];
    snprintf(first, sizeof first, "%s ADDR:PORT[,unit=U]", listener_options[0]);
    for (size_t i = 1; i < LISTENER_OPTIONS; i++) {
        size_t used = strlen(line);
        bool last = i + 1 == LISTENER_OPTIONS, full = last || i % 4 == 1;
        snprintf(line + used, sizeof line - used, "%s%s", listener_options[i],
            last ? ";" : full ? "," : ", ");
        if (!full)
            continue;
        if (i == 1)
            usage_line(out, first, "", line);
        else
            fprintf(out, "  %-38s %s\n", "", line);
        line[0] = '\0';
    }
}

static void
usage_key(FILE *out, const struct config_key *key)
{
    if (key->option != NULL)
        usage_line(out, key->option, key->argument, key->help);
    if (key->kind != CONFIG_LISTENERS)
        return;
    usage_listeners(out);
    fprintf(out, "  %-38s %s\n", "", "repeatable. Naming one replaces all others.");
    fprintf(out, "  %-38s %s\n", "", "U: auto, s, ms, us, ns");
}

/* With --config the options that a beginner needs. */
static bool
comes_first(const struct config_key *key)
{
    static const char *const options[] = {"data", "http", "series-max", "log-size-max"};
    if (key->kind == CONFIG_LISTENERS)
        return true;
    for (size_t i = 0; i < sizeof options / sizeof options[0] && key->option != NULL; i++)
        if (strcmp(key->option, options[i]) == 0)
            return true;
    return false;
}

void
weir_config_usage(FILE *out)
{
    usage_line(out, "config", "FILE", "configuration file; options override it");
    for (int first = 1; first >= 0; first--) {
        for (size_t i = 0; i < config_key_count; i++)
            if (config_keys[i].kind != CONFIG_GONE && comes_first(&config_keys[i]) == (first == 1))
                usage_key(out, &config_keys[i]);
        if (first == 1)
            fprintf(out, "\nFor all others the defaults will do:\n");
    }
    usage_line(out, "no-huge", "", "no huge pages");
}
