#include "storage/log/checkpoint.h"

#include "base/crc.h"

#include <stdlib.h>
#include <string.h>

static uint32_t
head_crc(const struct weir_checkpoint *checkpoint)
{
    return weir_crc32c(0, checkpoint, offsetof(struct weir_checkpoint, crc));
}

static enum weir_err
check_head(const struct weir_checkpoint *head, uint32_t stream, uint64_t file_size,
    const char *path)
{
    if (head->magic != WEIR_CHECKPOINT_MAGIC || head->crc != head_crc(head))
        return weir_fail(WEIR_CORRUPT, 0, "%s does not check out", path);
    if (head->version != WEIR_CHECKPOINT_VERSION)
        return weir_fail(WEIR_UNSUPPORTED, 0, "%s has version %u, this program knows %d", path,
            head->version, WEIR_CHECKPOINT_VERSION);
    if (head->stream != stream)
        return weir_fail(WEIR_CORRUPT, 0, "%s is of stream %u", path, head->stream);
    if (head->segment_bytes == 0 || head->segment_bytes % WEIR_IO_ALIGN != 0 ||
        head->first_index > UINT64_MAX / 2 / head->segment_bytes)
        return weir_fail(WEIR_CORRUPT, 0, "%s: the log begins at no place there can be", path);
    if (head->state_bytes != file_size - sizeof *head)
        return weir_fail(WEIR_CORRUPT, 0, "%s has %llu bytes of state entries, not %llu", path,
            (unsigned long long)(file_size - sizeof *head),
            (unsigned long long)head->state_bytes);
    return WEIR_OK;
}

static enum weir_err
read_sender_state(struct weir_io *io, weir_io_file file, const struct weir_checkpoint *head,
    const char *path, uint8_t **sender_state)
{
    *sender_state = NULL;
    if (head->state_bytes == 0)
        return WEIR_OK;
    uint8_t *read = malloc(head->state_bytes);
    if (read == NULL)
        return weir_fail(WEIR_NOMEM, 0, "state entries of %s", path);
    enum weir_err err = weir_io_read(io, file, read, head->state_bytes, sizeof *head);
    if (err == WEIR_OK && weir_crc32c(0, read, head->state_bytes) != head->state_crc)
        err = weir_fail(WEIR_CORRUPT, 0, "%s: the state entries do not check out", path);
    if (err != WEIR_OK) {
        free(read);
        return err;
    }
    *sender_state = read;
    return WEIR_OK;
}

enum weir_err
weir_checkpoint_read(struct weir_io *io, const char *directory, uint32_t stream,
    struct weir_checkpoint *out, uint8_t **sender_state)
{
    struct weir_checkpoint head;
    char path[PATH_MAX];
    weir_io_file file;
    uint64_t size = 0;
    memset(out, 0, sizeof *out);
    enum weir_err err = weir_log_path(directory, WEIR_LOG_CHECKPOINT, path);
    if (err == WEIR_OK)
        err = weir_io_open(io, path, WEIR_IO_READ, &file);
    if (err != WEIR_OK)
        return err;
    err = weir_io_size(io, file, &size);
    if (err == WEIR_OK && size < sizeof head)
        err = weir_fail(WEIR_CORRUPT, 0, "%s is cut off", path);
    if (err == WEIR_OK)
        err = weir_io_read(io, file, &head, sizeof head, 0);
    if (err == WEIR_OK)
        err = check_head(&head, stream, size, path);
    if (err == WEIR_OK && sender_state != NULL)
        err = read_sender_state(io, file, &head, path, sender_state);
    weir_io_close(io, file);
    if (err == WEIR_OK)
        *out = head;
    return err;
}

enum weir_err
weir_checkpoint_write(struct weir_io *io, const char *directory,
    struct weir_checkpoint checkpoint, const uint8_t *sender_state)
{
    char path[PATH_MAX];
    enum weir_err err = weir_log_path(directory, WEIR_LOG_CHECKPOINT, path);
    if (err != WEIR_OK)
        return err;
    checkpoint.magic = WEIR_CHECKPOINT_MAGIC;
    checkpoint.version = WEIR_CHECKPOINT_VERSION;
    checkpoint.state_crc = weir_crc32c(0, sender_state, checkpoint.state_bytes);
    checkpoint.crc = head_crc(&checkpoint);
    uint8_t *whole = malloc(sizeof checkpoint + checkpoint.state_bytes);
    if (whole == NULL)
        return weir_fail(WEIR_NOMEM, 0, "checkpoint with %llu bytes of state entries",
            (unsigned long long)checkpoint.state_bytes);
    memcpy(whole, &checkpoint, sizeof checkpoint);
    if (checkpoint.state_bytes != 0)
        memcpy(whole + sizeof checkpoint, sender_state, checkpoint.state_bytes);
    err = weir_io_replace(io, path, whole, sizeof checkpoint + checkpoint.state_bytes);
    free(whole);
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
