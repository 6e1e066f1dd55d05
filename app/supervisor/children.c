/* The children of the supervisor: their start, readiness, death and end. */
#include "app/supervisor/parts.h"
#include "base/clock.h"
#include "base/event.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that lived this long is restarted at once when it dies. One that did not waits, longer
 * each time: a crash loop leaves the machine usable. With the dataplane's start of 0.5 s ingest is
 * open again within 2 s in every case. */
#define STABLE_NS (1000 * MS)
#define BACKOFF_FIRST_NS (50 * MS)
#define BACKOFF_MOST_NS (1000 * MS)
/* A child that has never been ready and still ends with an error by then never will be. Until then
 * a port may be held by a former instance that is ending. */
#define GIVE_UP_NS (5000 * MS)
/* SIGTERM ends an instance within 5 s. After 4 s the dataplane counts and reports the samples that
 * it could not make durable. */
#define STOP_DATAPLANE_NS (4400 * MS)
#define STOP_ALL_NS (4700 * MS)

/* In the control plane's child. */
static void
hand_over_http(const struct weir_supervisor *supervisor, char *out, size_t size)
{
    fcntl(supervisor->http_fd, F_SETFD, 0);
    snprintf(out, size, "%d", supervisor->http_fd);
}

/* In the dataplane's child: keeps its sockets and lock over exec. out: their numbers. */
static void
hand_over_udp(struct weir_supervisor *supervisor, char *out, size_t size)
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
become_child(struct weir_supervisor *supervisor, const struct weir_child *child, pid_t parent)
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
    const char *option = NULL;
    if (child == &supervisor->children[DATAPLANE]) {
        option = "--udp-fds";
        hand_over_udp(supervisor, fds, sizeof fds);
    } else if (child == &supervisor->children[CONTROLPLANE]) {
        option = "--http-fd";
        hand_over_http(supervisor, fds, sizeof fds);
    }
    execl(program, child->program, "--config", supervisor->instance.config_path, "--parent",
        parent_text, fds[0] != '\0' ? option : NULL, fds, (char *)NULL);
    weir_event(WEIR_LEVEL_ERROR, "exec_failed", "program=\"%s\" reason=\"%s\"", program,
        strerror(errno));
    _exit(WEIR_EXIT_CONFIG);
}

static void
start_child(struct weir_supervisor *supervisor, struct weir_child *child)
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

void
weir_supervisor_stop(struct weir_supervisor *supervisor, int exit_code)
{
    if (supervisor->stopping_ns != 0)
        return;
    supervisor->stopping_ns = weir_mono_ns();
    supervisor->exit_code = exit_code;
    struct weir_child *first = &supervisor->children[DATAPLANE];
    if (first->pid != 0)
        kill(first->pid, SIGTERM);
    /* the control plane has it too, until its end; after that nobody would answer */
    if (supervisor->http_fd >= 0)
        close(supervisor->http_fd);
    supervisor->http_fd = -1;
}

/* Whether this death says that the instance cannot run; then the others are stopped. */
static bool
give_up(struct weir_supervisor *supervisor, const struct weir_child *child, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    int64_t tried = weir_mono_ns() - child->first_ns;
    if (child->was_ready || child == &supervisor->children[KEEPER])
        return false; /* ingest and queries go on without a keeper */
    if (code == WEIR_EXIT_CONFIG) {
        weir_event(WEIR_LEVEL_ERROR, "start_refused", "child=%s", child->name);
        weir_supervisor_stop(supervisor, WEIR_EXIT_CONFIG);
        return true;
    }
    if (code == EXIT_FAILURE && child->starts > 1 && tried > GIVE_UP_NS) {
        weir_event(WEIR_LEVEL_ERROR, "start_failed", "child=%s starts=%u tried_ms=%lld",
            child->name, child->starts, (long long)(tried / MS));
        weir_supervisor_stop(supervisor, EXIT_FAILURE);
        return true;
    }
    return false;
}

/* Reports a death, and sets the time of the next start. */
static void
child_died(struct weir_supervisor *supervisor, struct weir_child *child, int status)
{
    int64_t now = weir_mono_ns();
    int64_t lived = now - child->started_ns;
    child->pid = 0;
    child->ready = false;
    weir_instance_set_pid(&supervisor->instance, child->name, 0);
    if (child == &supervisor->children[DATAPLANE]) {
        supervisor->hangs = false;
        /* release pairs with readers' acquire: the dead one has nothing in flight any more */
        atomic_store_explicit(&supervisor->shared->epoch, 0, memory_order_release);
        /* relaxed: it carries no data */
        atomic_store_explicit(&supervisor->shared->state, WEIR_INGEST_STARTING,
            memory_order_relaxed);
    } else if (child == &supervisor->children[KEEPER]) {
        /* relaxed: read by this thread alone until the next keeper sets it */
        atomic_store_explicit(&supervisor->shared->keeper.pid, 0, memory_order_relaxed);
    } else {
        /* relaxed: read by this thread alone until the next control plane sets it. The number may
         * be given to another process, whose readiness it would seem to be. */
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

void
weir_supervisor_reap(struct weir_supervisor *supervisor)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (int i = 0; i < CHILDREN; i++)
            if (supervisor->children[i].pid == pid)
                child_died(supervisor, &supervisor->children[i], status);
}

void
weir_supervisor_start(struct weir_supervisor *supervisor)
{
    int64_t now = weir_mono_ns();
    for (int i = 0; i < CHILDREN; i++) {
        struct weir_child *child = &supervisor->children[i];
        if (child->wanted && child->pid == 0 && now >= child->restart_ns)
            start_child(supervisor, child);
    }
}

static bool
child_ready(const struct weir_supervisor *supervisor, int which)
{
    if (which == KEEPER) {
        /* acquire pairs with the release in say_ready (app/main_keeper.c) */
        uint32_t pid = atomic_load_explicit(&supervisor->shared->keeper.pid, memory_order_acquire);
        return pid == (uint32_t)supervisor->children[which].pid;
    }
    if (which == CONTROLPLANE) {
        /* set by itself, because the port may be another process's; acquire pairs with the release
         * in say_ready (app/main_controlplane.c) */
        uint32_t pid = atomic_load_explicit(&supervisor->shared->http_pid, memory_order_acquire);
        return pid == (uint32_t)supervisor->children[which].pid;
    }
    /* acquire pairs with the release in announce (app/dataplane/dataplane.c), before which state
     * was set; a full disk or a closed log is an answer too, which /healthz explains */
    return atomic_load_explicit(&supervisor->shared->epoch, memory_order_acquire) != 0 &&
        atomic_load_explicit(&supervisor->shared->state, memory_order_relaxed) !=
        WEIR_INGEST_STARTING;
}

/* Looks whether children have become ready. True when all are. */
bool
weir_supervisor_watch(struct weir_supervisor *supervisor)
{
    bool all = true;
    for (int i = 0; i < CHILDREN; i++) {
        struct weir_child *child = &supervisor->children[i];
        if (!child->wanted)
            continue;
        if (child->pid != 0 && !child->ready && child_ready(supervisor, i)) {
            child->ready = child->was_ready = true;
            weir_event(WEIR_LEVEL_INFO, "child_ready", "child=%s pid=%d after_ms=%lld", child->name,
                (int)child->pid, (long long)((weir_mono_ns() - child->started_ns) / MS));
            if (i == DATAPLANE)
                weir_supervisor_filter_apply(&supervisor->filter);
        }
        all = all && (child->ready || i == KEEPER);
    }
    return all;
}

/* Reports that a ready dataplane does not go on, and that it does again. It is not killed for that:
 * a debugger may hold it, or a device that is slow, and its samples would be lost. */
void
weir_supervisor_watch_heartbeat(struct weir_supervisor *supervisor)
{
    const struct weir_child *dataplane = &supervisor->children[DATAPLANE];
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

/* One round of ending. True when every child is gone. */
bool
weir_supervisor_stop_children(struct weir_supervisor *supervisor)
{
    struct weir_child *dataplane = &supervisor->children[DATAPLANE];
    struct weir_child *controlplane = &supervisor->children[CONTROLPLANE];
    struct weir_child *keeper = &supervisor->children[KEEPER];
    int64_t passed = weir_mono_ns() - supervisor->stopping_ns;
    if (dataplane->pid != 0 && passed > STOP_DATAPLANE_NS) {
        weir_event(WEIR_LEVEL_WARN, "child_killed", "child=%s", dataplane->name);
        kill(dataplane->pid, SIGKILL);
    }
    /* the last ledger can be read over HTTP until the dataplane is gone */
    if (controlplane->pid != 0 && dataplane->pid == 0)
        kill(controlplane->pid, passed > STOP_ALL_NS ? SIGKILL : SIGTERM);
    if (keeper->pid != 0)
        kill(keeper->pid, passed > STOP_ALL_NS ? SIGKILL : SIGTERM);
    return dataplane->pid == 0 && controlplane->pid == 0 && keeper->pid == 0;
}
