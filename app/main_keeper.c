/* weir-keeper: merges the log into compressed parts, in a process of its own.
 *
 * Started by the supervisor with a checked configuration and the shared region as descriptor
 * WEIR_SHARED_FD:
 *
 *   weir-keeper --config FILE --parent PID
 *
 * It may be killed at any moment: the unit at hand is merged again.
 *
 * Exit codes: 0 stopped as asked, 1 failed at start, 2 failed where another start with the same
 * configuration and data would fail again.
 */
#include "app/sandbox.h"
#include "base/event.h"
#include "base/process.h"
#include "config/config.h"
#include "model/shared.h"
#include "storage/keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define EXIT_REFUSED 2
#define PATH_ROOM (WEIR_CONFIG_PATH_MAX + 16)
/* Between two looks at the log where nothing is due. */
#define LOOK_NS 50000000
/* Of keeper.memory: a sample takes 24 bytes, a series 4, an entry of the part writer's tables 56.
 */
#define SAMPLE_SHARE 2
#define SERIES_SHARE 8
#define SAMPLES_MAX (1u << 20) /* a slice that the third-level cache holds is merged fastest */
#define SERIES_MAX (1u << 22)
#define WRITER_ENTRIES (1u << 17)
/* Partitions of a day where samples are kept for longer than 60 days: a manifest has room for 8,192
 * partitions, which are then 22 years. */
#define HOURS_MS INT64_C(7200000)
#define DAY_MS INT64_C(86400000)
#define SHORT_MS (60 * DAY_MS)

struct arguments {
    const char *config;
    pid_t parent;
};

static volatile sig_atomic_t stop_asked;

static void
on_stop(int number)
{
    (void)number;
    stop_asked = 1;
}

static bool
parse_arguments(int argc, char **argv, struct arguments *out)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
        {"parent", required_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
    *out = (struct arguments){.config = NULL};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'c')
            out->config = optarg;
        else if (option == 'p')
            out->parent = (pid_t)atoi(optarg);
        else
            return false;
    }
    return out->config != NULL && optind == argc;
}

/* The signal comes when the parent ends from now on; the check is for one that ended before. */
static bool
follow_parent(pid_t parent)
{
    return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent;
}

/* Held until the process ends. WEIR_BUSY where another keeper has the store. */
static enum weir_err
lock_store(const char *store)
{
    char path[PATH_ROOM + 8];
    snprintf(path, sizeof path, "%s/lock", store);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return weir_fail(weir_err_of_errno(errno), errno, "open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return WEIR_OK;
    int errnum = errno;
    close(fd);
    return errnum == EWOULDBLOCK ? weir_fail(WEIR_BUSY, 0, "another keeper has %s", path)
                                 : weir_fail(WEIR_IO, errnum, "lock %s", path);
}

static uint64_t
random_id(void *context)
{
    (void)context;
    uint64_t id = 0;
    while (id == 0)
        if (getrandom(&id, sizeof id, 0) != sizeof id)
            id = 0;
    return id;
}

static uint32_t
at_most(uint64_t wanted, uint32_t most)
{
    return wanted < most ? (uint32_t)wanted : most;
}

/* Its files are open: from now on it reads the log and writes the store. */
static void
enter_sandbox(const char *log, const char *stream, const char *store, const char *aside)
{
    const struct weir_sandbox_path paths[] = {{log, false}, {stream, false}, {store, true},
        {aside, true}, {"/proc/self", false}, {"/sys/devices/system/cpu", false}};
    struct weir_sandbox_options options = {.process = "keeper",
        .paths = paths,
        .path_count = sizeof paths / sizeof paths[0],
        .reach = store};
    weir_sandbox_enter(&options);
}

static void
merge(struct weir_keeper *keeper)
{
    const struct timespec look = {.tv_nsec = LOOK_NS};
    while (!stop_asked)
        if (!weir_keeper_run_once(keeper))
            clock_nanosleep(CLOCK_MONOTONIC, 0, &look, NULL);
}

/* The store is open, and the supervisor calls that ready. */
static void
say_ready(struct weir_shared *shared)
{
    /* release pairs with the acquire in child_ready (app/supervisor/children.c) */
    atomic_store_explicit(&shared->keeper.pid, (uint32_t)getpid(), memory_order_release);
}

static enum weir_err
run_on(const struct weir_config *config, struct weir_shared *shared, struct weir_io *io)
{
    char log[PATH_ROOM], stream[PATH_ROOM], store[PATH_ROOM], aside[PATH_ROOM];
    snprintf(log, sizeof log, "%s/log", config->data);
    snprintf(stream, sizeof stream, "%s/log/0", config->data); /* may be a link elsewhere */
    snprintf(store, sizeof store, "%s/store", config->data);
    snprintf(aside, sizeof aside, "%s/aside", config->data);
    enum weir_err err = weir_io_mkdir(io, store);
    if (err == WEIR_OK)
        err = lock_store(store);
    if (err != WEIR_OK)
        return err;
    const struct weir_keeper_options options = {.log = stream,
        .store = store,
        .aside = aside,
        .shared = shared,
        .io = io,
        .random = random_id,
        .gather = {.samples_max =
                       at_most(config->keeper_memory_bytes / SAMPLE_SHARE / 24, SAMPLES_MAX),
            .series_max = at_most(config->keeper_memory_bytes / SERIES_SHARE / 4, SERIES_MAX)},
        .writer = {.blocks_max = WRITER_ENTRIES, .columns_max = WRITER_ENTRIES},
        .frames_max = WEIR_KEEPER_FRAMES_MAX,
        .age_max_ms = config->keeper_merge_interval_ms,
        .partition_ms = config->retention_raw_ms > SHORT_MS ? DAY_MS : HOURS_MS,
        .retention_ms = config->retention_raw_ms};
    struct weir_keeper *keeper;
    err = weir_keeper_open(&options, &keeper);
    if (err != WEIR_OK)
        return err;
    enter_sandbox(log, stream, store, aside);
    say_ready(shared);
    merge(keeper);
    weir_keeper_close(keeper);
    return WEIR_OK;
}

static enum weir_err
run(const struct weir_config *config)
{
    struct weir_shared *shared;
    struct weir_io *io;
    const struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    enum weir_err err = weir_shared_map(WEIR_SHARED_FD, &shared);
    if (err != WEIR_OK)
        return err;
    err = weir_io_new(&options, &io);
    if (err == WEIR_OK) {
        err = run_on(config, shared, io);
        weir_io_free(io);
    }
    weir_shared_unmap(shared);
    return err;
}

int
main(int argc, char **argv)
{
    struct arguments arguments;
    struct sigaction action = {.sa_handler = on_stop};
    static struct weir_config config;
    weir_process_begin();
    weir_process_serve();
    weir_process_obey();
    weir_event_init("keeper", WEIR_LEVEL_INFO);
    if (!parse_arguments(argc, argv, &arguments)) {
        weir_event(WEIR_LEVEL_ERROR, "usage", "hint=\"started by weir run\"");
        return EXIT_REFUSED;
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (arguments.parent != 0 && !follow_parent(arguments.parent))
        return EXIT_SUCCESS;
    weir_config_init(&config);
    if (weir_config_load(&config, arguments.config) != WEIR_OK ||
        weir_config_check(&config) != WEIR_OK) {
        weir_event(WEIR_LEVEL_ERROR, "bad_configuration", "reason=\"%s\"", weir_err_detail());
        return EXIT_REFUSED;
    }
    weir_event_init("keeper", config.log_level);
    enum weir_err err = run(&config);
    if (err != WEIR_OK) {
        weir_event(WEIR_LEVEL_ERROR, "start_failed", "error=\"%s\" reason=\"%s\"",
            weir_err_text(err), weir_err_detail());
        return err == WEIR_UNSUPPORTED || err == WEIR_CORRUPT ? EXIT_REFUSED : EXIT_FAILURE;
    }
    weir_event(WEIR_LEVEL_INFO, "stopped", "asked=%d", (int)stop_asked);
    return EXIT_SUCCESS;
}
