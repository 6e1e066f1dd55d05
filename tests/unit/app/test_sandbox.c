/* What a process may still do in its sandbox, in each of its threads. Each test is a process. */
#include "app/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CREATE_RULESET 444 /* asks for the version */

static char folder[64];

static void
path_of(char out[256], const char *name)
{
    snprintf(out, 256, "%s/%s", folder, name);
}

static int
make_folder(void **state)
{
    char path[256];
    (void)state;
    strcpy(folder, "/tmp/weir-test-sandbox-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    static const char *const names[] = {"data", "run"};
    for (int i = 0; i < 2; i++) {
        path_of(path, names[i]);
        if (mkdir(path, 0700) != 0)
            return -1;
    }
    static const char *const files[] = {"data/log", "run/weir.yaml", "secret"};
    for (int i = 0; i < 3; i++) {
        path_of(path, files[i]);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, "x", 1) != 1)
            return -1;
        close(fd);
    }
    return 0;
}

static int
remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static long
landlock(void)
{
    return syscall(CREATE_RULESET, NULL, 0, 1u);
}

static void
enter(void)
{
    char data[256];
    char run[256];
    path_of(data, "data");
    path_of(run, "run");
    const struct weir_sandbox_path paths[] = {{data, true}, {run, false}, {"/proc/self", false},
        {"/nowhere/at/all", false}};
    weir_sandbox_enter(&(struct weir_sandbox_options){
        .process = "test", .paths = paths, .path_count = 4, .reach = data});
}

/* errno of opening a file below the folder; 0 where it can be. */
static int
try_open(const char *name, int flags)
{
    char path[256];
    path_of(path, name);
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

/* errno with which a TCP socket cannot be bound. */
static int
try_bind(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failed = bind(fd, (struct sockaddr *)&any, sizeof any) == 0 ? 0 : errno;
    close(fd);
    return failed;
}

/* What holds in every thread. Returns the line of what does not, 0 where all does. */
#define EXPECT(condition) \
    if (!(condition)) \
    return __LINE__
static int
look_inside(void)
{
    char path[256];
    char other[256];
    EXPECT(try_open("data/log", O_RDWR) == 0);
    EXPECT(try_open("data/new", O_RDWR | O_CREAT) == 0);
    EXPECT(try_open("data/new", O_WRONLY | O_TRUNC) == 0);
    path_of(path, "data/new");
    path_of(other, "data/newer");
    EXPECT(rename(path, other) == 0);
    EXPECT(unlink(other) == 0);
    EXPECT(try_open("run/weir.yaml", O_RDONLY) == 0);
    EXPECT(try_open("run/weir.yaml", O_WRONLY) == EACCES);
    EXPECT(try_open("run/new", O_WRONLY | O_CREAT) == EACCES);
    path_of(path, "run/weir.yaml");
    EXPECT(unlink(path) != 0 && errno == EACCES);
    EXPECT(try_open("secret", O_RDONLY) == EACCES);
    EXPECT(try_open("data/../secret", O_RDONLY) == EACCES);
    EXPECT(access("/bin/true", X_OK) == 0);
    EXPECT(execl("/bin/true", "true", (char *)NULL) != 0 && errno == EACCES);
    EXPECT(landlock() < 4 || try_bind() == EACCES);
    EXPECT(landlock() < 6 || (kill(getppid(), 0) != 0 && errno == EPERM));
    return 0;
}

static int status_of_thread;

static void *
thread_main(void *go)
{
    char byte;
    if (read(*(int *)go, &byte, 1) == 1)
        status_of_thread = look_inside();
    return NULL;
}

/* A process with a thread that was there before its sandbox, and one from after. */
static int
run_child(void)
{
    int pipes[2];
    pthread_t before;
    pthread_t after;
    status_of_thread = -1;
    if (pipe2(pipes, O_CLOEXEC) != 0 || pthread_create(&before, NULL, thread_main, pipes) != 0)
        return 254;
    enter();
    int here = look_inside();
    if (here != 0 || write(pipes[1], "x", 1) != 1 || pthread_join(before, NULL) != 0)
        return here;
    if (status_of_thread != 0)
        return status_of_thread;
    status_of_thread = -1;
    if (pthread_create(&after, NULL, thread_main, pipes) != 0 || write(pipes[1], "x", 1) != 1)
        return 254;
    pthread_join(after, NULL);
    return status_of_thread;
}

static void
test_every_thread_opens_no_file_but_those_it_needs(void **state)
{
    (void)state;
    if (landlock() <= 0)
        skip();
    pid_t pid = fork();
    if (pid == 0)
        _exit(run_child());
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) != 0)
        fail_msg("line %d does not hold", WEXITSTATUS(status));
}

/* Folders of root below one that is closed to root without capabilities: a home of mode 0700. */
static void
test_data_below_a_closed_folder_stays_reachable(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(folder, 65534, 65534), 0);
    pid_t pid = fork();
    if (pid == 0) {
        enter();
        _exit(try_open("data/log", O_RDWR) == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int in_kernel[2]; /* a byte when the thread is about to enter the kernel */

/* Waits in the kernel, where no signal reaches it, until its child ends. */
static void *
thread_in_kernel(void *argument)
{
    int *reported = argument;
    pid_t pid = vfork();
    if (pid == 0) {
        const struct timespec long_enough = {.tv_sec = 3};
        (void)!write(reported[1], "x", 1);
        nanosleep(&long_enough, NULL);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    return NULL;
}

/* A thread that the sandbox does not reach in time is left out, and gets its signal later. */
static void
test_thread_that_is_reached_too_late_does_not_end_the_process(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        pthread_t thread;
        if (pipe2(in_kernel, O_CLOEXEC) != 0 ||
            pthread_create(&thread, NULL, thread_in_kernel, in_kernel) != 0 ||
            read(in_kernel[0], &byte, 1) != 1)
            _exit(254);
        enter();
        _exit(pthread_join(thread, NULL));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_thread_opens_no_file_but_those_it_needs,
            make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_data_below_a_closed_folder_stays_reachable,
            make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(
            test_thread_that_is_reached_too_late_does_not_end_the_process,
            make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
