/* temp_dir: a directory of a test's own, below $TMPDIR or the working directory, removed with all
 * that is in it. */
#ifndef WEIR_TESTS_UNIT_STORAGE_TEMP_DIR_H
#define WEIR_TESTS_UNIT_STORAGE_TEMP_DIR_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char temp_dir[512];

static inline int
temp_dir_remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static inline void
temp_dir_make(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(temp_dir, sizeof temp_dir, "%s/weir-test-XXXXXX", base != NULL ? base : ".");
    if (mkdtemp(temp_dir) == NULL) {
        perror(temp_dir);
        abort();
    }
}

static inline void
temp_dir_remove(void)
{
    nftw(temp_dir, temp_dir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Path below the directory; one of four buffers in turn. */
static inline const char *
temp_path(const char *name)
{
    static char paths[4][1024];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", temp_dir, name);
    return path;
}

#endif
