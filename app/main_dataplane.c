/* weir-dataplane: started by the supervisor (or the benchmark) with a checked configuration.
 *
 *   weir-dataplane --config FILE [--parent PID] [--shared-fd N] [--ring-source-fd N]...
 *                  [--udp-fds N,N,...]
 *
 * --ring-source-fd may be given once a worker; the first is worker 0's.
 *
 * Exit codes: 0 stopped as asked, 1 failed at start, 2 failed where another start with the same
 * configuration and data would fail again.
 */
#include "app/dataplane/dataplane.h"
#include "app/lasts.h"
#include "app/sandbox.h"
#include "base/event.h"
#include "base/process.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define EXIT_REFUSED 2

static volatile sig_atomic_t stop_asked;

static void
on_stop(int number)
{
    (void)number;
    stop_asked = 1;
}

static void
install_signals(void)
{
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

/* The parent's death is a request to stop: flush and go. */
static bool
follow_parent(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
        return false;
    return getppid() == parent; /* else it died before the prctl */
}

struct arguments {
    const char *config;
    pid_t parent;
    int shared_fd;
    int ring_source_fds[WEIR_WORKERS_MAX];
    uint32_t ring_source_count;
    int udp_fds[WEIR_CONFIG_LISTENERS_MAX];
};

/* Descriptors parted by commas, in the order of the UDP listeners; 0 where there is none. */
static void
parse_fds(char *text, int *out)
{
    char *rest = NULL;
    int count = 0;
    for (char *word = strtok_r(text, ",", &rest);
         word != NULL && count < WEIR_CONFIG_LISTENERS_MAX; word = strtok_r(NULL, ",", &rest))
        out[count++] = atoi(word);
}

static bool
parse_arguments(int argc, char **argv, struct arguments *out)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
        {"parent", required_argument, NULL, 'p'}, {"shared-fd", required_argument, NULL, 's'},
        {"ring-source-fd", required_argument, NULL, 'r'},
        {"udp-fds", required_argument, NULL, 'u'}, {NULL, 0, NULL, 0}};
    *out = (struct arguments){.shared_fd = WEIR_SHARED_FD};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            out->config = optarg;
            break;
        case 'p':
            out->parent = (pid_t)atoi(optarg);
            break;
        case 's':
            out->shared_fd = atoi(optarg);
            break;
        case 'r':
            if (out->ring_source_count == WEIR_WORKERS_MAX)
                return false;
            out->ring_source_fds[out->ring_source_count++] = atoi(optarg);
            break;
        case 'u':
            parse_fds(optarg, out->udp_fds);
            break;
        default:
            return false;
        }
    }
    return out->config != NULL && optind == argc;
}

/* Its ports and its log are open: it keeps the rights that it needs from now on. */
static void
enter_sandbox(const struct weir_config *config)
{
    char log[WEIR_CONFIG_PATH_MAX + 16];
    char stream[WEIR_CONFIG_PATH_MAX + 16];
    char run[WEIR_CONFIG_PATH_MAX + 16];
    char eal[WEIR_CONFIG_PATH_MAX + 16];
    snprintf(log, sizeof log, "%s/log", config->data);
    snprintf(stream, sizeof stream, "%s/log/0", config->data); /* which may be a link elsewhere */
    snprintf(run, sizeof run, "%s/run", config->data);
    snprintf(eal, sizeof eal, "%s/run/dpdk", config->data);
    const struct weir_sandbox_path paths[] = {{log, true}, {stream, true}, {run, false},
        {eal, true}, {"/proc/self", false}, {"/sys/devices/system/cpu", false}};
    struct weir_sandbox_options options = {.process = "dataplane", .paths = paths,
        .path_count = sizeof paths / sizeof paths[0], .reach = stream};
    weir_sandbox_enter(&options);
}

int
main(int argc, char **argv)
{
    struct arguments arguments;
    weir_process_begin();
    weir_process_serve();
    weir_process_obey();
    weir_event_init("dataplane", WEIR_LEVEL_INFO);
    if (!parse_arguments(argc, argv, &arguments)) {
        weir_event(WEIR_LEVEL_ERROR, "usage", "hint=\"started by weir run\"");
        return EXIT_REFUSED;
    }
    install_signals();
    if (arguments.parent != 0 && !follow_parent(arguments.parent))
        return EXIT_SUCCESS;
    static struct weir_config config;
    weir_config_init(&config);
    if (weir_config_load(&config, arguments.config) != WEIR_OK ||
        weir_config_check(&config) != WEIR_OK) {
        weir_event(WEIR_LEVEL_ERROR, "bad_configuration", "reason=\"%s\"", weir_err_detail());
        return EXIT_REFUSED;
    }
    weir_event_init("dataplane", config.log_level);
    struct weir_dataplane_options options = {.config = &config,
        .shared_fd = arguments.shared_fd,
        .ring_source_count = arguments.ring_source_count};
    memcpy(options.ring_source_fds, arguments.ring_source_fds, sizeof options.ring_source_fds);
    memcpy(options.udp_fds, arguments.udp_fds, sizeof options.udp_fds);
    struct weir_dataplane *dataplane;
    enum weir_err err = weir_dataplane_open(&options, &dataplane);
    bool opened = err == WEIR_OK;
    int code = EXIT_SUCCESS;
    if (opened) {
        enter_sandbox(&config);
        err = weir_dataplane_run(dataplane, &stop_asked);
    }
    if (err != WEIR_OK) {
        weir_event(WEIR_LEVEL_ERROR, "start_failed", "error=\"%s\" reason=\"%s\"",
            weir_err_text(err), weir_err_detail());
        code = weir_error_lasts(err) ? EXIT_REFUSED : EXIT_FAILURE;
    }
    if (opened)
        weir_dataplane_close(dataplane);
    if (err != WEIR_OK)
        return code;
    weir_event(WEIR_LEVEL_INFO, "stopped", "asked=%d", (int)stop_asked);
    return EXIT_SUCCESS;
}
