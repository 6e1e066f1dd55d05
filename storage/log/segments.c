#include "storage/log/segments.h"

#include "storage/log/format.h"

#include <stdlib.h>

enum weir_err
weir_segment_list(struct weir_io *io, const char *directory, uint64_t **indexes, size_t *count)
{
    char **names;
    size_t name_count;
    *indexes = NULL;
    *count = 0;
    enum weir_err err = weir_io_list(io, directory, &names, &name_count);
    if (err != WEIR_OK)
        return err;
    uint64_t *found = malloc((name_count + 1) * sizeof *found);
    size_t used = 0;
    if (found == NULL)
        err = weir_fail(WEIR_NOMEM, 0, "list of %zu segments", name_count);
    for (size_t i = 0; err == WEIR_OK && i < name_count; i++)
        used += weir_log_segment_parse(names[i], &found[used]);
    weir_io_list_free(names, name_count);
    if (err != WEIR_OK) {
        free(found);
        return err;
    }
    *indexes = found;
    *count = used;
    return WEIR_OK;
}
