#include "app/sandbox.h"

#include "base/clock.h"
#include "base/event.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Landlock as its kernel headers of later versions name it; Debian 12's know the second one. */
#define CREATE_RULESET 444
#define ADD_RULE 445
#define RESTRICT_SELF 446
#define ABI_VERSION 1u
#define RULE_PATH_BENEATH 1
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_CHANGE (UINT64_C(1) << 5 | UINT64_C(1) << 7 | UINT64_C(1) << 8) /* remove, make */
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_FIRST UINT64_C(0x1fff) /* all of the first version */
#define FS_REFER (UINT64_C(1) << 13)
#define FS_IOCTL_DEVICE (UINT64_C(1) << 15)
#define NET_BIND_AND_CONNECT_TCP UINT64_C(3)
#define SCOPE_ABSTRACT_UNIX_AND_SIGNAL UINT64_C(3)

struct ruleset {
    uint64_t handled_fs;
    uint64_t handled_net; /* from version 4 on */
    uint64_t scoped;      /* from version 6 on */
};

struct __attribute__((packed)) path_beneath {
    uint64_t allowed;
    int32_t parent_fd;
};

/* A thread that does not answer in this time runs in the kernel: it is named. */
#define THREAD_WAIT_NS INT64_C(1000000000)
#define BLOCKED_LOOKS 200 /* a millisecond each */
#define THREADS_MAX 256
#define CALL_SIGNAL (SIGRTMIN + 3)

/* Each thread carries this out. It is set before the first one does. */
static struct {
    struct __user_cap_data_struct capabilities[_LINUX_CAPABILITY_U32S_3];
    int ruleset_fd; /* -1: no Landlock here */
} plan;
static _Atomic uint32_t threads_done;
static _Atomic uint32_t threads_failed;

/* System calls alone: it runs in a signal handler too. */
static bool
give_up_here(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    bool done = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    if (plan.ruleset_fd >= 0)
        done = syscall(RESTRICT_SELF, plan.ruleset_fd, 0) == 0 && done;
    return syscall(SYS_capset, &header, plan.capabilities) == 0 && done;
}

static void
on_call(int number)
{
    int errnum = errno;
    (void)number;
    if (!give_up_here())
        atomic_fetch_add_explicit(&threads_failed, 1, memory_order_relaxed);
    /* release pairs with the acquire in call_thread */
    atomic_fetch_add_explicit(&threads_done, 1, memory_order_release);
    errno = errnum;
}

/* Whether a thread of ours has this signal blocked, by the mask in its status file. */
static bool
blocks(int thread, int signal_number)
{
    char path[64];
    char line[128];
    unsigned long long mask = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/status", thread);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "SigBlk:", 7) == 0)
            mask = strtoull(line + 7, NULL, 16);
    fclose(file);
    return (mask >> (signal_number - 1) & 1) != 0;
}

/* False where the thread is there and does not do it. */
static bool
call_thread(int thread)
{
    /* relaxed: only this thread calls others, one after the other */
    uint32_t before = atomic_load_explicit(&threads_done, memory_order_relaxed);
    /* one that begins has all of them blocked for a moment; one that ended has no file any more */
    for (int looks = 0; blocks(thread, CALL_SIGNAL); looks++) {
        if (looks == BLOCKED_LOOKS)
            return false;
        usleep(1000);
    }
    if (syscall(SYS_tgkill, getpid(), thread, CALL_SIGNAL) != 0)
        return errno == ESRCH;
    int64_t until = weir_mono_ns() + THREAD_WAIT_NS;
    /* acquire pairs with the release in the called thread: threads_failed is seen */
    while (atomic_load_explicit(&threads_done, memory_order_acquire) == before) {
        if (weir_mono_ns() > until)
            return false;
        usleep(100);
    }
    return true;
}

struct thread_list {
    int ids[THREADS_MAX];
    unsigned count;
};

static bool
list_holds(const struct thread_list *list, int thread)
{
    for (unsigned i = 0; i < list->count; i++)
        if (list->ids[i] == thread)
            return true;
    return false;
}

/* Reaches threads that were not there in the round before. Returns how many there were. */
static unsigned
call_new_threads(struct thread_list *called, unsigned *missed)
{
    unsigned fresh = 0;
    DIR *directory = opendir("/proc/self/task");
    if (directory == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        int thread = atoi(entry->d_name);
        if (thread <= 0 || thread == (int)syscall(SYS_gettid) || list_holds(called, thread) ||
            called->count == THREADS_MAX)
            continue;
        called->ids[called->count++] = thread;
        fresh++;
        *missed += !call_thread(thread);
    }
    closedir(directory);
    return fresh;
}

/* Every other thread, those included that one of them starts meanwhile. Returns those left out. */
static unsigned
call_threads(void)
{
    struct sigaction action = {.sa_handler = on_call, .sa_flags = SA_RESTART};
    struct sigaction before;
    struct thread_list called = {.count = 0};
    unsigned missed = 0;
    if (sigaction(CALL_SIGNAL, &action, &before) != 0)
        return 0;
    while (call_new_threads(&called, &missed) > 0)
        continue;
    /* a thread that was too late has the signal still to come, and its default ends the process */
    if (missed > 0)
        before.sa_handler = SIG_IGN;
    (void)sigaction(CALL_SIGNAL, &before, NULL);
    return missed + atomic_load_explicit(&threads_failed, memory_order_relaxed);
}

static uint64_t
handled_fs(long abi)
{
    return FS_FIRST | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) |
           (abi >= 5 ? FS_IOCTL_DEVICE : 0);
}

static void
allow_path(int ruleset_fd, uint64_t handled, const struct weir_sandbox_path *path)
{
    struct stat status;
    struct path_beneath rule = {.allowed = FS_READ_FILE | FS_READ_DIR,
        .parent_fd = open(path->path, O_PATH | O_CLOEXEC)};
    if (rule.parent_fd < 0)
        return;
    if (path->write)
        rule.allowed |= FS_WRITE_FILE | FS_CHANGE | FS_TRUNCATE;
    if (fstat(rule.parent_fd, &status) == 0 && !S_ISDIR(status.st_mode))
        rule.allowed &= ~(FS_READ_DIR | FS_CHANGE);
    rule.allowed &= handled;
    if (syscall(ADD_RULE, ruleset_fd, RULE_PATH_BENEATH, &rule, 0) != 0)
        weir_event(WEIR_LEVEL_WARN, "sandbox_path", "path=\"%s\" reason=\"%s\"", path->path,
            strerror(errno));
    close(rule.parent_fd);
}

/* Returns the ruleset's descriptor, -1 where this kernel has no Landlock. */
static int
make_ruleset(const struct weir_sandbox_options *options, long *abi)
{
    static const size_t sizes[] = {8, 8, 8, 8, 16, 16, 24}; /* by version */
    *abi = syscall(CREATE_RULESET, NULL, 0, ABI_VERSION);
    if (*abi <= 0)
        return -1;
    struct ruleset ruleset = {.handled_fs = handled_fs(*abi),
        .handled_net = NET_BIND_AND_CONNECT_TCP,
        .scoped = SCOPE_ABSTRACT_UNIX_AND_SIGNAL};
    int fd = (int)syscall(CREATE_RULESET, &ruleset, sizes[*abi < 6 ? *abi : 6], 0);
    for (unsigned i = 0; i < options->path_count && fd >= 0; i++)
        allow_path(fd, ruleset.handled_fs, &options->paths[i]);
    return fd;
}

/* Looks whether the folder can be listed without capabilities: gives the effective ones back after
 * that. */
static bool
reachable_without(const char *folder)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct before[_LINUX_CAPABILITY_U32S_3];
    struct __user_cap_data_struct without[_LINUX_CAPABILITY_U32S_3];
    if (folder == NULL || syscall(SYS_capget, &header, before) != 0)
        return true;
    memcpy(without, before, sizeof without);
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        without[i].effective = 0;
    if (syscall(SYS_capset, &header, without) != 0)
        return true;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool reached = fd >= 0 || errno != EACCES;
    if (fd >= 0)
        close(fd);
    (void)syscall(SYS_capset, &header, before);
    return reached;
}

void
weir_sandbox_enter(const struct weir_sandbox_options *options)
{
    long abi;
    memset(&plan, 0, sizeof plan);
    plan.ruleset_fd = make_ruleset(options, &abi);
    bool keeps = !reachable_without(options->reach);
    if (keeps) {
        plan.capabilities[0].effective = 1u << CAP_DAC_READ_SEARCH;
        plan.capabilities[0].permitted = 1u << CAP_DAC_READ_SEARCH;
        weir_event(WEIR_LEVEL_WARN, "sandbox_keeps", "capability=DAC_READ_SEARCH path=\"%s\" "
            "reason=\"a folder above is closed to uid %u\"", options->reach, (unsigned)geteuid());
    }
    /* the others first: afterwards this one may signal none of them */
    unsigned missed = call_threads();
    bool done = give_up_here();
    if (plan.ruleset_fd >= 0)
        close(plan.ruleset_fd);
    if (!done || missed > 0 || plan.ruleset_fd < 0)
        weir_event(WEIR_LEVEL_WARN, "sandbox_partial",
            "process=%s landlock=%ld threads_left_out=%u "
            "capabilities=%s hint=\"Landlock needs Linux 5.13, and to be in the kernel's lsm=\"",
            options->process, abi > 0 ? abi : 0, missed, keeps ? "DAC_READ_SEARCH" : "none");
    else
        weir_event(WEIR_LEVEL_INFO, "sandbox", "process=%s landlock=%ld capabilities=%s",
            options->process, abi, keeps ? "DAC_READ_SEARCH" : "none");
}
