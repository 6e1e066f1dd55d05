#include "bench/cpu.h"

#include "base/clock.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KTHREADD 2 /* the parent of all kernel threads */

/* Name and parent of a process; false where it is gone. */
static bool
identify(pid_t pid, char name[32], pid_t *parent)
{
    char path[32];
    char line[256];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    const char *end = fgets(line, sizeof line, file) != NULL ? strrchr(line, ')') : NULL;
    fclose(file);
    const char *begin = end != NULL ? strchr(line, '(') : NULL;
    if (begin == NULL)
        return false;
    snprintf(name, 32, "%.*s", (int)(end - begin - 1), begin + 1);
    int found = 0;
    if (sscanf(end + 1, " %*c %d", &found) != 1)
        return false;
    *parent = found;
    return true;
}

static double
seconds_of(pid_t pid)
{
    clockid_t clock;
    return clock_getcpuclockid(pid, &clock) == 0 ? (double)weir_clock_ns(clock) / 1e9 : 0;
}

struct weir_bench_cpu
weir_bench_cpu_read(pid_t instance)
{
    struct weir_bench_cpu cpu = {0};
    DIR *directory = opendir("/proc");
    if (directory == NULL)
        return cpu;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char name[32];
        pid_t parent;
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (pid <= 0 || !identify(pid, name, &parent))
            continue;
        if (parent == KTHREADD)
            cpu.kernel += seconds_of(pid);
        else if (parent == instance && strcmp(name, "weir-dataplane") == 0)
            cpu.dataplane += seconds_of(pid);
        else if (parent == instance || pid == instance)
            cpu.others += seconds_of(pid);
    }
    closedir(directory);
    return cpu;
}

struct weir_bench_cpu
weir_bench_cpu_between(const struct weir_bench_cpu *before, const struct weir_bench_cpu *after)
{
    /* a kernel thread that ended meanwhile took its earlier time with it */
    double kernel = after->kernel - before->kernel;
    return (struct weir_bench_cpu){.dataplane = after->dataplane - before->dataplane,
        .others = after->others - before->others,
        .kernel = kernel > 0 ? kernel : 0};
}

pid_t
weir_bench_cpu_thread_find(pid_t process, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)process);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return 0;
    pid_t found = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char of_thread[32];
        pid_t parent;
        pid_t thread = (pid_t)atoi(entry->d_name);
        /* /proc has threads too, only not in its listing */
        if (thread > 0 && identify(thread, of_thread, &parent) && strcmp(of_thread, name) == 0)
            found = thread;
    }
    closedir(directory);
    return found;
}

double
weir_bench_cpu_thread(pid_t process, pid_t thread)
{
    char path[64];
    unsigned long long ran_ns = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", (int)process, (int)thread);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu", &ran_ns) != 1)
        ran_ns = 0;
    fclose(file);
    return (double)ran_ns / 1e9;
}
