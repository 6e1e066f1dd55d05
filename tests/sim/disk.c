#include "tests/sim/disk.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INODES_MAX 512
#define SPACE (UINT64_C(64) << 20)

void
sim_disk_init(struct sim_disk *disk, struct sim_random *random)
{
    memset(disk, 0, sizeof *disk);
    disk->random = random;
    disk->space = SPACE;
    disk->inodes = calloc(INODES_MAX, sizeof *disk->inodes);
    WEIR_ASSERT(disk->inodes != NULL);
    strcpy(disk->names.entries[0].path, "/");
    disk->names.entries[0].inode = 0;
    disk->names.count = disk->inode_count = 1;
    disk->inodes[0].used = disk->inodes[0].is_directory = true;
    disk->durable_names = disk->names;
}

/* ---- inodes ---- */

static void
drop_overlay(struct sim_inode *inode, size_t sector)
{
    free(inode->overlays[sector]);
    inode->overlays[sector] = NULL;
}

static void
free_inode(struct sim_disk *disk, struct sim_inode *inode)
{
    for (size_t i = 0; i < inode->capacity; i++)
        drop_overlay(inode, i);
    disk->space += inode->capacity * SIM_SECTOR;
    free(inode->shown);
    free(inode->platter);
    free(inode->written);
    free(inode->overlays);
    memset(inode, 0, sizeof *inode);
}

void
sim_disk_fini(struct sim_disk *disk)
{
    for (size_t i = 0; i < disk->inode_count; i++)
        free_inode(disk, &disk->inodes[i]);
    free(disk->inodes);
}

static bool
is_named(const struct sim_names *names, int inode)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->entries[i].inode == inode)
            return true;
    return false;
}

/* Nobody can reach it any more: by no name, nor by one that a cut may bring back. */
static void
collect(struct sim_disk *disk)
{
    for (size_t i = 1; i < disk->inode_count; i++) {
        int inode = (int)i;
        bool held = !disk->inodes[i].used || is_named(&disk->names, inode) ||
            is_named(&disk->durable_names, inode) || disk->is_open(disk->open_context, inode);
        for (size_t k = 0; !held && k < disk->change_count; k++)
            for (int n = 0; n < disk->changes[k].count; n++)
                held |= disk->changes[k].inodes[n] == inode;
        if (!held)
            free_inode(disk, &disk->inodes[i]);
    }
}

static int
new_inode(struct sim_disk *disk)
{
    collect(disk);
    size_t i = 1;
    while (i < disk->inode_count && disk->inodes[i].used)
        i++;
    WEIR_ASSERT(i < INODES_MAX);
    if (i == disk->inode_count)
        disk->inode_count++;
    disk->inodes[i].used = true;
    return (int)i;
}

/* ---- names ---- */

static void
directory_of(const char *path, char directory[SIM_PATH_MAX])
{
    WEIR_ASSERT(strlen(path) < SIM_PATH_MAX && path[0] == '/');
    strcpy(directory, path);
    char *slash = strrchr(directory, '/');
    slash[slash == directory] = '\0';
}

static int
find_in(const struct sim_names *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->entries[i].path, path) == 0)
            return (int)i;
    return -1;
}

int
sim_disk_find(const struct sim_disk *disk, const char *path)
{
    int at = find_in(&disk->names, path);
    return at < 0 ? -1 : disk->names.entries[at].inode;
}

const char *
sim_disk_name(const struct sim_disk *disk, int inode)
{
    for (size_t i = 0; i < disk->names.count; i++)
        if (disk->names.entries[i].inode == inode)
            return disk->names.entries[i].path;
    return NULL;
}

static void
assign(struct sim_names *names, const char *path, int inode)
{
    int at = find_in(names, path);
    if (inode < 0) {
        if (at >= 0)
            names->entries[at] = names->entries[--names->count];
        return;
    }
    if (at < 0) {
        WEIR_ASSERT(names->count < SIM_NAMES_MAX);
        at = (int)names->count++;
        snprintf(names->entries[at].path, SIM_PATH_MAX, "%s", path);
    }
    names->entries[at].inode = inode;
}

static void
apply(struct sim_names *names, const struct sim_change *change)
{
    for (int i = 0; i < change->count; i++)
        assign(names, change->paths[i], change->inodes[i]);
}

/* Both names are of one directory: the product renames within one. */
static void
change(struct sim_disk *disk, const char *one, int one_inode, const char *other, int other_inode)
{
    WEIR_ASSERT(disk->change_count < SIM_CHANGES_MAX);
    struct sim_change *made = &disk->changes[disk->change_count++];
    memset(made, 0, sizeof *made);
    directory_of(one, made->directory);
    snprintf(made->paths[0], SIM_PATH_MAX, "%s", one);
    made->inodes[0] = one_inode;
    made->count = 1;
    if (other != NULL) {
        char directory[SIM_PATH_MAX];
        directory_of(other, directory);
        WEIR_ASSERT(strcmp(directory, made->directory) == 0);
        snprintf(made->paths[1], SIM_PATH_MAX, "%s", other);
        made->inodes[1] = other_inode;
        made->count = 2;
    }
    apply(&disk->names, made);
}

int
sim_disk_make(struct sim_disk *disk, const char *path, bool is_directory)
{
    int inode = new_inode(disk);
    disk->inodes[inode].is_directory = is_directory;
    change(disk, path, inode, NULL, -1);
    return inode;
}

void
sim_disk_rename(struct sim_disk *disk, const char *from, const char *to)
{
    change(disk, from, -1, to, sim_disk_find(disk, from));
}

void
sim_disk_exchange(struct sim_disk *disk, const char *one, const char *other)
{
    change(disk, one, sim_disk_find(disk, other), other, sim_disk_find(disk, one));
}

void
sim_disk_link(struct sim_disk *disk, const char *from, const char *to)
{
    change(disk, to, sim_disk_find(disk, from), NULL, -1);
}

void
sim_disk_unlink(struct sim_disk *disk, const char *path)
{
    change(disk, path, -1, NULL, -1);
}

void
sim_disk_sync_directory(struct sim_disk *disk, const char *directory)
{
    size_t left = 0;
    for (size_t i = 0; i < disk->change_count; i++) {
        if (strcmp(disk->changes[i].directory, directory) == 0)
            apply(&disk->durable_names, &disk->changes[i]);
        else
            disk->changes[left++] = disk->changes[i];
    }
    disk->change_count = left;
}

/* ---- sectors ---- */

/* Memory for the size, zero where it is new. */
static bool
reserve(struct sim_disk *disk, struct sim_inode *inode, uint64_t size)
{
    size_t sectors = (size_t)((size + SIM_SECTOR - 1) / SIM_SECTOR), had = inode->capacity;
    if (sectors <= had)
        return true;
    uint64_t more = (sectors - had) * SIM_SECTOR;
    if (more > disk->space)
        return false;
    disk->space -= more;
    inode->shown = realloc(inode->shown, sectors * SIM_SECTOR);
    inode->platter = realloc(inode->platter, sectors * SIM_SECTOR);
    inode->written = realloc(inode->written, sectors * sizeof *inode->written);
    inode->overlays = realloc(inode->overlays, sectors * sizeof *inode->overlays);
    WEIR_ASSERT(inode->shown != NULL && inode->platter != NULL && inode->written != NULL &&
        inode->overlays != NULL);
    memset(inode->shown + had * SIM_SECTOR, 0, more);
    memset(inode->platter + had * SIM_SECTOR, 0, more);
    memset(inode->written + had, 0, (sectors - had) * sizeof *inode->written);
    memset(inode->overlays + had, 0, (sectors - had) * sizeof *inode->overlays);
    inode->capacity = sectors;
    return true;
}

bool
sim_disk_extend(struct sim_disk *disk, int inode, uint64_t size)
{
    struct sim_inode *file = &disk->inodes[inode];
    if (!reserve(disk, file, size))
        return false;
    if (size > file->size)
        file->size = size;
    return true;
}

void
sim_disk_truncate(struct sim_disk *disk, int inode, uint64_t size)
{
    struct sim_inode *file = &disk->inodes[inode];
    bool there = reserve(disk, file, size);
    WEIR_ASSERT(there);
    if (size < file->capacity * SIM_SECTOR)
        memset(file->shown + size, 0, file->capacity * SIM_SECTOR - size);
    file->size = size;
}

/* One sector's part of a write. shows: reads show it. */
static void
write_sector(struct sim_disk *disk, struct sim_inode *file, size_t sector, size_t at,
    const uint8_t *data, size_t size)
{
    struct sim_overlay *overlay = file->overlays[sector];
    memcpy(file->shown + sector * SIM_SECTOR + at, data, size);
    file->written[sector] = disk->stamp;
    if (overlay != NULL && size == SIM_SECTOR)
        drop_overlay(file, sector);
    else if (overlay != NULL) /* the device reads, changes and writes the damaged sector */
        memcpy(overlay->bytes + at, data, size);
}

static void
each_sector(struct sim_disk *disk, int inode, const uint8_t *data, size_t size, uint64_t offset,
    void (*call)(struct sim_disk *, struct sim_inode *, size_t, size_t, const uint8_t *, size_t))
{
    while (size != 0) {
        size_t at = offset % SIM_SECTOR;
        size_t part = SIM_SECTOR - at < size ? SIM_SECTOR - at : size;
        call(disk, &disk->inodes[inode], (size_t)(offset / SIM_SECTOR), at, data, part);
        data += part;
        offset += part;
        size -= part;
    }
}

void
sim_disk_write(struct sim_disk *disk, int inode, const void *data, size_t size, uint64_t offset)
{
    disk->stamp++;
    each_sector(disk, inode, data, size, offset, write_sector);
}

static struct sim_overlay *
cover(struct sim_inode *file, size_t sector, enum sim_fault fault)
{
    struct sim_overlay *overlay = file->overlays[sector];
    if (overlay == NULL) {
        overlay = malloc(sizeof *overlay);
        WEIR_ASSERT(overlay != NULL);
        memcpy(overlay->bytes, file->shown + sector * SIM_SECTOR, SIM_SECTOR);
        file->overlays[sector] = overlay;
    }
    overlay->fault = fault;
    return overlay;
}

static void
lose_sector(struct sim_disk *disk, struct sim_inode *file, size_t sector, size_t at,
    const uint8_t *data, size_t size)
{
    struct sim_overlay *overlay = cover(file, sector, SIM_FAULT_lost_write);
    memcpy(file->shown + sector * SIM_SECTOR + at, data, size);
    file->written[sector] = disk->stamp;
    if (memcmp(overlay->bytes, file->shown + sector * SIM_SECTOR, SIM_SECTOR) == 0)
        drop_overlay(file, sector); /* it had these bytes */
}

static void
misplace_sector(struct sim_disk *disk, struct sim_inode *file, size_t sector, size_t at,
    const uint8_t *data, size_t size)
{
    (void)disk;
    if (sector >= file->capacity)
        return; /* past the end of what the file has */
    struct sim_overlay *overlay = cover(file, sector, SIM_FAULT_misdirected_write);
    memcpy(overlay->bytes + at, data, size);
    if (memcmp(overlay->bytes, file->shown + sector * SIM_SECTOR, SIM_SECTOR) == 0)
        drop_overlay(file, sector);
}

void
sim_disk_write_lost(struct sim_disk *disk, int inode, const void *data, size_t size,
    uint64_t offset)
{
    disk->stamp++;
    each_sector(disk, inode, data, size, offset, lose_sector);
}

void
sim_disk_write_misdirected(struct sim_disk *disk, int inode, const void *data, size_t size,
    uint64_t offset, uint64_t place)
{
    sim_disk_write_lost(disk, inode, data, size, offset);
    each_sector(disk, inode, data, size, place, misplace_sector);
}

void
sim_disk_read(const struct sim_disk *disk, int inode, void *data, size_t size, uint64_t offset,
    enum sim_fault *fault)
{
    const struct sim_inode *file = &disk->inodes[inode];
    uint8_t *to = data;
    *fault = SIM_FAULTS;
    memcpy(to, file->shown + offset, size);
    for (uint64_t at = offset; at < offset + size;) {
        size_t sector = (size_t)(at / SIM_SECTOR), in = at % SIM_SECTOR;
        size_t part = SIM_SECTOR - in;
        if (part > offset + size - at)
            part = (size_t)(offset + size - at);
        if (file->overlays[sector] != NULL) {
            memcpy(to + (at - offset), file->overlays[sector]->bytes + in, part);
            *fault = file->overlays[sector]->fault;
        }
        at += part;
    }
}

static void
settle_sector(struct sim_inode *file, size_t sector, bool kept)
{
    if (kept)
        memcpy(file->platter + sector * SIM_SECTOR, file->shown + sector * SIM_SECTOR, SIM_SECTOR);
    file->written[sector] = 0;
}

void
sim_disk_sync(struct sim_disk *disk, int inode, uint64_t stamp)
{
    struct sim_inode *file = &disk->inodes[inode];
    for (size_t i = 0; i < file->capacity; i++)
        if (file->written[i] != 0 && file->written[i] <= stamp)
            settle_sector(file, i, true);
    /* what a cut bytes took is not on the platter either */
    if (file->size < file->capacity * SIM_SECTOR)
        memset(file->platter + file->size, 0, file->capacity * SIM_SECTOR - file->size);
    file->durable_size = file->size;
}

/* Chances of a written sector to have reached the platter, in 256ths. */
static unsigned
survival(struct sim_disk *disk)
{
    static const unsigned chances[] = {0, 0, 64, 128, 192, 256};
    return chances[sim_random_below(disk->random, sizeof chances / sizeof chances[0])];
}

static void
settle_some(struct sim_disk *disk, struct sim_inode *file)
{
    unsigned chance = survival(disk);
    for (size_t i = 0; i < file->capacity; i++)
        if (file->written[i] != 0)
            settle_sector(file, i, sim_random_below(disk->random, 256) < chance);
}

void
sim_disk_sync_failed(struct sim_disk *disk, int inode)
{
    settle_some(disk, &disk->inodes[inode]);
}

bool
sim_disk_flip(struct sim_disk *disk, int inode, uint64_t bit)
{
    struct sim_inode *file = &disk->inodes[inode];
    size_t sector = (size_t)(bit / 8 / SIM_SECTOR);
    if (bit / 8 >= file->size || file->written[sector] != 0)
        return false;
    struct sim_overlay *overlay = cover(file, sector, SIM_FAULT_flipped_bit);
    overlay->bytes[bit / 8 % SIM_SECTOR] ^= (uint8_t)(1u << bit % 8);
    return true;
}

void
sim_disk_mend(struct sim_disk *disk, int inode)
{
    struct sim_inode *file = &disk->inodes[inode];
    for (size_t i = 0; i < file->capacity; i++)
        drop_overlay(file, i);
}

bool
sim_disk_damaged(const struct sim_disk *disk, int inode, uint64_t from, uint64_t to)
{
    const struct sim_inode *file = &disk->inodes[inode];
    for (uint64_t i = from / SIM_SECTOR; i < file->capacity && i * SIM_SECTOR < to; i++)
        if (file->overlays[i] != NULL)
            return true;
    return false;
}

/* ---- the cut ---- */

/* The changes of one directory that survive: the first ones, or any. */
static void
cut_directory(struct sim_disk *disk, const char *directory, bool any)
{
    size_t count = 0;
    for (size_t i = 0; i < disk->change_count; i++)
        count += strcmp(disk->changes[i].directory, directory) == 0;
    uint64_t kept = sim_random_below(disk->random, count + 1);
    for (size_t i = 0; i < disk->change_count; i++) {
        struct sim_change *one = &disk->changes[i];
        if (strcmp(one->directory, directory) != 0)
            continue;
        bool survives = any ? sim_random_below(disk->random, 2) != 0 : kept != 0;
        kept -= kept != 0;
        if (survives)
            apply(&disk->durable_names, one);
        one->count = 0; /* done with */
    }
}

/* Names whose directory is not there are not there. */
static void
drop_orphans(struct sim_names *names)
{
    for (size_t i = 0; i < names->count;) {
        char directory[SIM_PATH_MAX];
        directory_of(names->entries[i].path, directory);
        if (find_in(names, directory) >= 0) {
            i++;
            continue;
        }
        names->entries[i] = names->entries[--names->count];
        i = 0;
    }
}

void
sim_disk_cut(struct sim_disk *disk, bool any)
{
    for (size_t i = 0; i < disk->change_count; i++)
        if (disk->changes[i].count != 0)
            cut_directory(disk, disk->changes[i].directory, any);
    disk->change_count = 0;
    drop_orphans(&disk->durable_names);
    disk->names = disk->durable_names;
    for (size_t i = 0; i < disk->inode_count; i++) {
        struct sim_inode *file = &disk->inodes[i];
        settle_some(disk, file);
        if (file->size != file->durable_size && sim_random_below(disk->random, 2) == 0)
            file->durable_size = file->size;
        file->size = file->durable_size;
        if (file->capacity != 0)
            memcpy(file->shown, file->platter, file->capacity * SIM_SECTOR);
        for (size_t k = 0; k < file->capacity; k++)
            if (file->overlays[k] != NULL && memcmp(file->overlays[k]->bytes,
                    file->shown + k * SIM_SECTOR, SIM_SECTOR) == 0)
                drop_overlay(file, k); /* the write that it hid did not happen */
    }
    collect(disk);
}
