/* catalog: the list of every durable frame and every definition of the log, for a reader.
 *
 * Owns:    the list of frames, the label index, open segment files
 * Threads: its reader's
 * Memory:  48 bytes a frame; labels as in storage/read/label_index.h, or none if they are handed on
 * Errors:  damage is passed over and counted; WEIR_IO, WEIR_NOMEM are tried again at the next
 *          refresh
 *
 *   refresh:  descriptors of the frame ring ----> frames, definitions
 *                 | gap (start, seal, overwritten)     ^
 *                 +---> segment files, page by page ---+
 *
 *   Segments trimmed before they were read are passed over: definitions come from the checkpoint.
 *
 * Nothing in the shared region is believed unchecked: of a frame the header's checksum counts,
 * and files are read only below the durable offset.
 */
#ifndef WEIR_STORAGE_READ_CATALOG_H
#define WEIR_STORAGE_READ_CATALOG_H

#include "model/shared.h"
#include "storage/frame/frame.h"
#include "storage/frame/ring.h"
#include "storage/log/segment_reader.h"
#include "storage/read/label_index.h"

#include <limits.h>

#define WEIR_PLACE_NONE UINT64_MAX

struct weir_catalog_entry {
    uint64_t offset;
    uint64_t place;      /* in the frame ring, or WEIR_PLACE_NONE */
    uint64_t ring_epoch; /* dataplane epoch whose ring that is */
    int64_t time_min_ms;
    int64_t time_max_ms;
    uint32_t bytes;
    uint32_t samples;
};

struct weir_catalog {
    char directory[PATH_MAX];
    struct weir_shared *shared; /* NULL on a stopped instance */
    const struct weir_frame_ring *ring;
    uint64_t ring_bytes;
    struct weir_io *io;
    struct weir_segment_reader files;
    bool files_open;
    uint64_t durable_known; /* what the epoch file proves */
    uint64_t first;         /* where the log began when its checkpoint was last read */
    uint64_t segment_bytes; /* of that checkpoint; 0 without one */
    struct weir_label_index *labels; /* NULL where definitions are handed on and not kept */
    weir_reader_define_fn *define;
    void *define_context;
    uint64_t defined;
    struct weir_catalog_entry *entries; /* by offset */
    uint64_t entry_count;
    uint64_t entry_capacity;
    uint64_t at;           /* stream offset up to which the catalog is complete */
    uint64_t step;         /* bytes of the last frame walked over */
    uint32_t previous_crc; /* of the last header taken; 0 before the first */
    uint64_t frame_epoch;  /* dataplane epoch of that; it never falls */
    bool chain_known;      /* the next frame must name previous_crc */
    bool begins_in_damage; /* nobody has counted what is right before the frame at `at` */
    bool in_gap;           /* the page before was damaged */
    uint64_t ring_epoch;   /* dataplane epoch that ring_next belongs to */
    uint64_t ring_next;    /* next descriptor to take */
    uint64_t corrupt;      /* damaged ranges and definition lists met */
    uint8_t *definitions;  /* scratch: a frame up to its definitions' end */
    size_t definitions_capacity;
};

/* As weir_reader_open_with and weir_reader_refresh; the first refresh is the caller's. */
enum weir_err weir_catalog_open(struct weir_catalog *catalog,
    const struct weir_reader_options *options) WEIR_MUST_USE;
void weir_catalog_close(struct weir_catalog *catalog);
enum weir_err weir_catalog_refresh(struct weir_catalog *catalog) WEIR_MUST_USE;

/* Is the offset trimmed? Bytes that were read there may be of another frame. */
bool weir_catalog_trimmed(const struct weir_catalog *catalog, uint64_t offset);

/* Reads size bytes of a frame from byte `at` on: from the ring where they still are there, else
 * from the files. Unchecked. */
enum weir_err weir_catalog_read(struct weir_catalog *catalog,
    const struct weir_catalog_entry *entry, uint64_t at, uint8_t *data, size_t size)
    WEIR_MUST_USE;

#endif
