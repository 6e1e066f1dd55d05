#include "tests/fuzz/twin_index_craft.h"

#include "base/crc.h"
#include "model/labels.h"
#include "storage/index/block.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERIES 200
#define FILE_ID 99
#define BYTES_MAX (1u << 20)

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, \
                weir_err_detail()); \
            abort(); \
        } \
    } while (0)

/* The segment before its bytes are changed; made once. */
static struct {
    struct weir_index_footer footer;
    struct weir_index_block_head heads[WEIR_INDEX_SECTIONS];
    uint8_t raw[WEIR_INDEX_SECTIONS][WEIR_INDEX_RAW_MAX];
    struct weir_index_writer *writer;
    _Alignas(64) uint8_t memory[32 << 20];
} base;

static uint32_t
draw(struct twin_index_source *source, uint32_t below)
{
    uint32_t value = source->at < source->size ? source->data[source->at++] : 0;
    if (below > 256)
        value = value << 8 | (source->at < source->size ? source->data[source->at++] : 0);
    return value % below;
}

static void
add_series(struct weir_index *index)
{
    for (uint32_t n = 0; n < SERIES; n++) {
        char host[16], code[16], metric[16];
        uint8_t labels[WEIR_LABELS_BYTES_MAX];
        struct weir_label list[3] = {
            {(const uint8_t *)"__name__", (const uint8_t *)metric, 8,
                (uint16_t)sprintf(metric, "m%u", n % 7)},
            {(const uint8_t *)"host", (const uint8_t *)host, 4,
                (uint16_t)sprintf(host, "h%u", n * 7 % 41)},
            {(const uint8_t *)"code", (const uint8_t *)code, 4, (uint16_t)sprintf(code, "%u", n)}};
        struct weir_index_series series = {.number = n, .labels = labels, .day_last = 9};
        CHECK(weir_labels_encode(list, n % 4 == 0 ? 2 : 3, labels, &series.size) == WEIR_OK);
        CHECK(weir_index_add(index, &series) == WEIR_OK);
    }
}

static enum weir_err
merge(struct weir_index *index, struct weir_index_reader *reader, const char *path,
    uint64_t file_id)
{
    struct weir_index_merge *merging;
    struct weir_index_view *view = weir_index_view_open(index);
    struct weir_index_merge_options options = {.reader = reader,
        .view = view,
        .writer = base.writer,
        .segment = {path, 0, 1, file_id}};
    enum weir_err err = weir_index_merge_begin(&options, &merging);
    if (err == WEIR_OK) {
        while ((err = weir_index_merge_step(merging, 100, NULL)) == WEIR_AGAIN)
            continue;
        weir_index_merge_end(merging);
    }
    weir_index_view_close(view);
    return err;
}

/* Unpacks the one leaf of each section. */
static void
read_base(const char *path)
{
    static uint8_t bytes[BYTES_MAX];
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    CHECK(size < sizeof bytes && size > 3 * WEIR_INDEX_PAGE);
    memcpy(&base.footer, bytes + size - WEIR_INDEX_PAGE, sizeof base.footer);
    void *memory = aligned_alloc(64, (weir_index_unpacker_footprint() + 63) & ~(size_t)63);
    CHECK(memory != NULL);
    struct weir_index_unpacker *unpacker = weir_index_unpacker_init(memory);
    for (unsigned i = 0; i < WEIR_INDEX_SECTIONS; i++) {
        const struct weir_index_root *root = &base.footer.roots[i];
        CHECK(root->height == 0 && root->count == 1);
        CHECK(weir_index_unpack(unpacker, bytes + root->at.place * WEIR_INDEX_ALIGN, FILE_ID,
            root->at, &base.heads[i], base.raw[i]));
    }
    free(memory);
}

static void
make_base(struct weir_io *io, const char *path)
{
    struct weir_index *index;
    struct weir_index_reader *reader;
    struct weir_index_reader_options options = {.io = io};
    CHECK(weir_index_new(1, &index) == WEIR_OK);
    CHECK(weir_index_reader_new(index, &options, &reader) == WEIR_OK);
    add_series(index);
    CHECK(merge(index, reader, path, FILE_ID) == WEIR_OK);
    weir_index_reader_free(reader);
    weir_index_free(index, io);
    read_base(path);
}

static void
change(struct twin_index_source *source, uint8_t *bytes, uint32_t size)
{
    for (uint32_t left = draw(source, 6); left > 0 && size != 0; left--) {
        uint32_t at = draw(source, 2) == 0 ? draw(source, 65536) % size
                                           : size - 1 - draw(source, 64) % size;
        bytes[at] = (uint8_t)draw(source, 256);
    }
}

/* Seals the blocks as they are, without zstd. */
static uint64_t
write_blocks(struct twin_index_source *source, uint8_t *bytes, struct weir_index_footer *footer)
{
    uint64_t at = WEIR_INDEX_PAGE;
    uint32_t target = draw(source, WEIR_INDEX_SECTIONS);
    for (unsigned i = 0; i < WEIR_INDEX_SECTIONS; i++) {
        struct weir_index_block_head head = base.heads[i];
        uint8_t *body = bytes + at + sizeof head;
        memcpy(body, base.raw[i], head.raw_bytes);
        if (i == target || draw(source, 8) == 1)
            change(source, body, head.raw_bytes);
        if (draw(source, 16) == 1)
            head.count = draw(source, 65536);
        if (draw(source, 16) == 1)
            head.last = head.first + head.count - 1;
        head.bytes = head.raw_bytes;
        head.place = (uint32_t)(at / WEIR_INDEX_ALIGN);
        uint32_t crc = weir_crc32c(weir_index_place_crc(FILE_ID, head.place), &head,
            offsetof(struct weir_index_block_head, crc));
        head.crc = weir_crc32c(crc, body, head.bytes);
        memcpy(bytes + at, &head, sizeof head);
        footer->roots[i].at = (struct weir_index_place){head.place,
            (uint32_t)sizeof head + head.bytes};
        at += (sizeof head + head.bytes + 7) / 8 * 8;
    }
    return at;
}

static void
write_segment(struct twin_index_source *source, const char *path)
{
    static uint8_t bytes[BYTES_MAX];
    struct weir_index_footer footer = base.footer;
    memset(bytes, 0, sizeof bytes);
    uint64_t at = write_blocks(source, bytes, &footer);
    at = (at + WEIR_INDEX_PAGE - 1) / WEIR_INDEX_PAGE * WEIR_INDEX_PAGE;
    if (draw(source, 16) == 1)
        footer.series = draw(source, 65536);
    if (draw(source, 16) == 1)
        footer.through = draw(source, 65536);
    if (draw(source, 16) == 1)
        footer.postings_bytes = draw(source, 65536);
    if (draw(source, 16) == 1)
        footer.roots[draw(source, WEIR_INDEX_SECTIONS)].height = draw(source, 8);
    footer.bytes = at + 2 * WEIR_INDEX_PAGE;
    for (unsigned i = 0; i < 2; i++, at += WEIR_INDEX_PAGE) {
        footer.at = at;
        footer.crc = weir_crc32c(weir_index_place_crc(FILE_ID, at / WEIR_INDEX_ALIGN), &footer,
            offsetof(struct weir_index_footer, crc));
        memcpy(bytes + at, &footer, sizeof footer);
    }
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK(fwrite(bytes, 1, at, file) == at && fclose(file) == 0);
}

static enum weir_err
ignore_string(void *context, const char *text, size_t size)
{
    uint8_t *sum = context;
    for (size_t i = 0; i < size; i++)
        *sum ^= (uint8_t)text[i];
    return WEIR_OK;
}

static void
ask_selection(struct weir_index_reader *reader, struct weir_index_selection *selection)
{
    static uint32_t ids[65536];
    const char *names[] = {"host", "code"};
    struct weir_index_grouping grouping = {names, 2, false};
    uint32_t groups;
    uint64_t count = weir_index_selection_count(selection);
    CHECK(count <= 65536);
    (void)!weir_index_selection_groups(reader, selection, &grouping, ids, &groups);
    (void)!weir_index_selection_sort(reader, selection);
    for (uint64_t i = 0; i < count && i < 300; i++) {
        const uint8_t *labels;
        size_t size;
        uint64_t number;
        (void)!weir_index_selection_numbers(reader, selection, i, 1, &number, NULL);
        (void)!weir_index_selection_labels(reader, selection, i, &labels, &size);
    }
}

static void
ask(struct weir_index *index, struct weir_index_reader *reader)
{
    static const struct weir_index_match matches[][2] = {
        {{"host", 4, "h1.*", 4, WEIR_INDEX_REGEX}, {"x", 1, "", 0, WEIR_INDEX_EQUAL}},
        {{"code", 4, "17", 2, WEIR_INDEX_EQUAL}, {"host", 4, "h9", 2, WEIR_INDEX_NOT_EQUAL}},
        {{"code", 4, ".*1.*", 5, WEIR_INDEX_REGEX}, {"code", 4, "", 0, WEIR_INDEX_NOT_EQUAL}},
        {{"code", 4, "", 0, WEIR_INDEX_EQUAL}, {"x", 1, "", 0, WEIR_INDEX_EQUAL}}};
    struct weir_index_view *view = weir_index_view_open(index);
    struct weir_index_range range = {3, 5};
    uint8_t sum = 0;
    for (size_t i = 0; i < 4; i++) {
        struct weir_index_matchers *matchers;
        struct weir_index_selection *selection;
        CHECK(weir_index_matchers_new(matches[i], 2, &matchers) == WEIR_OK);
        if (weir_index_select(reader, view, matchers, range, &selection) == WEIR_OK) {
            ask_selection(reader, selection);
            weir_index_selection_free(selection);
        }
        struct weir_index_strings wanted = {.name = i % 2 == 0 ? "host" : NULL,
            .matchers = matchers,
            .range = WEIR_INDEX_ANY_DAY,
            .prefix = ""};
        (void)!weir_index_strings(reader, view, &wanted, ignore_string, &sum);
        weir_index_matchers_free(matchers);
    }
    for (uint64_t n = 0; n < SERIES; n += 13) {
        const uint8_t *labels;
        size_t size;
        (void)!weir_index_labels(reader, view, n, &labels, &size);
    }
    weir_index_view_close(view);
}

void
twin_index_craft(struct twin_index_source *source, const char *directory)
{
    char path[600], merged[600];
    struct weir_io *io;
    struct weir_index *index;
    struct weir_index_reader *reader;
    struct weir_io_options io_options = {.backend = WEIR_IO_SYNC};
    CHECK(weir_io_new(&io_options, &io) == WEIR_OK);
    snprintf(path, sizeof path, "%s/crafted.index", directory);
    snprintf(merged, sizeof merged, "%s/merged.index", directory);
    CHECK(weir_index_writer_memory_min() <= sizeof base.memory);
    base.writer =
        weir_index_writer_init(base.memory, weir_index_writer_memory_min(), io);
    if (base.footer.bytes == 0)
        make_base(io, path);
    write_segment(source, path);
    struct weir_index_reader_options options = {.io = io};
    CHECK(weir_index_new(1, &index) == WEIR_OK);
    CHECK(weir_index_reader_new(index, &options, &reader) == WEIR_OK);
    if (weir_index_open_segment(index, io, path) == WEIR_OK) {
        ask(index, reader);
        if (merge(index, reader, merged, FILE_ID + 1) == WEIR_OK)
            CHECK(weir_io_unlink(io, merged) == WEIR_OK);
    }
    weir_index_reader_free(reader);
    weir_index_free(index, io);
    CHECK(weir_io_unlink(io, path) == WEIR_OK);
    weir_io_free(io);
}
