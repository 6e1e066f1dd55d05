/* weir-controlplane: the HTTP API and queries, in a process of its own.
 *
 * Started by the supervisor with the shared region as descriptor WEIR_SHARED_FD:
 *
 *   weir-controlplane --parent PID --http-fd N --config DIR/run/weir.yaml
 *
 * By hand, on the data of an instance that is stopped or on none:
 *
 *   weir-controlplane --shared-fd none --data DIR --http 127.0.0.1:9880
 *
 * It holds no lock and writes nothing, so it may be killed at any moment.
 */
#include "app/sandbox.h"
#include "base/event.h"
#include "base/process.h"
#include "config/config.h"
#include "config/live.h"
#include "controlplane/api/api.h"
#include "controlplane/http/listen.h"
#include "model/shared.h"
#include "storage/reader.h"

#include <errno.h>
#include <event2/event.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NO_SHARED_FD (-1)
#define STOP_MS 500 /* of the second that the end may take */

struct options {
    struct weir_config config;
    int shared_fd;
    int http_fd;  /* 0: none */
    pid_t parent; /* 0: none */
};

/* The sources of a reader. */
struct source {
    char directory[WEIR_CONFIG_PATH_MAX + 8];
    char store[WEIR_CONFIG_PATH_MAX + 8];
    struct weir_shared *shared;
};

static void
usage(FILE *out)
{
    fprintf(out, "usage: weir-controlplane [--parent PID] [--shared-fd N|none] [options]\n\n"
        "Answers queries over HTTP. The supervisor (weir run) starts it; by hand, with\n"
        "--shared-fd none, it serves the data of a stopped instance.\n\n"
        "  --parent PID        end when this process ends\n"
        "  --http-fd N         descriptor that listens for HTTP already\n"
        "  --shared-fd N|none  descriptor of the instance's shared region (%d)\n\n",
        WEIR_SHARED_FD);
    weir_config_usage(out);
}

/* Value of an option of this program: a number from 0, or `none` where that is allowed. */
static enum weir_err
read_number(const char *option, const char *text, bool none_allowed, int *out)
{
    char *end;
    if (text != NULL && none_allowed && strcmp(text, "none") == 0) {
        *out = NO_SHARED_FD;
        return WEIR_OK;
    }
    errno = 0;
    long value = text != NULL ? strtol(text, &end, 10) : -1;
    if (value < 0 || value > INT32_MAX || errno != 0 || end == text || *end != '\0')
        return weir_fail(WEIR_INVALID, 0, "%s needs a number", option);
    *out = (int)value;
    return WEIR_OK;
}

/* Takes this program's options out of argv, and gives the rest to the configuration. */
static enum weir_err
read_options(int argc, char **argv, struct options *options)
{
    int rest = 0;
    int parent = 0;
    enum weir_err err = WEIR_OK;
    const char *inherited = getenv("WEIR_SHARED_FD");
    options->shared_fd = WEIR_SHARED_FD;
    if (inherited != NULL)
        err = read_number("environment variable WEIR_SHARED_FD", inherited, true,
            &options->shared_fd);
    for (int i = 1; err == WEIR_OK && i < argc; i++) {
        if (strcmp(argv[i], "--parent") == 0) {
            err = read_number("--parent", argv[i + 1], false, &parent);
            i++;
        } else if (strcmp(argv[i], "--http-fd") == 0) {
            err = read_number("--http-fd", argv[i + 1], false, &options->http_fd);
            i++;
        } else if (strcmp(argv[i], "--shared-fd") == 0) {
            err = read_number("--shared-fd", argv[i + 1], true, &options->shared_fd);
            i++;
        } else {
            argv[rest++] = argv[i];
        }
    }
    options->parent = parent;
    weir_config_init(&options->config);
    if (err == WEIR_OK)
        err = weir_config_arguments(&options->config, rest, argv);
    return err == WEIR_OK ? weir_config_check(&options->config) : err;
}

/* The signal comes when the parent ends from now on; the check is for one that ended before. */
static enum weir_err
follow_parent(pid_t parent)
{
    if (parent == 0)
        return WEIR_OK;
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
        return weir_fail(WEIR_IO, errno, "PR_SET_PDEATHSIG");
    return getppid() == parent ? WEIR_OK
                               : weir_fail(WEIR_END, 0, "parent %d is gone", (int)parent);
}

/* Called again until it succeeds. While the dataplane starts, a reader would be empty and queries
 * would find nothing: there is no reader then. */
static enum weir_err
open_reader(void *context, struct weir_reader **out)
{
    const struct source *source = context;
    const struct weir_reader_options reader = {
        .directory = source->directory, .store = source->store, .shared = source->shared};
    if (source->shared == NULL)
        return weir_reader_open_with(&reader, out);
    /* acquire pairs with the release in announce (app/dataplane/dataplane.c); that of
     * durable_offset with the one in publish_log (storage/log/writer/writer.c) */
    if (atomic_load_explicit(&source->shared->epoch, memory_order_acquire) == 0)
        return weir_fail(WEIR_AGAIN, 0, "the dataplane is starting");
    uint64_t durable = atomic_load_explicit(&source->shared->durable_offset, memory_order_acquire);
    enum weir_err err = weir_reader_open_with(&reader, out);
    if (err != WEIR_OK || weir_reader_durable_offset(*out) >= durable)
        return err;
    /* it died meanwhile: the reader has less than was acknowledged */
    weir_reader_close(*out);
    *out = NULL;
    return weir_fail(WEIR_AGAIN, 0, "the dataplane is starting");
}

/* The port is open and queries answer: the supervisor calls that ready. */
static void
say_ready(void *context)
{
    const struct source *source = context;
    /* release pairs with the acquire in child_ready (app/supervisor/children.c) */
    if (source->shared != NULL)
        atomic_store_explicit(&source->shared->http_pid, (uint32_t)getpid(),
            memory_order_release);
}

static struct weir_limits
limits_of(const struct weir_config *config)
{
    return (struct weir_limits){config->query_series_max, config->query_points_max,
        config->query_samples_max, config->query_timeout_ms, config->http_answers_max,
        config->query_memory_bytes};
}

/* Before each query: the limits of a configuration that was changed since our start. */
static void
limits_now(void *context, struct weir_limits *limits)
{
    const struct source *source = context;
    struct weir_config config;
    uint64_t seen = 0;
    if (source->shared == NULL || !weir_live_get(&source->shared->live, &seen, &config))
        return;
    *limits = limits_of(&config);
    weir_event_level((enum weir_level)config.log_level);
}

/* libevent 2.1 ends in a wild pointer at several places where memory is short. So its allocations
 * end the process by name; the supervisor starts another, and nothing is lost. */
static void *
libevent_memory(void *memory, size_t size)
{
    if (memory != NULL || size == 0)
        return memory;
    weir_event(WEIR_LEVEL_ERROR, "out_of_memory", "of=http bytes=%zu", size);
    _exit(EXIT_FAILURE);
}

static void *
libevent_malloc(size_t size)
{
    return libevent_memory(malloc(size), size);
}

static void *
libevent_realloc(void *old, size_t size)
{
    return libevent_memory(realloc(old, size), size);
}

static void
on_signal(evutil_socket_t signal, short what, void *context)
{
    (void)signal;
    (void)what;
    event_base_loopbreak(context);
}

static enum weir_err
serve(struct event_base *base, const struct weir_api_options *options)
{
    static const int signals[] = {SIGTERM, SIGINT};
    struct event *events[2] = {NULL, NULL};
    struct weir_api *api;
    enum weir_err err = weir_api_open(options, &api);
    if (err != WEIR_OK)
        return err;
    for (int i = 0; i < 2; i++) {
        events[i] = evsignal_new(base, signals[i], on_signal, base);
        if (events[i] == NULL || event_add(events[i], NULL) != 0)
            err = weir_fail(WEIR_NOMEM, 0, "signal handler");
    }
    if (err == WEIR_OK) {
        weir_event(WEIR_LEVEL_INFO, "http_open", "addr=%s port=%u", options->address,
            weir_api_port(api));
        event_base_dispatch(base);
        weir_event(WEIR_LEVEL_INFO, "stop", "reason=signal");
    }
    /* a query deep in a scan may not notice in time; there is nothing to save */
    if (!weir_api_close(api, STOP_MS))
        _exit(EXIT_SUCCESS);
    for (int i = 0; i < 2; i++)
        if (events[i] != NULL)
            event_free(events[i]);
    return err;
}

/* Its port is open: it reads log and store, and what the kernel says of the processes. */
static void
enter_sandbox(const struct weir_config *config)
{
    char log[WEIR_CONFIG_PATH_MAX + 16];
    char stream[WEIR_CONFIG_PATH_MAX + 16];
    char store[WEIR_CONFIG_PATH_MAX + 16];
    snprintf(store, sizeof store, "%s/store", config->data);
    snprintf(log, sizeof log, "%s/log", config->data);
    snprintf(stream, sizeof stream, "%s/log/0", config->data); /* which may be a link elsewhere */
    const struct weir_sandbox_path paths[] = {{log, false}, {stream, false}, {store, false},
        {"/proc", false},
        {"/sys/devices/system/cpu", false}};
    struct weir_sandbox_options options = {.process = "controlplane", .paths = paths,
        .path_count = sizeof paths / sizeof paths[0], .reach = log};
    weir_sandbox_enter(&options);
}

/* Cores that this process may use. */
static int
cores_allowed(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static enum weir_err
run(const struct options *options)
{
    const struct weir_config *config = &options->config;
    struct source source = {.shared = NULL};
    snprintf(source.directory, sizeof source.directory, "%s/log/0", config->data);
    snprintf(source.store, sizeof source.store, "%s/store", config->data);
    enum weir_err err = follow_parent(options->parent);
    if (err == WEIR_OK && options->shared_fd != NO_SHARED_FD)
        err = weir_shared_map(options->shared_fd, &source.shared);
    else if (err == WEIR_OK && access(source.directory, R_OK | X_OK) != 0)
        err = weir_fail(WEIR_NOT_FOUND, errno, "log %s", source.directory);
    if (err != WEIR_OK)
        return err;
    int http_fd = options->http_fd;
    if (http_fd == 0)
        err = weir_http_listen(config->http_address, config->http_port,
            weir_config_v6_only(config, WEIR_CONFIG_TCP, config->http_port), &http_fd);
    if (err != WEIR_OK)
        return err;
    enter_sandbox(config);
    event_set_mem_functions(libevent_malloc, libevent_realloc, free);
    struct event_base *base = event_base_new();
    if (base == NULL) {
        err = weir_fail(WEIR_NOMEM, 0, "event loop");
    } else {
        struct weir_api_options api = {.base = base, .listen_fd = http_fd,
            .address = config->http_address, .port = config->http_port,
            .threads = weir_api_threads(cores_allowed()), .shared = source.shared,
            .admin = config->api_admin, .config = config,
            .open = open_reader, .opened = say_ready, .limits_now = limits_now,
            .open_context = &source, .limits = limits_of(config),
            .answers_max = config->http_answers_max, .hosts = config->http_hosts,
            .host_count = config->http_host_count, .cors = config->http_cors,
            .cors_count = config->http_cors_count, .trusted = weir_config_trusted(config)};
        err = serve(base, &api);
        event_base_free(base);
    }
    if (source.shared != NULL)
        weir_shared_unmap(source.shared);
    return err;
}

int
main(int argc, char **argv)
{
    static struct options options;
    weir_process_begin();
    weir_process_serve();
    weir_process_obey();
    weir_event_init("controlplane", WEIR_LEVEL_INFO);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            usage(stdout);
            return EXIT_SUCCESS;
        }
    }
    enum weir_err err = read_options(argc, argv, &options);
    if (err == WEIR_OK) {
        weir_event_init("controlplane", (enum weir_level)options.config.log_level);
        err = run(&options);
    }
    if (err != WEIR_OK) {
        weir_event(WEIR_LEVEL_ERROR, "failed", "error=\"%s\" detail=\"%s\"", weir_err_text(err),
            weir_err_detail());
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
