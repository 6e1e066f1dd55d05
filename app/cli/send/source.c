/* Lines for weir send: of a file, of standard input, or made up. */
#include "app/cli/send/source.h"
#include "base/clock.h"
#include "dataplane/protocol/protocol.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum weir_err
weir_send_source_open(struct weir_send_source *source, const char *path)
{
    if (source->count > 0) {
        source->capacity = 256;
        source->line = malloc(source->capacity);
        /* one sample a millisecond and series, the last one now */
        source->first_ms = weir_wall_ms() - (int64_t)((source->count - 1) / source->series);
        return source->line != NULL ? WEIR_OK : weir_fail(WEIR_NOMEM, 0, "line");
    }
    source->name = path == NULL ? "standard input" : path;
    source->file = path == NULL ? stdin : fopen(path, "re");
    return source->file != NULL ? WEIR_OK : weir_fail(WEIR_IO, errno, "%s", path);
}

void
weir_send_source_close(struct weir_send_source *source)
{
    if (source->file != NULL && source->file != stdin)
        fclose(source->file);
    free(source->line);
}

bool
weir_send_source_next(struct weir_send_source *source, size_t *size)
{
    if (source->file != NULL) {
        ssize_t got = getline(&source->line, &source->capacity, source->file);
        *size = got > 0 ? (size_t)got : 0;
        if (ferror(source->file))
            source->error = errno;
        return got > 0;
    }
    if (source->made == source->count)
        return false;
    uint64_t series = source->made % source->series;
    int64_t time_ms = source->first_ms + (int64_t)(source->made / source->series);
    int used = source->protocol->line_make(source->line, source->capacity, series, source->made,
        time_ms);
    source->made++;
    *size = (size_t)used;
    return true;
}

enum weir_err
weir_send_source_ended(const struct weir_send_source *source)
{
    return source->error == 0 ? WEIR_OK
                              : weir_fail(WEIR_IO, source->error, "read %s", source->name);
}

enum weir_err
weir_send_source_fill(struct weir_send_source *source, uint8_t *out, size_t room, size_t *size)
{
    *size = 0;
    if (source->file != NULL) {
        ssize_t got;
        while ((got = read(fileno(source->file), out, room)) < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            source->error = errno;
            return weir_send_source_ended(source);
        }
        *size = (size_t)got;
        return WEIR_OK;
    }
    while (room > 0) {
        if (source->left == 0 && !weir_send_source_next(source, &source->left))
            return WEIR_OK;
        size_t whole = source->left_at + source->left;
        size_t bytes = source->left < room ? source->left : room;
        memcpy(out + *size, source->line + source->left_at, bytes);
        *size += bytes;
        room -= bytes;
        source->left -= bytes;
        source->left_at = source->left == 0 ? 0 : whole - source->left;
    }
    return WEIR_OK;
}
