#include "base/assert.h"
#include "base/crc.h"
#include "storage/manifest/layout.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define COPIES 2

static uint32_t
head_crc(const struct weir_manifest_head *head)
{
    return weir_crc32c(0, head, offsetof(struct weir_manifest_head, crc));
}

static uint8_t *
put(uint8_t *at, const void *table, size_t bytes)
{
    if (bytes != 0)
        memcpy(at, table, bytes);
    return at + bytes;
}

size_t
weir_manifest_encode(const struct weir_manifest *manifest)
{
    struct weir_manifest_head head = {.magic = WEIR_MANIFEST_MAGIC,
        .version = WEIR_MANIFEST_VERSION,
        .generation = manifest->generation,
        .keeper_offset = manifest->keeper_offset,
        .partition_count = manifest->partition_count,
        .part_count = manifest->part_count,
        .index_count = manifest->index_count};
    uint8_t *body = manifest->encoded + sizeof head;
    uint8_t *end =
        put(body, manifest->partitions, manifest->partition_count * sizeof manifest->partitions[0]);
    end = put(end, manifest->parts, manifest->part_count * sizeof manifest->parts[0]);
    end = put(end, manifest->indexes, manifest->index_count * sizeof manifest->indexes[0]);
    head.bytes = (uint64_t)(end - manifest->encoded);
    head.body_crc = weir_crc32c(0, body, (size_t)(end - body));
    memcpy(head.ledger, manifest->ledger, sizeof head.ledger);
    head.crc = head_crc(&head);
    memcpy(manifest->encoded, &head, sizeof head);
    return head.bytes;
}

static enum weir_err
damaged(const char *name, const char *what)
{
    return weir_fail(WEIR_CORRUPT, 0, "%s: %s", name, what);
}

static enum weir_err
check_head(const struct weir_manifest_head *head, size_t size, const char *name)
{
    if (head->magic != WEIR_MANIFEST_MAGIC || head->crc != head_crc(head))
        return damaged(name, "the head does not check out");
    if (head->version != WEIR_MANIFEST_VERSION || head->flags != 0)
        return weir_fail(WEIR_UNSUPPORTED, 0,
            "%s has version %u and flags %u, this program knows %d and 0; start the later program",
            name, head->version, head->flags, WEIR_MANIFEST_VERSION);
    if (head->partition_count > WEIR_MANIFEST_PARTITIONS_MAX ||
        head->part_count > WEIR_MANIFEST_PARTS_MAX || head->index_count > WEIR_MANIFEST_INDEXES_MAX)
        return damaged(name, "more entries than there can be");
    uint64_t wanted = sizeof *head + head->partition_count * sizeof(struct weir_partition) +
        head->part_count * sizeof(struct weir_manifest_part) +
        head->index_count * sizeof(struct weir_manifest_index);
    if (head->bytes != wanted || size != wanted)
        return damaged(name, "its size is not that of its entries");
    return WEIR_OK;
}

static const uint8_t *
get(void *table, const uint8_t *at, size_t bytes)
{
    if (bytes != 0)
        memcpy(table, at, bytes);
    return at + bytes;
}

enum weir_err
weir_manifest_decode(
    struct weir_manifest *manifest, const uint8_t *bytes, size_t size, const char *name)
{
    struct weir_manifest_head head;
    if (size < sizeof head)
        return damaged(name, "cut off in its head");
    memcpy(&head, bytes, sizeof head);
    enum weir_err err = check_head(&head, size, name);
    if (err != WEIR_OK)
        return err;
    const uint8_t *at = bytes + sizeof head;
    if (weir_crc32c(0, at, size - sizeof head) != head.body_crc)
        return damaged(name, "its entries do not check out");
    manifest->generation = head.generation;
    manifest->keeper_offset = head.keeper_offset;
    memcpy(manifest->ledger, head.ledger, sizeof head.ledger);
    manifest->partition_count = head.partition_count;
    manifest->part_count = head.part_count;
    manifest->index_count = head.index_count;
    at = get(manifest->partitions, at, head.partition_count * sizeof manifest->partitions[0]);
    at = get(manifest->parts, at, head.part_count * sizeof manifest->parts[0]);
    get(manifest->indexes, at, head.index_count * sizeof manifest->indexes[0]);
    err = weir_manifest_check(manifest);
    return err == WEIR_OK ? err : weir_err_prefix(err, name);
}

static enum weir_err
copy_path(const char *directory, unsigned copy, char *path)
{
    int size = snprintf(path, PATH_MAX, "%s/manifest.%u", directory, copy);
    return size < PATH_MAX ? WEIR_OK
                           : weir_fail(WEIR_INVALID, 0, "the path of %s is too long", directory);
}

/* Reads a copy into manifest->encoded. */
static enum weir_err
read_copy(struct weir_manifest *manifest, struct weir_io *io, const char *path, size_t *size)
{
    weir_io_file file;
    uint64_t bytes = 0;
    enum weir_err err = weir_io_open(io, path, WEIR_IO_READ, &file);
    if (err != WEIR_OK)
        return err;
    err = weir_io_size(io, file, &bytes);
    if (err == WEIR_OK && bytes > WEIR_MANIFEST_BYTES_MAX)
        err = damaged(path, "larger than there can be");
    if (err == WEIR_OK && bytes < sizeof(struct weir_manifest_head))
        err = damaged(path, "cut off in its head");
    if (err == WEIR_OK)
        err = weir_io_read(io, file, manifest->encoded, bytes, 0);
    if (err == WEIR_END)
        err = damaged(path, "cut off while it was read");
    weir_io_close(io, file);
    *size = bytes;
    return err;
}

static void
clear(struct weir_manifest *manifest)
{
    manifest->generation = manifest->keeper_offset = 0;
    manifest->partition_count = manifest->part_count = manifest->index_count = 0;
    memset(manifest->ledger, 0, sizeof manifest->ledger);
}

/* decode reads from encoded, which the check of file ids writes over when all is copied. */
static enum weir_err
load_copy(struct weir_manifest *manifest, struct weir_io *io, const char *directory, unsigned copy)
{
    char path[PATH_MAX];
    size_t size = 0;
    enum weir_err err = copy_path(directory, copy, path);
    if (err == WEIR_OK)
        err = read_copy(manifest, io, path, &size);
    if (err == WEIR_OK)
        err = weir_manifest_decode(manifest, manifest->encoded, size, path);
    return err;
}

/* Of two failures: a later program's file or a failing device is the answer whatever the other
 * copy is, and one that is damaged before one that is not there. */
static enum weir_err
worse(enum weir_err a, enum weir_err b)
{
    static const enum weir_err order[] = {WEIR_UNSUPPORTED, WEIR_IO, WEIR_NOMEM, WEIR_CORRUPT};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if (a == order[i] || b == order[i])
            return order[i];
    return a;
}

enum weir_err
weir_manifest_load(struct weir_manifest *manifest, struct weir_io *io, const char *directory)
{
    uint64_t generations[COPIES] = {0};
    enum weir_err errs[COPIES];
    for (unsigned copy = 0; copy < COPIES; copy++) {
        errs[copy] = load_copy(manifest, io, directory, copy);
        generations[copy] = manifest->generation;
    }
    enum weir_err err = worse(errs[0], errs[1]);
    bool one = errs[0] == WEIR_OK || errs[1] == WEIR_OK;
    if (one && err != WEIR_UNSUPPORTED) {
        unsigned newer =
            errs[1] == WEIR_OK && (errs[0] != WEIR_OK || generations[1] > generations[0]) ? 1 : 0;
        err = load_copy(manifest, io, directory, newer);
    } else if (errs[0] == WEIR_NOT_FOUND && errs[1] == WEIR_NOT_FOUND)
        err = weir_fail(WEIR_NOT_FOUND, 0, "no manifest in %s", directory);
    else if (errs[1] != err)
        err = load_copy(manifest, io, directory, 0); /* once more, for the detail of its failure */
    if (err != WEIR_OK)
        clear(manifest);
    return err;
}

enum weir_err
weir_manifest_save(struct weir_manifest *manifest, struct weir_io *io, const char *directory)
{
    WEIR_ASSERT(weir_manifest_check(manifest) == WEIR_OK);
    char path[PATH_MAX];
    manifest->generation++;
    size_t size = weir_manifest_encode(manifest);
    enum weir_err err = WEIR_OK;
    for (unsigned copy = 0; err == WEIR_OK && copy < COPIES; copy++) {
        err = copy_path(directory, copy, path);
        if (err == WEIR_OK)
            err = weir_io_replace(io, path, manifest->encoded, size);
    }
    return err;
}
