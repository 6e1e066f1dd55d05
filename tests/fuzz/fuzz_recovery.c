/* Recovery of a small log that was damaged. The input is a list of edits of five bytes, each:
 * 24 bits of place (epoch file first, then segments), 8 bits of how many bytes, 8 bits of value.
 * After each the damaged log must open, or be refused with a reason; one that opened takes a frame
 * and opens again with exactly that frame more. */
#include "storage/epoch.h"
#include "storage/io_backend.h"
#include "storage/log.h"

#include "base/event.h"
#include "base/labels.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE WEIR_FRAME_ALIGN
#define SEGMENT (8 * PAGE)
#define SEGMENTS 4
#define EPOCH sizeof(struct weir_epoch)
#define IMAGE (EPOCH + SEGMENTS * SEGMENT)
#define CHECK(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[64];
static struct weir_io_table table;
static struct weir_io *io;
static void *ring;
static struct weir_counts counts;
static uint8_t pristine[IMAGE], image[IMAGE];
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

static enum weir_err
no_sync(weir_io_file file)
{
    (void)file;
    return WEIR_OK;
}

static enum weir_err
replace(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
    return WEIR_OK;
}

static void
path_of(size_t file, char *path, size_t size)
{
    if (file == 0)
        snprintf(path, size, "%s/epoch", directory);
    else
        weir_log_segment_path(directory, file - 1, path, size);
}

static void
files(bool put)
{
    for (size_t file = 0; file <= SEGMENTS + 2; file++) {
        char path[128];
        path_of(file, path, sizeof path);
        uint8_t *at = file == 0 ? image : image + EPOCH + (file - 1) * SEGMENT;
        size_t size = file == 0 ? EPOCH : SEGMENT;
        if (file > SEGMENTS) {
            unlink(path);
        } else if (put) {
            replace(path, at, size);
        } else {
            int fd = open(path, O_RDONLY);
            CHECK(fd >= 0 && read(fd, at, size) == (ssize_t)size);
            close(fd);
        }
    }
}

static enum weir_err
open_log(struct weir_log **log, struct weir_log_recovery *recovery)
{
    struct weir_log_options options = {.directory = directory,
        .segment_bytes = SEGMENT,
        .size_max = 16 * SEGMENT,
        .io = io,
        .ring = ring,
        .counts = &counts,
        .define = define};
    defined = 0;
    CHECK(madvise(ring, weir_frame_ring_bytes_min(), MADV_DONTNEED) == 0);
    CHECK(weir_frame_ring_init(ring, weir_frame_ring_bytes_min()) == WEIR_OK);
    return weir_log_open(&options, log, recovery);
}

static void
append(struct weir_log *log, uint64_t n)
{
    static uint8_t list[256];
    struct weir_log_done done;
    size_t count, used = 0;
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
    while (weir_log_append(log, &batch) == WEIR_AGAIN)
        CHECK(weir_log_poll(log, 0, &done, 1, &count) == WEIR_OK);
    while (weir_log_durable(log) != weir_log_end(log))
        CHECK(weir_log_poll(log, 0, &done, 1, &count) == WEIR_OK);
}

static void
begin(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%.40s/weir-fuzz-%d", base != NULL ? base : "/dev/shm",
        (int)getpid());
    table = weir_io_sync_table;
    table.flush = no_sync;
    table.replace = replace;
    weir_event_init("fuzz", (enum weir_level)(WEIR_ERROR + 1)); /* every damage is an event */
    struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    CHECK(weir_io_new_with(&table, &options, &io) == WEIR_OK);
    ring = mmap(NULL, weir_frame_ring_bytes_min(), PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(ring != MAP_FAILED);
    struct weir_log *log;
    struct weir_log_recovery recovery;
    CHECK(open_log(&log, &recovery) == WEIR_OK);
    for (uint64_t n = 1; weir_log_end(log) < SEGMENTS * SEGMENT - 2 * PAGE; n++)
        append(log, n);
    files(false); /* as killed now */
    memcpy(pristine, image, sizeof image);
    weir_log_close(log);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (io == NULL)
        begin();
    memcpy(image, pristine, sizeof image);
    for (size_t i = 0; i + 5 <= size; i += 5) {
        size_t at = ((size_t)data[i] << 16 | (size_t)data[i + 1] << 8 | data[i + 2]) % IMAGE;
        size_t bytes = (size_t)1 + data[i + 3];
        if (data[i + 3] >= 128) /* whole pages */
            bytes = (bytes - 128) % 16 * PAGE;
        if (bytes > IMAGE - at)
            bytes = IMAGE - at;
        for (size_t k = 0; k < bytes; k++)
            image[at + k] = data[i + 4] == 0 ? 0 : image[at + k] ^ data[i + 4];
    }
    files(true);
    struct weir_log *log;
    struct weir_log_recovery first, second;
    if (open_log(&log, &first) != WEIR_OK)
        return 0;
    append(log, 900);
    uint64_t end = weir_log_end(log), through = defined;
    weir_log_close(log);
    CHECK(open_log(&log, &second) == WEIR_OK);
    CHECK(second.end_offset == end);
    CHECK(second.frames == first.frames + 1);
    CHECK(second.time_max_ms == 900);
    CHECK(second.dataplane_epoch == first.dataplane_epoch + 1);
    CHECK(defined == through);
    weir_log_close(log);
    return 0;
}
