#include "app/supervisor/supervisor.h"

#include "app/lasts.h"
#include "app/programs.h"
#include "app/supervisor/doubts.h"
#include "app/supervisor/filter.h"
#include "app/supervisor/instance.h"
#include "app/supervisor/process_figures.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/event.h"
#include "base/process.h"
#include "config/keys.h"
#include "config/live.h"
#include "controlplane/http/listen.h"
#include "dataplane/port/port.h"
#include "dataplane/port/socket.h"
#include "model/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS INT64_C(1000000) /* nanoseconds */
#define POLL_NS (10 * MS)   /* while something is not ready yet */
#define IDLE_NS (1000 * MS) /* else; a signal ends it */
#define LOCKS_NS (1000 * MS)
/* So that each idle round publishes. */
#define PUBLISH_NS (900 * MS)
/* A child that lived this long is restarted at once when it dies; one that did not waits, longer
 * each time, so that a crash loop leaves the machine usable. With the dataplane's start of 0.5 s
 * ingest is open again within 2 s in every case. */
#define STABLE_NS (1000 * MS)
#define BACKOFF_FIRST_NS (50 * MS)
#define BACKOFF_MOST_NS (1000 * MS)
/* A child that has never been ready and still ends with an error by then never will be. Until then
 * a port may be held by a former instance that is ending. */
#define GIVE_UP_NS (5000 * MS)
/* The control plane of an instance whose supervisor was killed has let go of its port by then. */
#define HTTP_WAIT_NS (2000 * MS)
/* SIGTERM ends an instance within 5 s. The dataplane counts what it could not make durable in
 * 4 s, and says so before this. */
#define STOP_DATAPLANE_NS (4400 * MS)
#define STOP_ALL_NS (4700 * MS)
/* The log's segments, sockets and connections; more is not needed. */
#define NOFILE_WANTED 262144

enum { DATAPLANE, CONTROLPLANE, CHILDREN };

struct child {
    const char *name;    /* of the pid file */
    const char *program;
    bool wanted;
    pid_t pid;           /* 0: not running */
    bool ready;
    bool was_ready;      /* in any of its lives */
    uint32_t starts;
    int64_t first_ns;    /* its first start */
    int64_t started_ns;
    int64_t restart_ns;  /* when to start it again */
    int64_t backoff_ns;
};

struct supervisor {
    const struct weir_supervisor_options *options;
    struct weir_config *config;
    struct weir_instance instance;
    struct weir_shared *shared;
    char programs[WEIR_CONFIG_PATH_MAX];
    struct child children[CHILDREN];
    struct weir_supervisor_filter filter;
    int udp_fds[WEIR_CONFIG_LISTENERS_MAX]; /* 0: not bound */
    uint32_t udp_count;
    int http_fd; /* listens; -1: no HTTP, or closed for the end */
    sigset_t signals;
    int signal_fd;
    bool announced;
    bool hangs; /* the dataplane, as was said last */
    int64_t locks_due_ns; /* next look at them */
    int64_t published_ns; /* the processes' figures */
    int64_t stopping_ns; /* 0: running */
    int exit_code;
};

static const char *
printable_http(const struct supervisor *supervisor, char *out, size_t size)
{
    const struct weir_config *config = supervisor->config;
    if (strchr(config->http_address, ':') != NULL)
        snprintf(out, size, "http://[%s]:%u", config->http_address, config->http_port);
    else
        snprintf(out, size, "http://%s:%u", config->http_address, config->http_port);
    return out;
}

static enum weir_err
find_programs(struct supervisor *supervisor, const char *given)
{
    char *out = supervisor->programs;
    if (given != NULL) {
        snprintf(out, sizeof supervisor->programs, "%s", given);
        return WEIR_OK;
    }
    return weir_programs_private(out, sizeof supervisor->programs);
}

static enum weir_err
make_shared(struct supervisor *supervisor)
{
    int fd;
    enum weir_err err = weir_shared_new(weir_config_frame_ring_bytes(supervisor->config), &fd);
    if (err != WEIR_OK)
        return err;
    /* children find it under this number; whatever we inherited there is not ours */
    if (fd != WEIR_SHARED_FD) {
        if (dup2(fd, WEIR_SHARED_FD) < 0)
            return weir_fail(WEIR_IO, errno, "dup2");
        close(fd);
    }
    return weir_shared_map(WEIR_SHARED_FD, &supervisor->shared);
}

/* Until open_signals: a start may wait for a lock, and SIGHUP would end it. It is followed when the
 * instance runs. */
static void
hold_hangup(void)
{
    sigset_t hangup;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    sigprocmask(SIG_BLOCK, &hangup, NULL);
}

/* One that was ignored when we began (nohup) stays so: blocked, it would come by the signalfd. */
static enum weir_err
open_signals(struct supervisor *supervisor)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    sigemptyset(&supervisor->signals);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction action;
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&supervisor->signals, numbers[i]);
    }
    sigprocmask(SIG_BLOCK, &supervisor->signals, NULL);
    supervisor->signal_fd = signalfd(-1, &supervisor->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (supervisor->signal_fd < 0)
        return weir_fail(WEIR_IO, errno, "signalfd");
    return WEIR_OK;
}

/* Binds the UDP listeners. What cannot be bound the dataplane tries itself, and says why. */
static void
bind_udp(struct supervisor *supervisor)
{
    const struct weir_config *config = supervisor->config;
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct weir_config_listener *listener = &config->listeners[i];
        if (listener->transport != WEIR_CONFIG_UDP)
            continue;
        struct weir_listen listen = {.port = listener->port,
            .v6_only = weir_config_v6_only(config, WEIR_CONFIG_UDP, listener->port)};
        snprintf(listen.address, sizeof listen.address, "%s", listener->address);
        int *fd = &supervisor->udp_fds[supervisor->udp_count++];
        if (weir_socket_bind(&listen, SOCK_DGRAM, fd) == WEIR_OK)
            (void)weir_socket_receive_buffer(*fd, config->udp_buffer_bytes);
        else
            *fd = 0;
    }
}

/* Listens for HTTP, before anything starts. */
static enum weir_err
listen_http(struct supervisor *supervisor)
{
    const struct weir_config *config = supervisor->config;
    int64_t until = weir_mono_ns() + HTTP_WAIT_NS;
    enum weir_err err = WEIR_OK;
    supervisor->http_fd = -1;
    if (config->http_port == 0)
        return WEIR_OK;
    while ((err = weir_http_listen(config->http_address, config->http_port,
                weir_config_v6_only(config, WEIR_CONFIG_TCP, config->http_port),
                &supervisor->http_fd)) == WEIR_BUSY && weir_mono_ns() < until)
        usleep(POLL_NS / 1000);
    return err;
}

/* In the control plane's child. */
static void
hand_over_http(const struct supervisor *supervisor, char *out, size_t size)
{
    fcntl(supervisor->http_fd, F_SETFD, 0);
    snprintf(out, size, "%d", supervisor->http_fd);
}

/* In the dataplane's child: keeps its sockets and lock over exec. out: their numbers. */
static void
hand_over_udp(struct supervisor *supervisor, char *out, size_t size)
{
    size_t at = 0;
    weir_locks_inherit(&supervisor->instance.locks);
    out[0] = '\0';
    for (uint32_t i = 0; i < supervisor->udp_count && at < size; i++) {
        int fd = supervisor->udp_fds[i];
        if (fd > 0)
            fcntl(fd, F_SETFD, 0);
        at += (size_t)snprintf(out + at, size - at, "%s%d", i > 0 ? "," : "", fd);
    }
}

/* In the child, after fork: its own process group (Ctrl-C reaches us, and we end the children in
 * their order), our death as its SIGTERM, and exec. */
static _Noreturn void
become_child(struct supervisor *supervisor, const struct child *child, pid_t parent)
{
    char program[WEIR_CONFIG_PATH_MAX + 32];
    char parent_text[16];
    snprintf(program, sizeof program, "%s/%s", supervisor->programs, child->program);
    snprintf(parent_text, sizeof parent_text, "%d", (int)parent);
    setpgid(0, 0);
    sigprocmask(SIG_UNBLOCK, &supervisor->signals, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
        _exit(EXIT_FAILURE);
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0 && null != STDIN_FILENO) {
        dup2(null, STDIN_FILENO);
        close(null);
    }
    char fds[WEIR_CONFIG_LISTENERS_MAX * 12] = "";
    bool dataplane = child == &supervisor->children[DATAPLANE];
    if (dataplane)
        hand_over_udp(supervisor, fds, sizeof fds);
    else
        hand_over_http(supervisor, fds, sizeof fds);
    const char *option = dataplane ? "--udp-fds" : "--http-fd";
    execl(program, child->program, "--config", supervisor->instance.config_path, "--parent",
        parent_text, fds[0] != '\0' ? option : NULL, fds, (char *)NULL);
    weir_event(WEIR_LEVEL_ERROR, "exec_failed", "program=\"%s\" reason=\"%s\"", program,
        strerror(errno));
    _exit(WEIR_EXIT_CONFIG);
}

static void
start_child(struct supervisor *supervisor, struct child *child)
{
    pid_t parent = getpid();
    if (child == &supervisor->children[DATAPLANE])
        weir_supervisor_filter_detach(&supervisor->filter);
    child->starts++;
    child->ready = false;
    child->started_ns = weir_mono_ns();
    if (child->starts == 1)
        child->first_ns = child->started_ns;
    child->pid = fork();
    if (child->pid == 0)
        become_child(supervisor, child, parent);
    if (child->pid < 0) {
        child->pid = 0;
        child->restart_ns = child->started_ns + BACKOFF_MOST_NS;
        weir_event(WEIR_LEVEL_ERROR, "fork_failed", "child=%s reason=\"%s\"", child->name,
            strerror(errno));
        return;
    }
    weir_instance_set_pid(&supervisor->instance, child->name, child->pid);
    weir_event(WEIR_LEVEL_INFO, "child_started", "child=%s pid=%d start=%u", child->name,
        (int)child->pid, child->starts);
}

static void
begin_stop(struct supervisor *supervisor, int exit_code)
{
    if (supervisor->stopping_ns != 0)
        return;
    supervisor->stopping_ns = weir_mono_ns();
    supervisor->exit_code = exit_code;
    struct child *first = &supervisor->children[DATAPLANE];
    if (first->pid != 0)
        kill(first->pid, SIGTERM);
    /* the control plane has it too, until its end; behind that nobody would answer */
    if (supervisor->http_fd >= 0)
        close(supervisor->http_fd);
    supervisor->http_fd = -1;
}

/* Whether this death says that the instance cannot run; then the others are stopped. */
static bool
give_up(struct supervisor *supervisor, const struct child *child, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    int64_t tried = weir_mono_ns() - child->first_ns;
    if (child->was_ready)
        return false;
    if (code == WEIR_EXIT_CONFIG) {
        weir_event(WEIR_LEVEL_ERROR, "start_refused", "child=%s", child->name);
        begin_stop(supervisor, WEIR_EXIT_CONFIG);
        return true;
    }
    if (code == EXIT_FAILURE && child->starts > 1 && tried > GIVE_UP_NS) {
        weir_event(WEIR_LEVEL_ERROR, "start_failed", "child=%s starts=%u tried_ms=%lld",
            child->name, child->starts, (long long)(tried / MS));
        begin_stop(supervisor, EXIT_FAILURE);
        return true;
    }
    return false;
}

/* What is said of a death, and when the child may live again. */
static void
child_died(struct supervisor *supervisor, struct child *child, int status)
{
    int64_t now = weir_mono_ns();
    int64_t lived = now - child->started_ns;
    child->pid = 0;
    child->ready = false;
    weir_instance_set_pid(&supervisor->instance, child->name, 0);
    if (child == &supervisor->children[DATAPLANE]) {
        supervisor->hangs = false;
        /* release pairs with readers' acquire: what the dead one held in flight is gone */
        atomic_store_explicit(&supervisor->shared->epoch, 0, memory_order_release);
        /* relaxed: it carries no data */
        atomic_store_explicit(&supervisor->shared->state, WEIR_INGEST_STARTING,
            memory_order_relaxed);
    } else {
        /* relaxed: read by this thread alone until the next control plane sets it. The number may
         * come again, and would be taken for the new one's word. */
        atomic_store_explicit(&supervisor->shared->http_pid, 0, memory_order_relaxed);
    }
    if (supervisor->stopping_ns != 0 || give_up(supervisor, child, status))
        return;
    if (lived >= STABLE_NS || child->starts == 1)
        child->backoff_ns = 0;
    child->restart_ns = now + child->backoff_ns;
    weir_event(WEIR_LEVEL_WARN, "child_died", "child=%s %s=%d lived_ms=%lld restart_in_ms=%lld",
        child->name, WIFSIGNALED(status) ? "signal" : "exit_code",
        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), (long long)(lived / MS),
        (long long)(child->backoff_ns / MS));
    child->backoff_ns =
        child->backoff_ns == 0 ? BACKOFF_FIRST_NS : child->backoff_ns * 2;
    if (child->backoff_ns > BACKOFF_MOST_NS)
        child->backoff_ns = BACKOFF_MOST_NS;
}

static void
reap_children(struct supervisor *supervisor)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (int i = 0; i < CHILDREN; i++)
            if (supervisor->children[i].pid == pid)
                child_died(supervisor, &supervisor->children[i], status);
}

static void
start_children(struct supervisor *supervisor)
{
    int64_t now = weir_mono_ns();
    for (int i = 0; i < CHILDREN; i++) {
        struct child *child = &supervisor->children[i];
        if (child->wanted && child->pid == 0 && now >= child->restart_ns)
            start_child(supervisor, child);
    }
}

static bool
child_ready(const struct supervisor *supervisor, int which)
{
    if (which == CONTROLPLANE) {
        /* its own word, since the port may be another process's; acquire pairs with the release in
         * say_ready (app/main_controlplane.c) */
        uint32_t pid = atomic_load_explicit(&supervisor->shared->http_pid, memory_order_acquire);
        return pid == (uint32_t)supervisor->children[which].pid;
    }
    /* acquire pairs with the release in announce (app/dataplane/dataplane.c), before which state
     * was set; a full disk or a closed log is an answer too, which /healthz explains */
    return atomic_load_explicit(&supervisor->shared->epoch, memory_order_acquire) != 0 &&
        atomic_load_explicit(&supervisor->shared->state, memory_order_relaxed) !=
        WEIR_INGEST_STARTING;
}

/* Where one asks, and where one sends to. */
static void
announce(struct supervisor *supervisor)
{
    const struct weir_config *config = supervisor->config;
    char address[128];
    char listeners[WEIR_CONFIG_LISTENERS_MAX * 96] = "";
    size_t used = 0;
    supervisor->announced = true;
    bool http = supervisor->children[CONTROLPLANE].wanted;
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct weir_config_listener *listener = &config->listeners[i];
        config_address_text(listener->address, listener->port, address, sizeof address);
        used += (size_t)snprintf(listeners + used, sizeof listeners - used, ", %s %s %s",
            config_protos[listener->proto], config_transports[listener->transport], address);
    }
    weir_line_print(stdout, "weir is ready: %s%s (data in %s, pid %d)",
        http ? printable_http(supervisor, address, sizeof address) : "no HTTP API", listeners,
        config->data, (int)getpid());
    fflush(stdout);
}
_Static_assert(sizeof ", graphite udp [0000:0000:0000:0000:0000:0000:255.255.255.255]:65535" <= 96,
    "room for every listener");

/* Looks whether children have become ready. True when all are. */
static bool
watch_children(struct supervisor *supervisor)
{
    bool all = true;
    for (int i = 0; i < CHILDREN; i++) {
        struct child *child = &supervisor->children[i];
        if (!child->wanted)
            continue;
        if (child->pid != 0 && !child->ready && child_ready(supervisor, i)) {
            child->ready = child->was_ready = true;
            weir_event(WEIR_LEVEL_INFO, "child_ready", "child=%s pid=%d after_ms=%lld", child->name,
                (int)child->pid, (long long)((weir_mono_ns() - child->started_ns) / MS));
            if (i == DATAPLANE)
                weir_supervisor_filter_apply(&supervisor->filter);
        }
        all = all && child->ready;
    }
    if (all && !supervisor->announced)
        announce(supervisor);
    return all;
}

/* Says when a ready dataplane does not go on, and when it does again. It is not killed for that: a
 * debugger may hold it, or a device that is slow, and what it has taken would be lost. */
static void
watch_heartbeat(struct supervisor *supervisor)
{
    const struct child *dataplane = &supervisor->children[DATAPLANE];
    if (!dataplane->ready)
        return;
    int64_t age_ns = weir_heartbeat_age_ns(&supervisor->shared->heartbeats, weir_mono_ns());
    bool hangs = age_ns > WEIR_HEARTBEAT_HANGS_NS;
    if (hangs == supervisor->hangs)
        return;
    supervisor->hangs = hangs;
    if (hangs)
        weir_event(WEIR_LEVEL_WARN, "dataplane_hangs", "pid=%d heartbeat_age_ms=%lld",
            (int)dataplane->pid, (long long)(age_ns / MS));
    else
        weir_event(WEIR_LEVEL_INFO, "dataplane_answers", "pid=%d", (int)dataplane->pid);
}

/* Once a second, and at once where a child has started or died. */
static void
publish_processes(struct supervisor *supervisor)
{
    const pid_t pids[WEIR_PROCESS_COUNT] = {[WEIR_PROCESS_SUPERVISOR] = getpid(),
        [WEIR_PROCESS_DATAPLANE] = supervisor->children[DATAPLANE].pid,
        [WEIR_PROCESS_CONTROLPLANE] = supervisor->children[CONTROLPLANE].pid};
    struct weir_process_view *views = supervisor->shared->processes.at;
    int64_t now_ns = weir_mono_ns();
    bool due = now_ns - supervisor->published_ns >= PUBLISH_NS;
    for (int i = 0; i < WEIR_PROCESS_COUNT; i++)
        due |= atomic_load_explicit(&views[i].pid, memory_order_relaxed) != (uint64_t)pids[i];
    if (!due)
        return;
    supervisor->published_ns = now_ns;
    for (int i = 0; i < WEIR_PROCESS_COUNT; i++)
        weir_process_publish(&views[i], pids[i]);
}

/* One round of ending. True when every child is gone. */
static bool
stop_children(struct supervisor *supervisor)
{
    struct child *dataplane = &supervisor->children[DATAPLANE];
    struct child *controlplane = &supervisor->children[CONTROLPLANE];
    int64_t passed = weir_mono_ns() - supervisor->stopping_ns;
    if (dataplane->pid != 0 && passed > STOP_DATAPLANE_NS) {
        weir_event(WEIR_LEVEL_WARN, "child_killed", "child=%s", dataplane->name);
        kill(dataplane->pid, SIGKILL);
    }
    /* the last ledger can be read over HTTP until the dataplane is gone */
    if (controlplane->pid != 0 && dataplane->pid == 0)
        kill(controlplane->pid, passed > STOP_ALL_NS ? SIGKILL : SIGTERM);
    return dataplane->pid == 0 && controlplane->pid == 0;
}

/* A pipe was read when the instance started. It would be found empty now, or hold us up. */
static enum weir_err
check_readable_again(const char *file)
{
    struct stat status;
    if (file[0] == '\0' || stat(file, &status) != 0 || S_ISREG(status.st_mode))
        return WEIR_OK; /* one that is not there the loading names */
    return weir_fail(WEIR_INVALID, 0, "%s is no regular file: it can be read at the start alone",
        file);
}

static char first_mistake[400];

static void
note_mistake(const char *text)
{
    if (first_mistake[0] == '\0')
        snprintf(first_mistake, sizeof first_mistake, "%s", text);
}

/* The configuration as file and options are now; the detail names the first mistake. */
static enum weir_err
read_again(const struct weir_supervisor_options *options, struct weir_config *wanted)
{
    struct weir_config_mistakes mistakes = {.say = note_mistake};
    first_mistake[0] = '\0';
    weir_config_init(wanted);
    wanted->origin.mistakes = &mistakes;
    enum weir_err err = weir_config_arguments(wanted, options->argc, options->argv);
    if (err == WEIR_OK)
        err = weir_config_check(wanted);
    wanted->origin.mistakes = NULL;
    if (err == WEIR_OK || mistakes.count == 0)
        return err;
    if (mistakes.count == 1)
        return weir_fail(WEIR_INVALID, 0, "%s", first_mistake);
    return weir_fail(WEIR_INVALID, 0, "%s; and %u more, which weir check names", first_mistake,
        mistakes.count - 1);
}

/* Follows the configuration as its options and its file say now. Children that run read the values
 * in the shared region, those that start later the file of the instance. */
static enum weir_err
reload(struct supervisor *supervisor, struct weir_config_changes *changes)
{
    static struct weir_config wanted;
    enum weir_err err = check_readable_again(supervisor->config->origin.file);
    if (err == WEIR_OK)
        err = read_again(supervisor->options, &wanted);
    if (err == WEIR_OK)
        err = weir_config_apply_live(supervisor->config, &wanted, changes);
    if (err != WEIR_OK)
        return err;
    weir_event_level(supervisor->config->log_level);
    weir_live_set(&supervisor->shared->live, supervisor->config);
    if (weir_instance_write_config(&supervisor->instance) != WEIR_OK)
        weir_event(WEIR_LEVEL_WARN, "reload_not_kept",
            "effect=\"a process that is started again has the values before\" reason=\"%s\"",
            weir_err_detail());
    return WEIR_OK;
}

/* By SIGHUP, or for `weir reload`, whose answer goes to out. */
static void
report_reload(void *context, FILE *out)
{
    struct weir_config_changes changes = {0};
    if (reload(context, &changes) != WEIR_OK) {
        weir_event(WEIR_LEVEL_ERROR, "reload_refused", "reason=\"%s\"", weir_err_detail());
        if (out != NULL)
            fprintf(out, "error %s\n", weir_err_detail());
        return;
    }
    bool waits = changes.needs_restart[0] != '\0';
    weir_event(WEIR_LEVEL_INFO, "reloaded", "taken=\"%s\"", changes.taken);
    if (waits)
        weir_event(WEIR_LEVEL_WARN, "reload_needs_restart", "keys=\"%s\"", changes.needs_restart);
    if (out == NULL)
        return;
    fprintf(out, "ok\ntaken: %s\n", changes.taken[0] != '\0' ? changes.taken : "nothing");
    if (waits)
        fprintf(out, "needs a restart: %s\n", changes.needs_restart);
}

static void
handle_signal(struct supervisor *supervisor, uint32_t number)
{
    if (number == SIGTERM || number == SIGINT) {
        weir_event(WEIR_LEVEL_INFO, "stopping", "signal=%u", number);
        begin_stop(supervisor, EXIT_SUCCESS);
    } else if (number == SIGHUP && supervisor->stopping_ns == 0) {
        report_reload(supervisor, NULL);
    }
}

/* Waits for a signal, and answers `weir filter` meanwhile. */
static void
wait_events(struct supervisor *supervisor, int64_t wait_ns)
{
    struct pollfd waits[2] = {{.fd = supervisor->signal_fd, .events = POLLIN},
        {.fd = weir_supervisor_filter_fd(&supervisor->filter), .events = POLLIN}};
    struct signalfd_siginfo info;
    if (poll(waits, 2, (int)(wait_ns / MS)) < 0)
        return;
    while (read(supervisor->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        handle_signal(supervisor, info.ssi_signo);
    if (waits[1].fd >= 0)
        weir_supervisor_filter_serve(&supervisor->filter);
}

/* Nobody else may write to DATA, and nothing may be written to another folder in its place: where
 * that is no longer sure, the instance ends. */
static void
watch_locks(struct supervisor *supervisor)
{
    int64_t now = weir_mono_ns();
    if (now < supervisor->locks_due_ns)
        return;
    supervisor->locks_due_ns = now + LOCKS_NS;
    if (weir_locks_watch(&supervisor->instance.locks) == WEIR_OK)
        return;
    weir_event(WEIR_LEVEL_ERROR, "data_lost", "reason=\"%s\"", weir_err_detail());
    begin_stop(supervisor, EXIT_FAILURE);
}

static void
supervise(struct supervisor *supervisor)
{
    for (;;) {
        reap_children(supervisor);
        if (supervisor->stopping_ns != 0) {
            if (stop_children(supervisor))
                return;
            wait_events(supervisor, POLL_NS);
            continue;
        }
        start_children(supervisor);
        bool all = watch_children(supervisor);
        watch_heartbeat(supervisor);
        publish_processes(supervisor);
        watch_locks(supervisor);
        wait_events(supervisor, all ? IDLE_NS : POLL_NS);
    }
}

static void
print_reasons(const char *unit, const char *class, const uint64_t *counts)
{
    for (int reason = 0; reason < WEIR_REASON_COUNT; reason++)
        if (counts[reason] != 0)
            weir_event(WEIR_LEVEL_INFO, "ledger_reason", "unit=%s class=%s reason=%s count=%llu",
                unit, class, weir_reason_names[reason], (unsigned long long)counts[reason]);
}

/* The sums of the dataplane's last life, once it is gone: what was received is accounted for. */
static void
print_ledger(struct supervisor *supervisor)
{
    static struct weir_ledger_sum sum; /* told also where memory is short */
    if (weir_ledger_read(&supervisor->shared->ledger, &sum) != WEIR_OK)
        return;
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        const struct weir_ledger_unit *total = &sum.total.unit[unit];
        uint64_t rejected = 0;
        uint64_t dropped = 0;
        for (int reason = 0; reason < WEIR_REASON_COUNT; reason++) {
            rejected += total->rejected[reason];
            dropped += total->dropped[reason];
        }
        weir_event(WEIR_LEVEL_INFO, "ledger",
            "unit=%s received=%llu stored=%llu rejected=%llu dropped=%llu in_flight=%llu "
            "residual=%lld", weir_unit_names[unit], (unsigned long long)total->received,
            (unsigned long long)total->stored, (unsigned long long)rejected,
            (unsigned long long)dropped, (unsigned long long)sum.in_flight[unit],
            (long long)sum.residual[unit]);
    }
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        print_reasons(weir_unit_names[unit], "rejected", sum.total.unit[unit].rejected);
        print_reasons(weir_unit_names[unit], "dropped", sum.total.unit[unit].dropped);
    }
}

static void
report_doubt(const char *text)
{
    weir_event(WEIR_LEVEL_WARN, "doubtful_configuration", "reason=\"%s\"", text);
}

int
weir_supervisor_run(const struct weir_supervisor_options *options)
{
    static struct supervisor supervisor;
    supervisor = (struct supervisor){.options = options, .config = options->config,
        .children = {[DATAPLANE] = {.name = "dataplane", .program = "weir-dataplane",
                         .wanted = true},
            [CONTROLPLANE] = {.name = "controlplane", .program = "weir-controlplane",
                .wanted = options->config->http_port != 0}}};
    hold_hangup();
    weir_process_serve();
    weir_event_init("supervisor", options->config->log_level);
    weir_process_raise_limits(NOFILE_WANTED);
    weir_doubts(options->config, report_doubt);
    enum weir_err err = find_programs(&supervisor, options->programs);
    if (err == WEIR_OK)
        err = make_shared(&supervisor);
    if (err == WEIR_OK)
        err = weir_instance_open(&supervisor.instance, options->config);
    bool opened = err == WEIR_OK;
    if (err == WEIR_OK)
        err = listen_http(&supervisor);
    if (err == WEIR_OK)
        err = weir_supervisor_filter_open(&supervisor.filter, options->config);
    if (err == WEIR_OK)
        err = open_signals(&supervisor);
    if (err != WEIR_OK) {
        weir_event(WEIR_LEVEL_ERROR, "start_failed", "error=\"%s\" reason=\"%s\"",
            weir_err_text(err), weir_err_detail());
        if (opened)
            weir_instance_close(&supervisor.instance);
        /* an address in use may be free the next time, and so may the data */
        return err != WEIR_BUSY && weir_error_lasts(err) ? WEIR_EXIT_CONFIG : EXIT_FAILURE;
    }
    supervisor.filter.reload = report_reload;
    supervisor.filter.reload_context = &supervisor;
    bind_udp(&supervisor);
    supervise(&supervisor);
    weir_supervisor_filter_detach(&supervisor.filter);
    weir_supervisor_filter_close(&supervisor.filter);
    if (supervisor.children[DATAPLANE].was_ready || supervisor.exit_code == EXIT_SUCCESS)
        print_ledger(&supervisor);
    weir_instance_close(&supervisor.instance);
    weir_event(WEIR_LEVEL_INFO, "stopped", "exit_code=%d", supervisor.exit_code);
    return supervisor.exit_code;
}
