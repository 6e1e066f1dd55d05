/* The supervisor with children of ours: start, restart, refusal, end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Waiting ends here; nothing is asserted of the time itself. */
#define PATIENCE_NS INT64_C(60000000000)

static char folder[64];
static char data[128];
static char http[32];
static int http_port;
static pid_t supervisor;

static void
path_of(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/%s", folder, name);
}

static void
give_order(const char *program, const char *order)
{
    char path[256];
    path_of(path, sizeof path, program);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(order, file);
    assert_int_equal(fclose(file), 0);
}

/* Nobody listens there. By process, so that test programs at the same time do not meet, and below
 * the ports that the kernel gives away. */
static int
free_port(void)
{
    int port = 20000 + (int)getpid() % 10000;
    for (;; port++) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int failed = bind(fd, (struct sockaddr *)&at, sizeof at);
        close(fd);
        if (failed == 0)
            return port;
        assert_true(port < 32000);
    }
}

static int
make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/weir-test-supervisor-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    path_of(data, sizeof data, "a/data");
    http_port = free_port();
    snprintf(http, sizeof http, "127.0.0.1:%d", http_port);
    setenv("FAKE_ORDERS", folder, 1);
    setenv("WEIR_PROGRAMS", FAKE_PROGRAMS, 1);
    supervisor = 0;
    return 0;
}

static int
remove_folder(void **state)
{
    (void)state;
    char command[128];
    if (supervisor > 0) {
        kill(supervisor, SIGKILL);
        waitpid(supervisor, NULL, 0);
    }
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static pid_t
start(void)
{
    char out[256];
    path_of(out, sizeof out, "output");
    unlink(out); /* of a start before: its words are not ours */
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(WEIR_PROGRAM, "weir", "run", "--data", data, "--http", http, "--port", "none",
            (char *)NULL);
        _exit(99);
    }
    return pid;
}

static bool
file_holds(const char *name, const char *text)
{
    char path[256];
    static char content[65536];
    path_of(path, sizeof path, name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    content[fread(content, 1, sizeof content - 1, file)] = '\0';
    fclose(file);
    return strstr(content, text) != NULL;
}

static void
nap(void)
{
    struct timespec wait = {.tv_nsec = 5000000};
    nanosleep(&wait, NULL);
}

static void
wait_for(const char *name, const char *text)
{
    int64_t until = weir_mono_ns() + PATIENCE_NS;
    while (!file_holds(name, text)) {
        if (weir_mono_ns() > until)
            fail_msg("%s never held \"%s\"", name, text);
        nap();
    }
}

static int
wait_exit(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The pid in DATA/run/<process>.pid when it is another than `not`. */
static pid_t
wait_pid(const char *process, pid_t not)
{
    int64_t until = weir_mono_ns() + PATIENCE_NS;
    char path[256];
    snprintf(path, sizeof path, "%s/run/%s.pid", data, process);
    for (;;) {
        int pid = 0;
        FILE *file = fopen(path, "re");
        if (file != NULL) {
            if (fscanf(file, "%d", &pid) != 1)
                pid = 0;
            fclose(file);
        }
        if (pid > 0 && pid != not)
            return pid;
        if (weir_mono_ns() > until)
            fail_msg("no new pid in %s", path);
        nap();
    }
}

/* `weir filter` to the instance: the line it prints begins with `said`. */
static void
expect_filter(const char *words, const char *said)
{
    char command[512], line[256] = "", more[256];
    snprintf(command, sizeof command, "%s filter --data %s %s 2>&1", WEIR_PROGRAM, data, words);
    FILE *out = popen(command, "r");
    assert_non_null(out);
    bool one = fgets(line, sizeof line, out) != NULL && fgets(more, sizeof more, out) == NULL;
    pclose(out);
    if (!one || strncmp(line, said, strlen(said)) != 0)
        fail_msg("%s: %s", words, line);
}

static void
test_filter_without_a_port_says_what_it_has_done(void **state)
{
    (void)state;
    supervisor = start();
    wait_for("output", "weir is ready: http://127.0.0.1:");
    expect_filter("deny 192.0.2.1", "the rule is kept; no AF_XDP port");
    expect_filter("limit 100", "the rule is kept; no AF_XDP port");
    expect_filter("limit off", "the limit is off; no AF_XDP port");
    expect_filter("remove 192.0.2.1", "the rule is removed; no AF_XDP port");
    expect_filter("remove 192.0.2.1", "weir filter: ");
    kill(supervisor, SIGTERM);
    assert_int_equal(wait_exit(supervisor), 0);
    supervisor = 0;
}

static void
test_supervisor_starts_says_ready_and_stops_in_order(void **state)
{
    (void)state;
    supervisor = start();
    wait_for("output", "weir is ready: http://127.0.0.1:");
    wait_for("output", ", influx udp 127.0.0.1:8089, graphite tcp 127.0.0.1:2003 (data in ");
    assert_int_equal(wait_pid("supervisor", 0), supervisor);
    kill(supervisor, SIGTERM);
    assert_int_equal(wait_exit(supervisor), 0);
    supervisor = 0;
    assert_true(file_holds("log", "weir-dataplane stopped\nweir-controlplane stopped\n"));
    assert_true(file_holds("output", "event=ledger unit=samples received=0 stored=0 rejected=0 "
                                     "dropped=0 in_flight=0 residual=0"));
    char path[256];
    static const char *const names[] = {"supervisor", "dataplane", "controlplane"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/run/%s.pid", data, names[i]);
        assert_int_equal(access(path, F_OK), -1);
    }
    snprintf(path, sizeof path, "%s/run/weir.yaml", data);
    assert_int_equal(access(path, F_OK), 0);
}

static void
test_supervisor_restarts_a_killed_child(void **state)
{
    (void)state;
    static const char *const names[] = {"dataplane", "controlplane"};
    supervisor = start();
    wait_for("output", "weir is ready");
    for (int i = 0; i < 6; i++) {
        pid_t pid = wait_pid(names[i % 2], 0);
        kill(pid, SIGKILL);
        wait_pid(names[i % 2], pid);
    }
    wait_for("output", "child=dataplane signal=9");
    kill(supervisor, SIGINT);
    assert_int_equal(wait_exit(supervisor), 0);
    supervisor = 0;
}

static void
test_supervisor_gives_up_where_the_configuration_is_refused(void **state)
{
    (void)state;
    give_order("weir-controlplane", "refuse");
    supervisor = start();
    assert_int_equal(wait_exit(supervisor), 2);
    supervisor = 0;
    assert_true(file_holds("output", "event=start_refused child=controlplane"));
}

/* -1 where the port is somebody's. */
static int
listen_on_http(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)http_port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 5) == 0)
        return fd;
    assert_int_equal(errno, EADDRINUSE);
    close(fd);
    return -1;
}

static void
test_supervisor_gives_up_where_a_later_start_is_refused(void **state)
{
    (void)state;
    give_order("weir-controlplane", "crash");
    supervisor = start();
    wait_for("output", "event=child_died child=controlplane");
    give_order("weir-controlplane", "refuse");
    assert_int_equal(wait_exit(supervisor), 2);
    supervisor = 0;
    assert_true(file_holds("output", "event=start_refused child=controlplane"));
}

static void
test_supervisor_refuses_a_taken_http_port_before_anything_starts(void **state)
{
    (void)state;
    char said[128];
    int stranger = listen_on_http();
    assert_true(stranger >= 0);
    supervisor = start();
    assert_int_equal(wait_exit(supervisor), 1);
    supervisor = 0;
    snprintf(said, sizeof said, "http: listen on %s: Address already in use", http);
    assert_true(file_holds("output", said));
    assert_false(file_holds("log", "started"));
    assert_false(file_holds("a/data/run/supervisor.pid", ""));
    close(stranger);
}

static void
test_supervisor_keeps_the_http_port_while_no_control_plane_runs(void **state)
{
    (void)state;
    supervisor = start();
    wait_for("output", "weir is ready");
    give_order("weir-controlplane", "crash");
    kill(wait_pid("controlplane", 0), SIGKILL);
    wait_for("output", "start=4");
    assert_int_equal(listen_on_http(), -1);
    give_order("weir-controlplane", "");
    kill(supervisor, SIGTERM);
    assert_int_equal(wait_exit(supervisor), 0);
    supervisor = 0;
}

static void
test_supervisor_is_not_ready_before_its_control_plane_says_so(void **state)
{
    (void)state;
    give_order("weir-controlplane", "mute");
    supervisor = start();
    wait_for("output", "event=child_ready child=dataplane");
    for (int i = 0; i < 20; i++) /* twenty looks of the supervisor */
        nap();
    assert_false(file_holds("output", "child_ready child=controlplane"));
    assert_false(file_holds("output", "weir is ready"));
    give_order("weir-controlplane", "");
    kill(wait_pid("controlplane", 0), SIGKILL);
    wait_for("output", "weir is ready");
    kill(supervisor, SIGTERM);
    assert_int_equal(wait_exit(supervisor), 0);
    supervisor = 0;
}

static void
test_supervisor_goes_on_where_a_child_crashes_at_start(void **state)
{
    (void)state;
    give_order("weir-dataplane", "crash");
    supervisor = start();
    wait_for("output", "child=dataplane pid=");
    wait_for("output", "start=4");
    give_order("weir-dataplane", "");
    wait_for("output", "weir is ready");
    kill(supervisor, SIGTERM);
    assert_int_equal(wait_exit(supervisor), 0);
    supervisor = 0;
}

static void
test_supervisor_ends_with_1_where_a_child_never_starts(void **state)
{
    (void)state;
    give_order("weir-controlplane", "crash");
    supervisor = start();
    assert_int_equal(wait_exit(supervisor), 1);
    supervisor = 0;
    assert_true(file_holds("output", "event=start_failed child=controlplane"));
    assert_true(file_holds("output", "event=ledger unit=samples"));
    assert_true(file_holds("log", "weir-dataplane stopped"));
}

static void
test_supervisor_restarts_for_ever_what_was_ready_once(void **state)
{
    (void)state;
    supervisor = start();
    wait_for("output", "weir is ready");
    give_order("weir-controlplane", "crash");
    kill(wait_pid("controlplane", 0), SIGKILL);
    /* 0, 50, 100, ... 1000 ms of waiting: by the tenth start more than 5 s have passed */
    wait_for("output", "child=controlplane pid=");
    wait_for("output", "start=10");
    kill(supervisor, SIGTERM);
    assert_int_equal(wait_exit(supervisor), 0);
    supervisor = 0;
}

static void
test_supervisor_kills_a_child_that_does_not_stop(void **state)
{
    (void)state;
    give_order("weir-controlplane", "deaf");
    supervisor = start();
    wait_for("output", "weir is ready");
    pid_t pid = wait_pid("controlplane", 0);
    kill(supervisor, SIGTERM);
    assert_int_equal(wait_exit(supervisor), 0);
    supervisor = 0;
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

static void
test_supervisor_refuses_data_that_another_instance_has(void **state)
{
    (void)state;
    supervisor = start();
    wait_for("output", "weir is ready");
    char keep[256];
    char output[256];
    path_of(keep, sizeof keep, "output.first");
    path_of(output, sizeof output, "output");
    assert_int_equal(rename(output, keep), 0);
    assert_int_equal(wait_exit(start()), 1);
    assert_true(file_holds("output", "another instance runs on"));
    assert_int_equal(wait_pid("supervisor", 0), supervisor);
    kill(supervisor, SIGTERM);
    assert_int_equal(wait_exit(supervisor), 0);
    supervisor = 0;
}

static void
test_supervisor_death_ends_its_children(void **state)
{
    (void)state;
    supervisor = start();
    wait_for("output", "weir is ready");
    kill(supervisor, SIGKILL);
    waitpid(supervisor, NULL, 0);
    supervisor = 0;
    wait_for("log", "weir-dataplane stopped");
    wait_for("log", "weir-controlplane stopped");
    /* and the data is free for the next one */
    supervisor = start();
    wait_for("output", "weir is ready");
    kill(supervisor, SIGTERM);
    assert_int_equal(wait_exit(supervisor), 0);
    supervisor = 0;
}

static void
test_supervisor_names_the_reasons_of_the_closing_ledger(void **state)
{
    (void)state;
    give_order("weir-dataplane", "reject");
    supervisor = start();
    wait_for("output", "weir is ready");
    kill(supervisor, SIGTERM);
    assert_int_equal(wait_exit(supervisor), 0);
    supervisor = 0;
    assert_true(file_holds("output", "event=ledger unit=samples received=3 stored=0 rejected=3 "));
    assert_true(file_holds("output",
        "event=ledger_reason unit=samples class=rejected reason=table_full count=3\n"));
    assert_false(file_holds("output", "class=dropped"));
}

static void
test_supervisor_refuses_data_of_another_user(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip(); /* only root can make such a directory */
    char parent[128];
    path_of(parent, sizeof parent, "a");
    assert_int_equal(mkdir(parent, 0755), 0);
    assert_int_equal(mkdir(data, 0755), 0);
    assert_int_equal(chown(data, 65534, 65534), 0);
    assert_int_equal(wait_exit(start()), 2);
    assert_true(file_holds("output", "belongs to uid 65534 and this is uid 0"));
    char run[160];
    snprintf(run, sizeof run, "%s/run", data);
    assert_int_equal(access(run, F_OK), -1); /* and nothing was made in it */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_filter_without_a_port_says_what_it_has_done),
        TEST(test_supervisor_starts_says_ready_and_stops_in_order),
        TEST(test_supervisor_restarts_a_killed_child),
        TEST(test_supervisor_gives_up_where_the_configuration_is_refused),
        TEST(test_supervisor_gives_up_where_a_later_start_is_refused),
        TEST(test_supervisor_refuses_a_taken_http_port_before_anything_starts),
        TEST(test_supervisor_keeps_the_http_port_while_no_control_plane_runs),
        TEST(test_supervisor_is_not_ready_before_its_control_plane_says_so),
        TEST(test_supervisor_goes_on_where_a_child_crashes_at_start),
        TEST(test_supervisor_ends_with_1_where_a_child_never_starts),
        TEST(test_supervisor_restarts_for_ever_what_was_ready_once),
        TEST(test_supervisor_kills_a_child_that_does_not_stop),
        TEST(test_supervisor_refuses_data_that_another_instance_has),
        TEST(test_supervisor_names_the_reasons_of_the_closing_ledger),
        TEST(test_supervisor_refuses_data_of_another_user),
        TEST(test_supervisor_death_ends_its_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
