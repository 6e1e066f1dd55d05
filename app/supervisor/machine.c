#include "app/supervisor/machine.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PATH_SIZE 4096

void
weir_machine_read(const char *path, char *out, size_t size)
{
    size_t used = 0;
    ssize_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && used < size - 1 && (got = read(fd, out + used, size - 1 - used)) > 0)
        used += (size_t)got;
    if (fd >= 0)
        close(fd);
    out[got < 0 ? 0 : used] = '\0';
}

/* A number in a file of its own; UINT64_MAX where it is "max" or not there. */
static uint64_t
read_limit(const char *path)
{
    char text[64];
    char *end;
    weir_machine_read(path, text, sizeof text);
    unsigned long long value = strtoull(text, &end, 10);
    return end == text ? UINT64_MAX : value;
}

/* The least limit of a group and of those above it: each of them binds. path is changed. */
static uint64_t
least_above(const char *mount, char *path, const char *name)
{
    uint64_t least = UINT64_MAX;
    for (;;) {
        char file[2 * PATH_SIZE];
        snprintf(file, sizeof file, "%s%s/%s", mount, path, name);
        uint64_t limit = read_limit(file);
        if (limit < least)
            least = limit;
        char *slash = strrchr(path, '/');
        if (slash == NULL || path[0] == '\0')
            return least;
        *slash = '\0';
    }
}

/* A line of /proc/self/cgroup: NUMBER:CONTROLLERS:PATH. Version 2 has number 0 and no controllers.
 * Version 1 has the memory controller in a hierarchy of its own. */
static uint64_t
line_bytes(const char *root, char *line)
{
    char mount[PATH_SIZE];
    char *controllers = strchr(line, ':');
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL)
        return UINT64_MAX;
    *controllers++ = '\0';
    *path++ = '\0';
    bool second = controllers[0] == '\0';
    if (!second && strcmp(controllers, "memory") != 0)
        return UINT64_MAX;
    snprintf(mount, sizeof mount, "%s/sys/fs/cgroup%s", root, second ? "" : "/memory");
    return least_above(mount, path, second ? "memory.max" : "memory.limit_in_bytes");
}

uint64_t
weir_machine_cgroup_bytes(const char *root)
{
    char path[PATH_SIZE];
    char groups[PATH_SIZE];
    char *rest = groups;
    uint64_t least = UINT64_MAX;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    weir_machine_read(path, groups, sizeof groups);
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        uint64_t bytes = line_bytes(root, line);
        if (bytes < least)
            least = bytes;
    }
    return least;
}

struct weir_machine_memory
weir_machine_memory(const char *root)
{
    struct weir_machine_memory memory = {
        (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE), "this machine has"};
    uint64_t group = weir_machine_cgroup_bytes(root);
    if (group < memory.bytes)
        memory = (struct weir_machine_memory){group, "its control group allows"};
    struct rlimit space;
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY &&
        space.rlim_cur < memory.bytes)
        memory = (struct weir_machine_memory){space.rlim_cur, "RLIMIT_AS (ulimit -v) allows"};
    return memory;
}
