/* Manifests from a hostile disk, with checksums made right: what is taken keeps every promise, and
 * says the same when it is written again. */
#include "base/crc.h"
#include "storage/manifest/layout.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fix(uint8_t *bytes, size_t size)
{
    struct weir_manifest_head head;
    if (size < sizeof head)
        return;
    memcpy(&head, bytes, sizeof head);
    head.magic = WEIR_MANIFEST_MAGIC;
    head.version = WEIR_MANIFEST_VERSION;
    head.flags = 0;
    head.bytes = size;
    memset(head.reserved, 0, sizeof head.reserved);
    /* as many parts as the other entries leave room for */
    head.partition_count %= 8;
    head.index_count %= 8;
    size_t rest = sizeof head + head.partition_count * sizeof(struct weir_partition) +
        head.index_count * sizeof(struct weir_manifest_index);
    if (size >= rest)
        head.part_count = (uint32_t)((size - rest) / sizeof(struct weir_manifest_part));
    head.body_crc = weir_crc32c(0, bytes + sizeof head, size - sizeof head);
    head.crc = weir_crc32c(0, &head, offsetof(struct weir_manifest_head, crc));
    memcpy(bytes, &head, sizeof head);
}

/* The promises of manifest.h, each looked at in the slowest way. */
static void
look(const struct weir_manifest *manifest)
{
    uint64_t live = 0, said = 0;
    for (uint32_t i = 0; i < manifest->part_count; i++) {
        const struct weir_manifest_part *part = &manifest->parts[i];
        unsigned homes = 0;
        for (uint32_t j = 0; j < manifest->partition_count; j++) {
            const struct weir_partition *partition = &manifest->partitions[j];
            homes += part->time_min_ms >= partition->from_ms &&
                part->time_min_ms < partition->to_ms && part->time_max_ms < partition->to_ms;
        }
        if (homes != 1)
            abort();
        for (uint32_t j = 0; j < i; j++)
            if (manifest->parts[j].file_id == part->file_id)
                abort();
        live += part->samples;
    }
    for (unsigned i = 0; i < WEIR_MANIFEST_CLASSES; i++)
        said += manifest->ledger[i].live;
    if (live != said)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct weir_manifest *manifest;
    if (manifest == NULL && weir_manifest_new(&manifest) != WEIR_OK)
        abort();
    uint8_t *bytes = malloc(size == 0 ? 1 : size);
    memcpy(bytes, data, size);
    fix(bytes, size);
    if (weir_manifest_decode(manifest, bytes, size, "input") == WEIR_OK) {
        look(manifest);
        if (weir_manifest_encode(manifest) != size || memcmp(manifest->encoded, bytes, size) != 0)
            abort();
    }
    free(bytes);
    return 0;
}
