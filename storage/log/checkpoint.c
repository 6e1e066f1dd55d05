#include "storage/log/checkpoint.h"

#include "base/crc.h"
#include "base/event.h"
#include "base/mutant.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One copy, as it is in its file. */
struct copy {
    struct weir_checkpoint head;
    uint8_t *content; /* NULL where there is none, or nobody wants it */
};

static uint32_t
head_crc(const struct weir_checkpoint *checkpoint)
{
    return weir_crc32c(0, checkpoint, offsetof(struct weir_checkpoint, crc));
}

static enum weir_err
check_places(const struct weir_checkpoint *head, uint32_t stream, const char *path)
{
    if (head->stream != stream)
        return weir_fail(WEIR_CORRUPT, 0, "%s is of stream %u", path, head->stream);
    bool possible = head->segment_bytes != 0 && head->segment_bytes % WEIR_IO_ALIGN == 0 &&
        head->first_index <= UINT64_MAX / 2 / head->segment_bytes &&
        head->resume_offset >= head->first_index * head->segment_bytes &&
        head->resume_offset % WEIR_IO_ALIGN == 0 && head->resume_offset <= UINT64_MAX / 2;
    if (!possible)
        return weir_fail(WEIR_CORRUPT, 0, "%s: the log begins at no place there can be", path);
    return WEIR_OK;
}

static enum weir_err
check_head(const struct weir_checkpoint *head, uint32_t stream, uint64_t file_size,
    const char *path)
{
    if (head->magic != WEIR_CHECKPOINT_MAGIC ||
        (head->crc != head_crc(head) && !weir_mutant(checkpoint_head_unchecked)))
        return weir_fail(WEIR_CORRUPT, 0, "%s does not check out", path);
    if (head->version != WEIR_CHECKPOINT_VERSION)
        return weir_fail(WEIR_UNSUPPORTED, 0, "%s has version %u, this program knows %d", path,
            head->version, WEIR_CHECKPOINT_VERSION);
    if (head->state_bytes > file_size ||
        file_size - head->state_bytes != sizeof *head + head->fingerprint_bytes)
        return weir_fail(WEIR_CORRUPT, 0, "%s has %llu bytes, not those of its parts", path,
            (unsigned long long)file_size);
    return check_places(head, stream, path);
}

/* `size` bytes after a head of head_size bytes. */
static enum weir_err
read_content(struct weir_io *io, weir_io_file file, size_t head_size, uint64_t size, uint32_t crc,
    const char *path, uint8_t **content)
{
    if (size == 0)
        return WEIR_OK;
    uint8_t *read = malloc(size);
    if (read == NULL)
        return weir_fail(WEIR_NOMEM, 0, "state entries of %s", path);
    enum weir_err err = weir_io_read(io, file, read, size, head_size);
    if (err == WEIR_OK && weir_crc32c(0, read, size) != crc &&
        !weir_mutant(checkpoint_content_unchecked))
        err = weir_fail(WEIR_CORRUPT, 0, "%s: the state entries do not check out", path);
    if (err == WEIR_OK)
        *content = read;
    else
        free(read);
    return err;
}

/* Opens a file and reads its head. */
static enum weir_err
open_head(struct weir_io *io, const char *path, weir_io_file *file, void *head, size_t head_size,
    uint64_t *size)
{
    enum weir_err err = weir_io_open(io, path, WEIR_IO_READ, file);
    if (err != WEIR_OK)
        return err;
    err = weir_io_size(io, *file, size);
    if (err == WEIR_OK && *size < head_size)
        err = weir_fail(WEIR_CORRUPT, 0, "%s is cut off", path);
    if (err == WEIR_OK)
        err = weir_io_read(io, *file, head, head_size, 0);
    if (err != WEIR_OK)
        weir_io_close(io, *file);
    return err;
}

/* The content is read even where nobody wants it: a copy with a damaged one does not count. */
static enum weir_err
read_copy(struct weir_io *io, const char *path, uint32_t stream, struct copy *copy)
{
    weir_io_file file;
    uint64_t size;
    copy->content = NULL;
    enum weir_err err = open_head(io, path, &file, &copy->head, sizeof copy->head, &size);
    if (err != WEIR_OK)
        return err;
    err = check_head(&copy->head, stream, size, path);
    if (err == WEIR_OK)
        err = read_content(io, file, sizeof copy->head,
            copy->head.state_bytes + copy->head.fingerprint_bytes, copy->head.content_crc, path,
            &copy->content);
    weir_io_close(io, file);
    return err;
}

/* The fields of version 1 under the names of this one. */
static void
from_version_one(const struct weir_checkpoint_v1 *old, struct weir_checkpoint *head)
{
    *head = (struct weir_checkpoint){.stream = old->stream,
        .previous_known = old->previous_known,
        .segment_bytes = old->segment_bytes,
        .first_index = old->first_index,
        .dataplane_epoch = old->dataplane_epoch,
        .definitions_through = old->definitions_through,
        .definitions_bytes = old->definitions_bytes,
        .samples_trimmed = old->samples_trimmed,
        .time_max_ms = old->time_max_ms,
        .previous_crc = old->previous_crc,
        .resume_epoch = old->dataplane_epoch,
        .resume_definitions = old->definitions_through,
        .resume_time_max_ms = old->time_max_ms,
        .resume_crc = old->previous_crc,
        .resume_known = old->previous_known,
        .state_bytes = old->state_bytes};
    if (old->segment_bytes != 0 && old->first_index <= UINT64_MAX / 2 / old->segment_bytes)
        head->resume_offset = old->first_index * old->segment_bytes;
}

static enum weir_err
check_version_one(const struct weir_checkpoint_v1 *old, uint64_t file_size, const char *path)
{
    if (old->magic != WEIR_CHECKPOINT_MAGIC ||
        old->crc != weir_crc32c(0, old, offsetof(struct weir_checkpoint_v1, crc)))
        return weir_fail(WEIR_CORRUPT, 0, "%s does not check out", path);
    if (old->version != 1)
        return weir_fail(WEIR_UNSUPPORTED, 0, "%s has version %u, this program knows 1", path,
            old->version);
    if (old->state_bytes != file_size - sizeof *old)
        return weir_fail(WEIR_CORRUPT, 0, "%s has %llu bytes of state entries, not %llu", path,
            (unsigned long long)(file_size - sizeof *old), (unsigned long long)old->state_bytes);
    return WEIR_OK;
}

static enum weir_err
read_version_one(struct weir_io *io, const char *path, uint32_t stream, struct copy *copy)
{
    struct weir_checkpoint_v1 old;
    weir_io_file file;
    uint64_t size;
    copy->content = NULL;
    enum weir_err err = open_head(io, path, &file, &old, sizeof old, &size);
    if (err != WEIR_OK)
        return err;
    err = check_version_one(&old, size, path);
    if (err == WEIR_OK) {
        from_version_one(&old, &copy->head);
        err = check_places(&copy->head, stream, path);
    }
    if (err == WEIR_OK)
        err = read_content(io, file, sizeof old, old.state_bytes, old.state_crc, path,
            &copy->content);
    weir_io_close(io, file);
    return err;
}

/* Errors that say nothing about the copy, or that hold whatever the other says. */
static bool
is_final(enum weir_err err)
{
    return err == WEIR_UNSUPPORTED || weir_io_is_short(err);
}

/* Reads both copies and gives out the newer whole one. One that the device fails to read is as good
 * as a damaged one while the other is whole. */
static enum weir_err
choose(struct weir_io *io, char paths[2][PATH_MAX], uint32_t stream, struct copy *out)
{
    struct copy copies[2];
    enum weir_err err = WEIR_NOT_FOUND;
    char reason[512] = "";
    int chosen = -1;
    for (int i = 0; i < 2; i++) {
        enum weir_err read = read_copy(io, paths[i], stream, &copies[i]);
        bool newer = read == WEIR_OK &&
            (chosen < 0 || copies[i].head.generation > copies[chosen].head.generation);
        if (read != WEIR_OK && read != WEIR_NOT_FOUND) {
            err = read;
            snprintf(reason, sizeof reason, "%s", weir_err_detail());
        }
        if (chosen >= 0 && (newer || is_final(read)))
            free(copies[chosen].content);
        else if (read == WEIR_OK && !newer)
            free(copies[i].content);
        if (is_final(read))
            return read;
        chosen = newer ? i : chosen;
    }
    if (chosen < 0)
        return reason[0] == 0 ? err : weir_fail(err, 0, "%s", reason);
    if (reason[0] != 0)
        weir_event(WEIR_LEVEL_WARN, "checkpoint_damaged", "reason=\"%s\" fallback=\"%s\"",
            reason, paths[chosen]);
    *out = copies[chosen];
    return WEIR_OK;
}

static enum weir_err
paths_of(const char *directory, char paths[3][PATH_MAX])
{
    static const char *const names[] = {
        WEIR_LOG_CHECKPOINT_0, WEIR_LOG_CHECKPOINT_1, WEIR_LOG_CHECKPOINT_OLD};
    enum weir_err err = WEIR_OK;
    for (int i = 0; i < 3 && err == WEIR_OK; i++)
        err = weir_log_path(directory, names[i], paths[i]);
    return err;
}

enum weir_err
weir_checkpoint_read(struct weir_io *io, const char *directory, uint32_t stream,
    struct weir_checkpoint *out, uint8_t **content)
{
    struct copy copy = {.content = NULL};
    char paths[3][PATH_MAX];
    memset(out, 0, sizeof *out);
    enum weir_err err = paths_of(directory, paths);
    if (err == WEIR_OK)
        err = choose(io, paths, stream, &copy);
    if (err == WEIR_NOT_FOUND)
        err = read_version_one(io, paths[2], stream, &copy);
    if (err != WEIR_OK)
        return err;
    *out = copy.head;
    if (content != NULL)
        *content = copy.content;
    else
        free(copy.content);
    return WEIR_OK;
}

/* The copies one after the other: a crash between leaves the new one or the old one twice, or one
 * of each, and whatever the old one needs is there until both are written. */
enum weir_err
weir_checkpoint_write(struct weir_io *io, const char *directory,
    struct weir_checkpoint checkpoint, const uint8_t *content)
{
    char paths[3][PATH_MAX];
    enum weir_err err = paths_of(directory, paths);
    if (err != WEIR_OK)
        return err;
    size_t size = checkpoint.state_bytes + checkpoint.fingerprint_bytes;
    checkpoint.magic = WEIR_CHECKPOINT_MAGIC;
    checkpoint.version = WEIR_CHECKPOINT_VERSION;
    checkpoint.content_crc = weir_crc32c(0, content, size);
    checkpoint.crc = head_crc(&checkpoint);
    uint8_t *whole = malloc(sizeof checkpoint + size);
    if (whole == NULL)
        return weir_fail(WEIR_NOMEM, 0, "checkpoint with %zu bytes of state entries", size);
    memcpy(whole, &checkpoint, sizeof checkpoint);
    if (size != 0)
        memcpy(whole + sizeof checkpoint, content, size);
    for (int i = 0; i < 2 && err == WEIR_OK; i++)
        err = weir_io_replace(io, paths[i], whole, sizeof checkpoint + size);
    free(whole);
    if (err == WEIR_OK) {
        err = weir_io_unlink(io, paths[2]);
        err = err == WEIR_NOT_FOUND ? WEIR_OK : err;
    }
    return err;
}

enum weir_err
weir_checkpoint_state_next(
    const uint8_t *sender_state, size_t size, size_t *at, const uint8_t **list, size_t *list_size)
{
    if (*at == size)
        return WEIR_END;
    uint64_t bytes;
    if (size - *at < sizeof bytes)
        return weir_fail(
            WEIR_CORRUPT, 0, "state entries of the checkpoint are cut off at %zu", *at);
    memcpy(&bytes, sender_state + *at, sizeof bytes);
    if (bytes % 8 != 0 || bytes > size - *at - sizeof bytes)
        return weir_fail(
            WEIR_CORRUPT, 0, "state entries of the checkpoint at %zu do not check out", *at);
    *list = sender_state + *at + sizeof bytes;
    *list_size = (size_t)bytes;
    *at += sizeof bytes + (size_t)bytes;
    return WEIR_OK;
}
