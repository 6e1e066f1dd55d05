#include "app/supervisor/process_figures.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MS_PER_S 1000
#define STAT_SIZE 4096

/* Reads a small file of /proc whole, zero terminated. */
static enum weir_err
read_file(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return weir_fail(errno == ENOENT ? WEIR_NOT_FOUND : WEIR_IO, errno, "%s", path);
    ssize_t got = read(fd, out, size - 1);
    int errnum = errno;
    close(fd);
    if (got < 0)
        return weir_fail(errnum == ESRCH ? WEIR_NOT_FOUND : WEIR_IO, errnum, "%s", path);
    out[got] = '\0';
    return WEIR_OK;
}

/* Unix time of the machine's start; start times are counted from it. On machines with many
 * interrupts its line is far down in /proc/stat. */
static uint64_t
boot_s(void)
{
    static uint64_t known; /* it does not change; the supervisor has one thread */
    char line[STAT_SIZE];
    FILE *file = known == 0 ? fopen("/proc/stat", "re") : NULL;
    if (file == NULL)
        return known;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "btime %" SCNu64, &known) == 1)
            break;
    fclose(file);
    return known;
}

/* Since Linux 6.2 the folder's size is the number of descriptors; before that it is 0. */
static uint64_t
count_fds(const char *path)
{
    struct stat status;
    uint64_t count = 0;
    if (stat(path, &status) == 0 && status.st_size > 0)
        return (uint64_t)status.st_size;
    DIR *folder = opendir(path);
    if (folder == NULL)
        return 0;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

enum weir_err
weir_process_figures(pid_t pid, struct weir_process_figures *out)
{
    char path[64];
    char text[STAT_SIZE];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    enum weir_err err = read_file(path, text, sizeof text);
    if (err != WEIR_OK)
        return err;
    /* the name, in brackets, may hold anything; numbers follow the last one. proc(5) lists them:
     * this reads from the third on */
    const char *numbers = strrchr(text, ')');
    uint64_t user, system, threads, start, bytes, pages;
    char state;
    if (numbers == NULL ||
        sscanf(numbers + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
            " %*d %*d %*d %*d %" SCNu64 " %*d %" SCNu64 " %" SCNu64 " %" SCNu64, &state, &user,
            &system, &threads, &start, &bytes, &pages) != 7)
        return weir_fail(WEIR_IO, 0, "%s is not as proc(5) has it", path);
    if (state == 'Z' || state == 'X')
        return weir_fail(WEIR_NOT_FOUND, 0, "process %d has ended", (int)pid);
    uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
    struct rlimit limit = {0};
    (void)prlimit(pid, RLIMIT_NOFILE, NULL, &limit); /* 0 where it may not be seen */
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    *out = (struct weir_process_figures){
        .start_ms = boot_s() * MS_PER_S + start * MS_PER_S / ticks,
        .cpu_ms = (user + system) * MS_PER_S / ticks,
        .resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE),
        .virtual_bytes = bytes,
        .threads = threads,
        .fds = count_fds(path),
        .fds_max = limit.rlim_cur};
    return WEIR_OK;
}

void
weir_process_publish(struct weir_process_view *view, pid_t pid)
{
    struct weir_process_figures now = {0};
    if (pid != 0 && weir_process_figures(pid, &now) != WEIR_OK)
        pid = 0;
    atomic_store_explicit(&view->start_ms, now.start_ms, memory_order_relaxed);
    atomic_store_explicit(&view->cpu_ms, now.cpu_ms, memory_order_relaxed);
    atomic_store_explicit(&view->resident_bytes, now.resident_bytes, memory_order_relaxed);
    atomic_store_explicit(&view->virtual_bytes, now.virtual_bytes, memory_order_relaxed);
    atomic_store_explicit(&view->threads, now.threads, memory_order_relaxed);
    atomic_store_explicit(&view->fds, now.fds, memory_order_relaxed);
    atomic_store_explicit(&view->fds_max, now.fds_max, memory_order_relaxed);
    atomic_store_explicit(&view->pid, (uint64_t)pid, memory_order_relaxed);
}
