/* The variants of this CPU for simple Influx lines against the portable one, on texts that are
 * drawn from a fixed number, are up to some windows long and lie against an unreadable page.
 * $WEIR_SEEDS is tests/fuzz/seeds, $WEIR_TEXTS how many texts. */
#include "dataplane/protocol/influx/influx.h"
#include "dataplane/protocol/common/scan.h"
#include "dataplane/protocol/influx/fast.h"
#include "tests/fuzz/twin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define TEXTS 3000
#define TEXT_MAX (4 * WEIR_FAST_WINDOW)
#define PIECE_MAX 4096 /* what one piece adds at most */
#define PAGE 4096
#define ARENA (TEXT_MAX + 2 * PAGE)
#define SEEDS_BYTES_MAX 65536
#define VARIANTS_MAX 8

struct text {
    uint8_t bytes[TEXT_MAX + PAGE];
    size_t size;
    uint8_t time_unit;
    bool plain; /* each line is simple */
};

static struct weir_hash_key key;
static struct weir_parsed wanted, found;
static uint8_t seeds[SEEDS_BYTES_MAX]; /* one behind the other */
static size_t seeds_size;
static uint8_t *arena; /* between two unreadable pages */
static uint64_t state = 1;

/* Lines that were compared, and of these the ones that a variant's vectors took. */
static uint64_t lines_compared, lines_fast[VARIANTS_MAX];

static uint32_t
draw(uint32_t below)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((state >> 33) % below);
}

static void
add(struct text *text, const char *bytes, size_t size)
{
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
}

static void
add_drawn(struct text *text, const char *alphabet, uint32_t count)
{
    uint32_t letters = (uint32_t)strlen(alphabet);
    for (; count > 0; count--)
        text->bytes[text->size++] = (uint8_t)alphabet[draw(letters)];
}

static void
add_word(struct text *text)
{
    if (!text->plain && draw(100) == 0)
        return; /* two separators touch */
    add_drawn(text, "abcdefghijklmnopqrstuvwxyzABCDEFXYZ", 1);
    add_drawn(text, "aeiouxyzAEIOU0123456789.-_/:;!#$%&()*+<>?@[]^`{|}~",
        draw(draw(24) == 0 ? 200 : 14));
}

static void
add_number(struct text *text)
{
    if (draw(4) == 0)
        add(text, "-", 1);
    if (!text->plain && draw(20) == 0) {
        static const char *const words[] = {
            "true", "F", "1e5", "2.5E-3", "0x1", "1_0", ".", "-", "i", "1.5i"};
        const char *word = words[draw(sizeof words / sizeof words[0])];
        add(text, word, strlen(word));
        return;
    }
    /* more than 19 digits are for the complete decoder */
    uint32_t digits = 1 + draw(draw(8) != 0 ? 10 : text->plain ? 18 : 24);
    uint32_t point = draw(3) == 0 ? digits : draw(digits);
    add_drawn(text, "0123456789", point);
    if (point < digits)
        add(text, ".", 1);
    add_drawn(text, "0123456789", digits - point);
    if (point == digits && draw(2) == 0)
        add(text, "i", 1);
}

/* Often the time of the line before. */
static void
add_time(struct text *text)
{
    static const char *const behind_seconds[] = {
        [WEIR_TIME_S] = "", [WEIR_TIME_MS] = "123", [WEIR_TIME_US] = "123456",
        [WEIR_TIME_NS] = "123456789"};
    static uint32_t seconds = 1700000000;
    if (draw(4) == 0)
        seconds = 1700000000 + draw(1000000);
    uint32_t unit = text->time_unit != WEIR_TIME_AUTO ? text->time_unit : 1 + draw(4);
    char time[32];
    snprintf(time, sizeof time, "%u%s", seconds, behind_seconds[unit]);
    if (!text->plain && draw(60) == 0)
        add_drawn(text, "-0123456789", 1 + draw(24));
    else
        add(text, time, strlen(time));
}

/* A line that is simple but, where the text is not plain, for a number here and there. */
static void
add_line(struct text *text)
{
    add_word(text);
    for (uint32_t tags = draw(7); tags > 0; tags--) {
        add(text, ",", 1);
        add_word(text);
        add(text, "=", 1);
        add_word(text);
    }
    uint32_t fields = 1 + (draw(3) == 0 ? draw(8) : 0);
    for (uint32_t i = 0; i < fields; i++) {
        add(text, i == 0 ? " " : ",", 1);
        add_word(text);
        add(text, "=", 1);
        add_number(text);
    }
    add(text, " ", 1);
    add_time(text);
    add(text, "\n", 1);
}

/* Any part of the seeds. */
static void
add_seed(struct text *text)
{
    size_t from = draw((uint32_t)seeds_size), size = 1 + draw(PIECE_MAX);
    if (size > seeds_size - from)
        size = seeds_size - from;
    add(text, (const char *)seeds + from, size);
}

/* Changes, drops or doubles a byte. */
static void
edit(struct text *text)
{
    size_t at = draw((uint32_t)text->size);
    uint8_t *byte = text->bytes + at;
    switch (draw(4)) {
    case 0:
        *byte = (uint8_t)draw(256);
        break;
    case 1:
        *byte = (uint8_t)" ,=\"\\\n\r#iutTfF0123456789.-e_x\t"[draw(30)];
        break;
    case 2:
        memmove(byte, byte + 1, --text->size - at);
        break;
    default:
        memmove(byte + 1, byte, text->size++ - at);
        break;
    }
}

static void
draw_text(struct text *text)
{
    size_t size = 1 + draw(draw(4) == 0 ? TEXT_MAX - PIECE_MAX : 1500);
    text->size = 0;
    text->time_unit = (uint8_t)draw(5);
    text->plain = draw(2) == 0;
    while (text->size < size)
        if (text->plain || draw(20) != 0)
            add_line(text);
        else
            add_seed(text);
    if (!text->plain)
        for (uint32_t edits = draw(4); edits > 0; edits--)
            edit(text);
    if (draw(4) == 0)
        text->size -= draw((uint32_t)text->size);
}

/* The packet's bytes, and what may be read behind them, touch the page in front or behind. */
static uint8_t *
lay_out(const struct text *text)
{
    size_t used = text->size + WEIR_PACKET_SLACK;
    uint8_t *data = draw(2) == 0 ? arena : arena + ARENA - used;
    memcpy(data, text->bytes, text->size);
    memset(data + text->size, " ,=\n7i"[draw(6)], WEIR_PACKET_SLACK);
    return data;
}

static void
expect_same_parsed(const char *variant)
{
    if (found.record_count != wanted.record_count || found.point_count != wanted.point_count
        || found.integers_rounded != wanted.integers_rounded)
        fail_msg("%s: %u records, %u points, %u rounded, not %u, %u, %u", variant,
            found.record_count, found.point_count, found.integers_rounded, wanted.record_count,
            wanted.point_count, wanted.integers_rounded);
    assert_memory_equal(found.samples_rejected, wanted.samples_rejected,
        sizeof found.samples_rejected);
    for (uint32_t i = 0; i < wanted.record_count; i++) {
        const struct weir_record *a = &wanted.records[i], *b = &found.records[i];
        if (a->text != b->text || a->size != b->size || a->point_first != b->point_first
            || a->point_count != b->point_count || a->reason != b->reason)
            fail_msg("%s: record %u differs", variant, i);
    }
    for (uint32_t i = 0; i < wanted.point_count; i++) {
        const struct weir_point *a = &wanted.points[i], *b = &found.points[i];
        if (a->raw.lo != b->raw.lo || a->raw.hi != b->raw.hi || a->time_ms != b->time_ms
            || a->value != b->value || a->exponent != b->exponent || a->kind != b->kind
            || a->field != b->field || a->record != b->record)
            fail_msg("%s: point %u differs", variant, i);
    }
}

/* One call of each variant. Returns the position behind what was taken. */
static size_t
compare_call(const struct weir_parse_context *context, struct weir_packet *packet, size_t at)
{
    size_t portable = weir_influx_variant_count() - 1;
    struct weir_packet before = *packet;
    weir_influx_variant_choose(portable);
    weir_parsed_reset(&wanted);
    size_t behind = weir_influx_parse(context, packet, at, &wanted);
    lines_compared += wanted.record_count;
    for (size_t variant = 0; variant < portable; variant++) {
        if (!weir_influx_variant_supported(variant))
            continue;
        const struct weir_influx_variant *chosen = &weir_influx_variants[variant];
        struct weir_packet again = before;
        weir_influx_variant_choose(variant);
        weir_parsed_reset(&found);
        assert_int_equal(weir_influx_parse(context, &again, at, &found), behind);
        assert_int_equal(again.skip_line, packet->skip_line);
        expect_same_parsed(chosen->name);
        weir_parsed_reset(&found);
        if (!before.skip_line)
            chosen->fast(context, &before, at, &found);
        lines_fast[variant] += found.record_count;
    }
    return behind;
}

static void
compare_text(const struct text *text)
{
    struct weir_parse_context context = {.key = &key,
        .time_min_ms = INT64_C(-2000000000000), .time_max_ms = INT64_C(4000000000000)};
    struct weir_packet packet = {
        .data = lay_out(text),
        .size = (uint32_t)text->size,
        .time_unit = text->time_unit,
        .final = draw(2) == 0,
        .receive_ms = 1700000000123,
    };
    size_t at = 0, before;
    do {
        before = at;
        at = compare_call(&context, &packet, at);
    } while (at != before);
}

static int
load_seeds(void **unused)
{
    (void)unused;
    char path[4096];
    const char *folder = getenv("WEIR_SEEDS");
    assert_non_null(folder);
    snprintf(path, sizeof path, "%s/influx", folder);
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);
    assert_true(count > 2);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/influx/%s", folder, names[i]->d_name);
        FILE *file = names[i]->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (file != NULL) {
            seeds_size += fread(seeds + seeds_size, 1, sizeof seeds - seeds_size, file);
            fclose(file);
        }
        free(names[i]);
    }
    free(names);
    assert_in_range(seeds_size, 1, sizeof seeds - 1);
    return 0;
}

static int
setup(void **unused)
{
    static const uint8_t seed[WEIR_HASH_SEED_BYTES] = "a seed of thirty-two bytes here";
    weir_hash_key_init(&key, seed);
    uint8_t *pages = mmap(NULL, ARENA + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    arena = pages + PAGE;
    assert_int_equal(mprotect(arena, ARENA, PROT_READ | PROT_WRITE), 0);
    return load_seeds(unused);
}

static void
test_influx_variants_agree_with_the_portable_one(void **unused)
{
    (void)unused;
    static struct text text;
    const char *texts = getenv("WEIR_TEXTS");
    size_t count = texts == NULL ? TEXTS : strtoull(texts, NULL, 10);
    size_t variants = weir_influx_variant_count();
    assert_in_range(variants, 1, VARIANTS_MAX);
    print_message("# chosen: influx %s, scan %s, hash %s\n",
        weir_influx_variants[weir_influx_variant()].name, weir_scan_best()->name,
        weir_hash_variant());
    for (size_t i = 0; i < count; i++) {
        draw_text(&text);
        compare_text(&text);
    }
    assert_true(lines_compared > count);
    for (size_t variant = 0; variant + 1 < variants; variant++) {
        if (!weir_influx_variant_supported(variant))
            continue;
        print_message("# %s: %zu texts, %llu lines compared, %llu taken by its vectors\n",
            weir_influx_variants[variant].name, count, (unsigned long long)lines_compared,
            (unsigned long long)lines_fast[variant]);
        assert_true(lines_fast[variant] > lines_compared / 4);
    }
}

/* Texts of more than one window, cut like a stream; test_twins.c has short ones. */
static void
test_influx_variants_agree_with_the_twin_on_long_texts(void **unused)
{
    (void)unused;
    static struct text text;
    for (int i = 0; i < 300; i++) {
        draw_text(&text);
        assert_true(twin_agrees_somewhere(WEIR_PROTO_INFLUX, text.bytes, text.size));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_influx_variants_agree_with_the_portable_one),
        cmocka_unit_test(test_influx_variants_agree_with_the_twin_on_long_texts),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
