#include "app/programs.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WITNESS "weir-dataplane"

enum weir_err
weir_programs_own(char *out, size_t size)
{
    ssize_t used = readlink("/proc/self/exe", out, size - 1);
    if (used <= 0)
        return weir_fail(WEIR_IO, errno, "readlink /proc/self/exe");
    out[used] = '\0';
    char *slash = strrchr(out, '/');
    if (slash != NULL)
        *slash = '\0';
    return WEIR_OK;
}

/* WEIR_PRIVATE_PATH is absolute, or relative to the folder of this program: a tree that was
 * installed below another root, or moved, finds its own. */
enum weir_err
weir_programs_private(char *out, size_t size)
{
    char own[PATH_MAX];
    char path[2 * PATH_MAX];
    enum weir_err err = weir_programs_own(own, sizeof own);
    if (err != WEIR_OK)
        return err;
    snprintf(path, sizeof path, "%s/" WITNESS, own);
    bool absolute = WEIR_PRIVATE_PATH[0] == '/';
    int used;
    if (access(path, F_OK) == 0)
        used = snprintf(out, size, "%s", own);
    else
        used = snprintf(out, size, "%s%s%s", absolute ? "" : own, absolute ? "" : "/",
            WEIR_PRIVATE_PATH);
    return used >= 0 && (size_t)used < size
        ? WEIR_OK : weir_fail(WEIR_IO, ENAMETOOLONG, "programs below %s", own);
}
