#include "base/folder.h"

#include "base/replace.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

static enum weir_err
make_one(const char *path, bool durable)
{
    struct stat status;
    if (mkdir(path, 0750) == 0)
        return durable ? weir_replace_sync_folder(path) : WEIR_OK;
    if (errno != EEXIST)
        return weir_fail(weir_err_of_errno(errno), errno, "make directory %s", path);
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
        return weir_fail(WEIR_IO, ENOTDIR, "make directory %s", path);
    return WEIR_OK;
}

enum weir_err
weir_folder_make(const char *path, bool durable)
{
    char made[PATH_MAX];
    if ((size_t)snprintf(made, sizeof made, "%s", path) >= sizeof made)
        return weir_fail(WEIR_INVALID, ENAMETOOLONG, "%s", path);
    for (char *at = made + 1;; at++) {
        char was = *at;
        if (was != '/' && was != '\0')
            continue;
        *at = '\0';
        enum weir_err err = make_one(made, durable);
        if (err != WEIR_OK || was == '\0')
            return err;
        *at = was;
    }
}
