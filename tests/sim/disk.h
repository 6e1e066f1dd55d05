/* sim_disk: files and directories as the page cache shows them, and as they are on the platter.
 *
 * A file is an array of sectors. Each is { as reads show it, as the platter has it, when it was
 * written }: 0 is clean. A directory is a list of changes that no sync has covered. A cut keeps of
 * each file some of the sectors written since, and of each directory the first of its changes (or
 * any of them).
 *
 * Damage is an overlay over a sector: reads show it, and the truth stays known below it. A write of
 * the sector takes it away.
 *
 * Threads: one
 */
#ifndef WEIR_TESTS_SIM_DISK_H
#define WEIR_TESTS_SIM_DISK_H

#include "tests/sim/faults.h"
#include "tests/sim/random.h"

#include <stddef.h>

#define SIM_SECTOR 512
#define SIM_PATH_MAX 96
#define SIM_NAMES_MAX 128
#define SIM_CHANGES_MAX 256

struct sim_inode {
    bool used, is_directory;
    uint64_t size, durable_size;
    size_t capacity; /* sectors that there is memory for */
    uint8_t *shown, *platter;
    uint64_t *written; /* when, by sector */
    struct sim_overlay {
        enum sim_fault fault;
        uint8_t bytes[SIM_SECTOR];
    } **overlays;
};

struct sim_names {
    struct {
        char path[SIM_PATH_MAX];
        int inode;
    } entries[SIM_NAMES_MAX];
    size_t count;
};

/* One change of a directory: up to two names get another inode (-1: none). */
struct sim_change {
    char directory[SIM_PATH_MAX];
    char paths[2][SIM_PATH_MAX];
    int inodes[2];
    int count;
};

struct sim_disk {
    struct sim_random *random;
    struct sim_inode *inodes;
    size_t inode_count;
    struct sim_names names, durable_names;
    struct sim_change changes[SIM_CHANGES_MAX];
    size_t change_count;
    uint64_t stamp; /* of the last write */
    uint64_t space; /* bytes left */
    bool (*is_open)(const void *context, int inode); /* does anybody hold it open? */
    void *open_context;
};

void sim_disk_init(struct sim_disk *disk, struct sim_random *random);
void sim_disk_fini(struct sim_disk *disk);

/* -1: no such name. */
int sim_disk_find(const struct sim_disk *disk, const char *path);
/* The name that an inode has now, or NULL. */
const char *sim_disk_name(const struct sim_disk *disk, int inode);
/* A new file or directory under a free name. */
int sim_disk_make(struct sim_disk *disk, const char *path, bool is_directory);
void sim_disk_rename(struct sim_disk *disk, const char *from, const char *to);
void sim_disk_exchange(struct sim_disk *disk, const char *one, const char *other);
void sim_disk_link(struct sim_disk *disk, const char *from, const char *to);
void sim_disk_unlink(struct sim_disk *disk, const char *path);
void sim_disk_sync_directory(struct sim_disk *disk, const char *directory);

/* Makes the file that large where it is smaller; false where there is no space. */
bool sim_disk_extend(struct sim_disk *disk, int inode, uint64_t size);
void sim_disk_truncate(struct sim_disk *disk, int inode, uint64_t size);
void sim_disk_write(struct sim_disk *disk, int inode, const void *data, size_t size,
    uint64_t offset);
/* The device says it wrote: the truth is written, and reads show what was there. */
void sim_disk_write_lost(struct sim_disk *disk, int inode, const void *data, size_t size,
    uint64_t offset);
/* The same, and the bytes are shown at another place of the file. */
void sim_disk_write_misdirected(struct sim_disk *disk, int inode, const void *data, size_t size,
    uint64_t offset, uint64_t place);
/* As reads show it; the size is there. *fault: one of an overlay among it, or SIM_FAULTS. */
void sim_disk_read(const struct sim_disk *disk, int inode, void *data, size_t size,
    uint64_t offset, enum sim_fault *fault);
/* What was written up to a stamp is on the platter. */
void sim_disk_sync(struct sim_disk *disk, int inode, uint64_t stamp);
/* A sync fails: of what was written some is on the platter, and none will be. */
void sim_disk_sync_failed(struct sim_disk *disk, int inode);
/* Flips a bit of a clean sector; false where it is not clean, or past the end. */
bool sim_disk_flip(struct sim_disk *disk, int inode, uint64_t bit);
/* Takes the damage of a file away, as a person with a copy would. */
void sim_disk_mend(struct sim_disk *disk, int inode);
bool sim_disk_damaged(const struct sim_disk *disk, int inode, uint64_t from, uint64_t to);

/* The power goes. any: of a directory's changes any may survive, not the first ones. */
void sim_disk_cut(struct sim_disk *disk, bool any);

#endif
