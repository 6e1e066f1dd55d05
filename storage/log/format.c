#include "storage/log/format.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_DIGITS 16

enum weir_err
weir_log_path(const char *directory, const char *name, char path[PATH_MAX])
{
    if (snprintf(path, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX)
        return weir_fail(WEIR_INVALID, 0, "path too long: %s", directory);
    return WEIR_OK;
}

void
weir_log_segment_path(const char *directory, uint64_t segment_index, char *path, size_t size)
{
    snprintf(path, size, "%s/%016llx.seg", directory, (unsigned long long)segment_index);
}

bool
weir_log_segment_parse(const char *name, uint64_t *segment_index)
{
    if (strlen(name) != NAME_DIGITS + 4 || strcmp(name + NAME_DIGITS, ".seg") != 0)
        return false;
    for (int i = 0; i < NAME_DIGITS; i++)
        if (!isdigit((unsigned char)name[i]) && !(name[i] >= 'a' && name[i] <= 'f'))
            return false;
    *segment_index = strtoull(name, NULL, 16);
    return true;
}
