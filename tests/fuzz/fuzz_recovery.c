/* Recovery of a small log that was damaged. The input is a byte that tells which log, one that was
 * recycled where it is odd, then a list of edits of five bytes, each: 24 bits of place (epoch file
 * first, then the copies of the checkpoint, definitions, segments), 8 bits of how many bytes, 8
 * bits of value. After each the damaged log must open, or be refused with a reason; one that opened
 * takes a frame and opens again with exactly that frame more. */
#include "storage/io/backend.h"
#include "storage/log/format.h"
#include "storage/log/upkeep/checkpointer.h"
#include "storage/log/writer/log.h"

#include "base/event.h"
#include "model/labels.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE WEIR_FRAME_ALIGN
#define SEGMENT (8 * PAGE)
#define SEGMENTS 4
#define SMALL_FILES 4
#define EPOCH sizeof(struct weir_epoch)
#define CHECKPOINT sizeof(struct weir_checkpoint)
#define DEFINITIONS (8 * PAGE)
#define IMAGE (EPOCH + 2 * CHECKPOINT + DEFINITIONS + SEGMENTS * SEGMENT)
#define FIRST 3 /* segment that the recycled log begins at */
#define CHECK(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[64];
static struct weir_io_table table;
static struct weir_io *io;
static void *ring;
static struct weir_counts counts;
static uint8_t pristine[2][IMAGE], image[IMAGE]; /* of the log that grew, of the recycled one */
static uint64_t defined;
static struct weir_batch batch;

static enum weir_err
define(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    (void)context;
    struct weir_label label;
    size_t at = 0;
    enum weir_err err = WEIR_OK;
    CHECK(number == defined++);
    while (err == WEIR_OK) /* all of it can be read */
        err = weir_labels_next(labels, size, &at, &label);
    return WEIR_OK;
}

static int
no_sync(struct weir_io *unused, weir_io_file file)
{
    (void)unused, (void)file;
    return 0;
}

static int
no_directory_sync(struct weir_io *unused, const char *path)
{
    (void)unused, (void)path;
    return 0;
}

static void
put_file(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

/* The files of the image, in its order. */
static const size_t sizes[] = {
    EPOCH, CHECKPOINT, CHECKPOINT, DEFINITIONS, SEGMENT, SEGMENT, SEGMENT, SEGMENT};
#define FILES (sizeof sizes / sizeof sizes[0])
_Static_assert(FILES == SMALL_FILES + SEGMENTS, "all of them");

static void
path_of(size_t file, bool recycled, char *path, size_t size)
{
    static const char *const names[SMALL_FILES] = {"epoch", "checkpoint.0", "checkpoint.1",
        "definitions"};
    if (file < SMALL_FILES)
        snprintf(path, size, "%s/%s", directory, names[file]);
    else
        weir_log_segment_path(directory, file - SMALL_FILES + (recycled ? FIRST : 0), path, size);
}

static void
remove_all(void)
{
    char path[128];
    for (size_t file = 0; file < FILES + FIRST + 2; file++) {
        path_of(file, false, path, sizeof path);
        unlink(path);
    }
}

static void
put_files(bool recycled)
{
    char path[128];
    size_t at = 0;
    remove_all();
    for (size_t file = 0; file < FILES; at += sizes[file++]) {
        path_of(file, recycled, path, sizeof path);
        if (recycled || file == 0 || file >= SMALL_FILES)
            put_file(path, image + at, sizes[file]);
    }
}

/* A file shorter than its place in the image is followed by zeros. */
static void
read_files(bool recycled)
{
    char path[128];
    size_t at = 0;
    memset(image, 0, sizeof image);
    for (size_t file = 0; file < FILES; at += sizes[file++]) {
        path_of(file, recycled, path, sizeof path);
        int fd = open(path, O_RDONLY);
        if (fd < 0 && !recycled && file != 0 && file < SMALL_FILES)
            continue;
        ssize_t got = fd < 0 ? -1 : read(fd, image + at, sizes[file]);
        CHECK(file == SMALL_FILES - 1 ? got > 0 : got == (ssize_t)sizes[file]);
        close(fd);
    }
}

static enum weir_err
open_log(uint64_t segments, struct weir_log **log, struct weir_log_recovery *recovery)
{
    struct weir_log_options options = {.directory = directory,
        .segment_bytes = SEGMENT,
        .size_max = segments * SEGMENT,
        .io = io,
        .ring = ring,
        .counts = &counts,
        .define = define};
    defined = 0;
    CHECK(madvise(ring, weir_frame_ring_bytes_min(), MADV_DONTNEED) == 0);
    CHECK(weir_frame_ring_init(ring, weir_frame_ring_bytes_min()) == WEIR_OK);
    return weir_log_open(&options, log, recovery);
}

static struct weir_checkpointer *checkpointer; /* of the log being made; or NULL */

static void
poll_log(struct weir_log *log)
{
    struct weir_log_done done;
    size_t count;
    CHECK(weir_log_poll(log, 0, &done, 1, &count) == WEIR_OK);
    if (checkpointer == NULL)
        return;
    (void)weir_checkpointer_run_once(checkpointer);
    (void)weir_log_follow_trim(log);
}

static void
append(struct weir_log *log, uint64_t n)
{
    static uint8_t list[256];
    size_t used = 0;
    weir_batch_reset(&batch);
    batch.number = n;
    batch.definitions = list;
    batch.definition_first = defined;
    batch.definition_count = 1;
    uint8_t labels[] = {8, 0, 1, 0, '_', '_', 'n', 'a', 'm', 'e', '_', '_', 'a'};
    CHECK(weir_definition_append(list, sizeof list, &used, labels, sizeof labels) == WEIR_OK);
    batch.definition_bytes = (uint32_t)used;
    defined++;
    for (uint64_t i = 0; i < (n % 4 == 0 ? 1000 : 3); i++)
        weir_batch_append(&batch, weir_sample_key(i, WEIR_VALUE_DECIMAL, 0), (int64_t)n, n + i);
    enum weir_err err;
    while ((err = weir_log_append(log, &batch)) == WEIR_AGAIN)
        poll_log(log);
    CHECK(err == WEIR_OK);
    while (weir_log_durable(log) != weir_log_end(log))
        poll_log(log);
}

static void
make_grown(void)
{
    struct weir_log *log;
    struct weir_log_recovery recovery;
    CHECK(open_log(16, &log, &recovery) == WEIR_OK);
    for (uint64_t n = 1; weir_log_end(log) < SEGMENTS * SEGMENT - 2 * PAGE; n++)
        append(log, n);
    read_files(false); /* as killed now */
    memcpy(pristine[0], image, sizeof image);
    weir_log_close(log);
}

static void
make_recycled(void)
{
    struct weir_log *log;
    struct weir_log_recovery recovery;
    remove_all();
    CHECK(open_log(SEGMENTS, &log, &recovery) == WEIR_OK);
    struct weir_io_options io_options = {.backend = WEIR_IO_SYNC};
    struct weir_checkpointer_options options = {
        .directory = directory, .trim = weir_log_trim(log)};
    CHECK(weir_io_new_with(&table, &io_options, &options.io) == WEIR_OK);
    CHECK(weir_checkpointer_new(&options, &checkpointer) == WEIR_OK);
    uint64_t n = 1;
    while (weir_log_first(log) < FIRST * SEGMENT)
        append(log, n++);
    weir_checkpointer_free(checkpointer);
    weir_io_free(options.io);
    checkpointer = NULL;
    while (weir_log_end(log) <= (FIRST + SEGMENTS - 1) * SEGMENT + PAGE) /* into the last */
        append(log, n++);
    read_files(true);
    memcpy(pristine[1], image, sizeof image);
    weir_log_close(log);
}

static void
begin(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%.40s/weir-fuzz-%d", base != NULL ? base : "/dev/shm",
        (int)getpid());
    table = weir_io_sync_table;
    table.fsync = table.fdatasync = no_sync;
    table.fsync_directory = no_directory_sync;
    weir_event_init("fuzz", (enum weir_level)(WEIR_LEVEL_ERROR + 1)); /* every damage is an event */
    struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    CHECK(weir_io_new_with(&table, &options, &io) == WEIR_OK);
    ring = mmap(NULL, weir_frame_ring_bytes_min(), PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(ring != MAP_FAILED);
    make_grown();
    make_recycled();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (io == NULL)
        begin();
    bool recycled = size > 0 && data[0] % 2 != 0;
    memcpy(image, pristine[recycled], sizeof image);
    for (size_t i = 1; i + 5 <= size; i += 5) {
        size_t at = ((size_t)data[i] << 16 | (size_t)data[i + 1] << 8 | data[i + 2]) % IMAGE;
        size_t bytes = (size_t)1 + data[i + 3];
        if (data[i + 3] >= 128) /* whole pages */
            bytes = (bytes - 128) % 16 * PAGE;
        if (bytes > IMAGE - at)
            bytes = IMAGE - at;
        for (size_t k = 0; k < bytes; k++)
            image[at + k] = data[i + 4] == 0 ? 0 : image[at + k] ^ data[i + 4];
    }
    put_files(recycled);
    struct weir_log *log;
    struct weir_log_recovery first, second;
    if (open_log(16, &log, &first) != WEIR_OK)
        return 0;
    append(log, 900);
    uint64_t end = weir_log_end(log), through = defined;
    weir_log_close(log);
    CHECK(open_log(16, &log, &second) == WEIR_OK);
    CHECK(second.end_offset == end);
    CHECK(second.frames == first.frames + 1);
    CHECK(second.time_max_ms == 900);
    CHECK(second.dataplane_epoch == first.dataplane_epoch + 1);
    CHECK(defined == through);
    weir_log_close(log);
    return 0;
}
