#include "storage/log/epoch.h"

#include "base/crc.h"
#include "base/mutant.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define LATER_MAX 4096

static uint32_t
epoch_crc(const struct weir_epoch *epoch)
{
    return weir_crc32c(0, epoch, offsetof(struct weir_epoch, crc));
}

static bool
is_known(uint32_t version)
{
    return version == 1 || version == WEIR_EPOCH_VERSION;
}

/* A file of a later version may have any size. It begins with magic and version, and ends with the
 * CRC-32C of all before. */
static bool
is_later(struct weir_io *io, weir_io_file file)
{
    uint8_t bytes[LATER_MAX] = {0};
    struct weir_epoch head;
    uint64_t size;
    uint32_t crc;
    if (weir_io_size(io, file, &size) != WEIR_OK || size > sizeof bytes ||
        size < offsetof(struct weir_epoch, stream) + sizeof crc ||
        weir_io_read(io, file, bytes, size, 0) != WEIR_OK)
        return false;
    memcpy(&head, bytes, offsetof(struct weir_epoch, stream));
    memcpy(&crc, bytes + size - sizeof crc, sizeof crc);
    return head.magic == WEIR_EPOCH_MAGIC && !is_known(head.version) &&
        crc == weir_crc32c(0, bytes, size - sizeof crc);
}

static enum weir_err
read_once(struct weir_io *io, const char *path, uint32_t stream, struct weir_epoch *out)
{
    weir_io_file file;
    enum weir_err err = weir_io_open(io, path, WEIR_IO_READ, &file);
    if (err != WEIR_OK)
        return err;
    bool later = is_later(io, file);
    err = weir_io_read(io, file, out, sizeof *out, 0);
    weir_io_close(io, file);
    if (later)
        return weir_fail(WEIR_UNSUPPORTED, 0, "%s is a later program's; start that program", path);
    if (err == WEIR_END)
        return weir_fail(WEIR_CORRUPT, 0, "%s is cut off", path);
    if (err != WEIR_OK)
        return err;
    if (out->magic != WEIR_EPOCH_MAGIC ||
        (out->crc != epoch_crc(out) && !weir_mutant(epoch_unchecked)))
        return weir_fail(WEIR_CORRUPT, 0, "%s does not check out", path);
    if (!is_known(out->version))
        return weir_fail(WEIR_UNSUPPORTED, 0, "%s has version %u, this program knows %d", path,
            out->version, WEIR_EPOCH_VERSION);
    if (out->stream != stream)
        return weir_fail(WEIR_CORRUPT, 0, "%s is of stream %u", path, out->stream);
    return WEIR_OK;
}

enum weir_err
weir_epoch_read(struct weir_io *io, const char *directory, uint32_t stream,
    struct weir_epoch *out)
{
    char path[PATH_MAX];
    enum weir_err err = weir_log_path(directory, WEIR_LOG_EPOCH, path);
    if (err == WEIR_OK)
        err = read_once(io, path, stream, out);
    /* a reader that was held up reads in the spare, which is being written (storage/io/io.h) */
    return err == WEIR_CORRUPT ? read_once(io, path, stream, out) : err;
}

enum weir_err
weir_epoch_write(struct weir_io *io, const char *directory, struct weir_epoch epoch)
{
    char path[PATH_MAX];
    enum weir_err err = weir_log_path(directory, WEIR_LOG_EPOCH, path);
    if (err != WEIR_OK)
        return err;
    epoch.magic = WEIR_EPOCH_MAGIC;
    epoch.version = WEIR_EPOCH_VERSION;
    epoch.crc = epoch_crc(&epoch);
    return weir_io_replace_spare(io, path, &epoch, sizeof epoch);
}
