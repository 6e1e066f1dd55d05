#include "app/supervisor/parts.h"

#include "app/lasts.h"
#include "app/programs.h"
#include "app/supervisor/doubts.h"
#include "app/supervisor/process_figures.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/event.h"
#include "base/process.h"
#include "config/keys.h"
#include "controlplane/http/listen.h"
#include "dataplane/port/port.h"
#include "dataplane/port/socket.h"
#include "model/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define POLL_NS (10 * MS)   /* while something is not ready yet */
#define IDLE_NS (1000 * MS) /* else; a signal ends it */
#define LOCKS_NS (1000 * MS)
/* So that each idle round publishes. */
#define PUBLISH_NS (900 * MS)
/* The control plane of an instance whose supervisor was killed has let go of its port by then. */
#define HTTP_WAIT_NS (2000 * MS)
/* The log's segments, sockets and connections; more is not needed. */
#define NOFILE_WANTED 262144

static const char *
printable_http(const struct weir_supervisor *supervisor, char *out, size_t size)
{
    const struct weir_config *config = supervisor->config;
    if (strchr(config->http_address, ':') != NULL)
        snprintf(out, size, "http://[%s]:%u", config->http_address, config->http_port);
    else
        snprintf(out, size, "http://%s:%u", config->http_address, config->http_port);
    return out;
}

static enum weir_err
find_programs(struct weir_supervisor *supervisor, const char *given)
{
    char *out = supervisor->programs;
    if (given != NULL) {
        snprintf(out, sizeof supervisor->programs, "%s", given);
        return WEIR_OK;
    }
    return weir_programs_private(out, sizeof supervisor->programs);
}

static enum weir_err
make_shared(struct weir_supervisor *supervisor)
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
open_signals(struct weir_supervisor *supervisor)
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

/* Binds the UDP listeners. The dataplane tries again to bind the others, and reports why it
 * cannot. */
static void
bind_udp(struct weir_supervisor *supervisor)
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
listen_http(struct weir_supervisor *supervisor)
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

/* Prints the addresses for queries and for samples. */
static void
announce(struct weir_supervisor *supervisor)
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

/* Once a second, and at once where a child has started or died. */
static void
publish_processes(struct weir_supervisor *supervisor)
{
    const pid_t pids[WEIR_PROCESS_COUNT] = {[WEIR_PROCESS_SUPERVISOR] = getpid(),
        [WEIR_PROCESS_DATAPLANE] = supervisor->children[DATAPLANE].pid,
        [WEIR_PROCESS_CONTROLPLANE] = supervisor->children[CONTROLPLANE].pid,
        [WEIR_PROCESS_KEEPER] = supervisor->children[KEEPER].pid};
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

static void
handle_signal(struct weir_supervisor *supervisor, uint32_t number)
{
    if (number == SIGTERM || number == SIGINT) {
        weir_event(WEIR_LEVEL_INFO, "stopping", "signal=%u", number);
        weir_supervisor_stop(supervisor, EXIT_SUCCESS);
    } else if (number == SIGHUP && supervisor->stopping_ns == 0) {
        weir_supervisor_reload(supervisor, NULL);
    }
}

/* Waits for a signal, and answers `weir filter` meanwhile. */
static void
wait_events(struct weir_supervisor *supervisor, int64_t wait_ns)
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
watch_locks(struct weir_supervisor *supervisor)
{
    int64_t now = weir_mono_ns();
    if (now < supervisor->locks_due_ns)
        return;
    supervisor->locks_due_ns = now + LOCKS_NS;
    if (weir_locks_watch(&supervisor->instance.locks) == WEIR_OK)
        return;
    weir_event(WEIR_LEVEL_ERROR, "data_lost", "reason=\"%s\"", weir_err_detail());
    weir_supervisor_stop(supervisor, EXIT_FAILURE);
}

static void
supervise(struct weir_supervisor *supervisor)
{
    for (;;) {
        weir_supervisor_reap(supervisor);
        if (supervisor->stopping_ns != 0) {
            if (weir_supervisor_stop_children(supervisor))
                return;
            wait_events(supervisor, POLL_NS);
            continue;
        }
        weir_supervisor_start(supervisor);
        bool all = weir_supervisor_watch(supervisor);
        if (all && !supervisor->announced)
            announce(supervisor);
        weir_supervisor_watch_heartbeat(supervisor);
        publish_processes(supervisor);
        watch_locks(supervisor);
        wait_events(supervisor, all ? IDLE_NS : POLL_NS);
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
    static struct weir_supervisor supervisor;
    supervisor = (struct weir_supervisor){.options = options, .config = options->config,
        .children = {[DATAPLANE] = {.name = "dataplane", .program = "weir-dataplane",
                         .wanted = true},
            [CONTROLPLANE] = {.name = "controlplane", .program = "weir-controlplane",
                .wanted = options->config->http_port != 0},
            [KEEPER] = {.name = "keeper", .program = "weir-keeper",
                .wanted = options->config->keeper_enabled}}};
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
    supervisor.filter.reload = weir_supervisor_reload;
    supervisor.filter.reload_context = &supervisor;
    bind_udp(&supervisor);
    supervise(&supervisor);
    weir_supervisor_filter_detach(&supervisor.filter);
    weir_supervisor_filter_close(&supervisor.filter);
    if (supervisor.children[DATAPLANE].was_ready || supervisor.exit_code == EXIT_SUCCESS)
        weir_supervisor_print_ledger(&supervisor);
    weir_instance_close(&supervisor.instance);
    weir_event(WEIR_LEVEL_INFO, "stopped", "exit_code=%d", supervisor.exit_code);
    return supervisor.exit_code;
}
