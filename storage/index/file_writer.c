#include "storage/index/file_writer.h"

#include <stdio.h>
#include <string.h>

enum weir_err
weir_file_writer_open(struct weir_file_writer *writer, struct weir_io *io, const char *path)
{
    writer->io = io;
    writer->file = -1;
    writer->at = 0;
    writer->used = 0;
    writer->filling = 0;
    writer->writing = false;
    writer->failed = WEIR_OK;
    int size = snprintf(writer->path, sizeof writer->path, "%s", path);
    int more = snprintf(writer->temporary, sizeof writer->temporary, "%s.tmp", path);
    if (size < 0 || more < 0 || (size_t)more >= sizeof writer->temporary)
        return weir_fail(WEIR_INVALID, 0, "a path of more than %d bytes", PATH_MAX);
    /* left by a crash: its bytes must not show past the end of the new one */
    enum weir_err err = weir_io_unlink(io, writer->temporary);
    if (err != WEIR_OK && err != WEIR_NOT_FOUND)
        return err;
    return weir_io_open(io, writer->temporary, WEIR_IO_READ | WEIR_IO_WRITE | WEIR_IO_CREATE,
        &writer->file);
}

/* Waits for the buffer that is with the io. */
static enum weir_err
await_write(struct weir_file_writer *writer)
{
    struct weir_io_completion done = {0};
    while (writer->writing && weir_io_reap(writer->io, &done, 1, 1000000000) == 0)
        continue;
    if (writer->writing && done.result != 0 && writer->failed == WEIR_OK)
        writer->failed = weir_fail(weir_io_err(-done.result), -done.result, "write %s",
            writer->temporary);
    writer->writing = false;
    return writer->failed;
}

/* Gives the filled buffer to the io, once it has the other one back. */
static enum weir_err
submit(struct weir_file_writer *writer)
{
    enum weir_err err = await_write(writer);
    if (err != WEIR_OK || writer->used == 0)
        return err;
    err = weir_io_write(writer->io, writer->file, writer->buffers[writer->filling], writer->used,
        writer->at - writer->used, 0);
    if (err != WEIR_OK)
        return writer->failed = err;
    writer->writing = true;
    writer->filling ^= 1;
    writer->used = 0;
    return WEIR_OK;
}

enum weir_err
weir_file_writer_append(struct weir_file_writer *writer, const void *data, size_t size)
{
    const uint8_t *from = data;
    while (size != 0 && writer->failed == WEIR_OK) {
        size_t room = WEIR_FILE_WRITER_BUFFER - writer->used;
        size_t now = size < room ? size : room;
        memcpy(writer->buffers[writer->filling] + writer->used, from, now);
        writer->used += now;
        writer->at += now;
        from += now;
        size -= now;
        if (writer->used == WEIR_FILE_WRITER_BUFFER)
            (void)!submit(writer); /* kept in failed */
    }
    return writer->failed;
}

enum weir_err
weir_file_writer_align(struct weir_file_writer *writer, size_t alignment)
{
    static const uint8_t zeros[4096];
    size_t over = writer->at % alignment;
    return over == 0 ? writer->failed : weir_file_writer_append(writer, zeros, alignment - over);
}

enum weir_err
weir_file_writer_drain(struct weir_file_writer *writer)
{
    enum weir_err err = submit(writer);
    return err == WEIR_OK ? await_write(writer) : err;
}

enum weir_err
weir_file_writer_finish(struct weir_file_writer *writer)
{
    enum weir_err err = weir_file_writer_drain(writer);
    if (err == WEIR_OK)
        err = weir_io_flush(writer->io, writer->file);
    if (err == WEIR_OK) {
        err = weir_io_rename(writer->io, writer->temporary, writer->path);
        /* the rename may stand and its sync have failed */
        if (err != WEIR_OK)
            (void)!weir_io_unlink(writer->io, writer->path);
    }
    if (err != WEIR_OK) {
        weir_file_writer_abort(writer);
        return err;
    }
    weir_io_close(writer->io, writer->file);
    writer->file = -1;
    return WEIR_OK;
}

void
weir_file_writer_abort(struct weir_file_writer *writer)
{
    if (writer->file < 0)
        return;
    (void)!await_write(writer);
    weir_io_close(writer->io, writer->file);
    writer->file = -1;
    (void)!weir_io_unlink(writer->io, writer->temporary); /* else the next start removes it */
}
