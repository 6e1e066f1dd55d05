#include "tests/fuzz/twin_index.h"

#include "base/regex/regex.h"
#include "model/labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY (32u << 20)

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, \
                weir_err_detail()); \
            abort(); \
        } \
    } while (0)

static int
compare_bytes(const void *a, size_t a_size, const void *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

static bool
next_other(const uint8_t *labels, size_t size, size_t *at, struct weir_label *label)
{
    while (weir_labels_next(labels, size, at, label) == WEIR_OK)
        if (compare_bytes(label->name, label->name_size, "__name__", 8) != 0)
            return true;
    return false;
}

int
twin_index_order(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    struct weir_label one = {0}, other = {0};
    if (!weir_labels_find(a, a_size, "__name__", &one))
        one = (struct weir_label){.value = a};
    if (!weir_labels_find(b, b_size, "__name__", &other))
        other = (struct weir_label){.value = b};
    int order = compare_bytes(one.value, one.value_size, other.value, other.value_size);
    size_t a_at = 0, b_at = 0;
    while (order == 0) {
        bool more = next_other(a, a_size, &a_at, &one);
        if (more != next_other(b, b_size, &b_at, &other))
            return more ? 1 : -1;
        if (!more)
            return 0;
        order = compare_bytes(one.name, one.name_size, other.name, other.name_size);
        if (order == 0)
            order = compare_bytes(one.value, one.value_size, other.value, other.value_size);
    }
    return order;
}

void
twin_index_add(struct twin_index *twin, const struct weir_index_series *series)
{
    CHECK(twin->count < TWIN_INDEX_SERIES_MAX);
    size_t at = twin->count++;
    for (; at > 0; at--) {
        const struct twin_index_series *before = &twin->series[at - 1];
        int order =
            twin_index_order(before->labels, before->size, series->labels, series->size);
        if (order < 0 || (order == 0 && before->number < series->number))
            break;
        twin->series[at] = *before;
    }
    twin->series[at] = (struct twin_index_series){series->number, malloc(series->size + 1),
        series->size, series->day_first, series->day_last};
    CHECK(twin->series[at].labels != NULL);
    memcpy(twin->series[at].labels, series->labels, series->size);
}

void
twin_index_clear(struct twin_index *twin)
{
    for (size_t i = 0; i < twin->count; i++)
        free(twin->series[i].labels);
    twin->count = 0;
}

static bool
match_one(const struct twin_index_series *series, const struct weir_index_match *match)
{
    struct weir_label label = {0};
    size_t at = 0;
    const char *value = "";
    size_t size = 0;
    while (weir_labels_next(series->labels, series->size, &at, &label) == WEIR_OK)
        if (compare_bytes(label.name, label.name_size, match->name, match->name_size) == 0) {
            value = (const char *)label.value;
            size = label.value_size;
        }
    bool has = compare_bytes(value, size, match->value, match->value_size) == 0;
    if (match->kind == WEIR_INDEX_REGEX || match->kind == WEIR_INDEX_NOT_REGEX) {
        struct weir_regex *regex;
        CHECK(weir_regex_new(match->value, match->value_size, &regex) == WEIR_OK);
        CHECK(weir_regex_matches(regex, value, size, &has) == WEIR_OK);
        weir_regex_free(regex);
    }
    return has == (match->kind == WEIR_INDEX_EQUAL || match->kind == WEIR_INDEX_REGEX);
}

bool
twin_index_matches(const struct twin_index_series *series, const struct weir_index_match *matches,
    size_t count, struct weir_index_range range)
{
    bool all = series->day_first <= range.last && series->day_last >= range.first;
    for (size_t i = 0; i < count && all; i++)
        all = match_one(series, &matches[i]);
    return all;
}

/* --- questions --- */

/* The series that the twin finds. */
struct answer {
    const struct twin_index_series *series[TWIN_INDEX_SERIES_MAX];
    size_t count;
};

static void
ask_twin(const struct twin_index *twin, const struct twin_index_question *question,
    struct answer *out)
{
    out->count = 0;
    for (size_t i = 0; i < twin->count; i++)
        if (twin_index_matches(&twin->series[i], question->matches, question->match_count,
                question->range))
            out->series[out->count++] = &twin->series[i];
}

static bool
same_labels(const struct twin_index_series *a, const struct twin_index_series *b)
{
    return compare_bytes(a->labels, a->size, b->labels, b->size) == 0;
}

static void
check_selection(struct weir_index_reader *reader, struct weir_index_view *view,
    const struct weir_index_selection *selection, const struct answer *answer)
{
    CHECK(weir_index_selection_count(selection) == answer->count);
    for (size_t i = 0; i < answer->count; i++) {
        const struct twin_index_series *series = answer->series[i];
        uint64_t number;
        bool twin;
        const uint8_t *labels;
        size_t size;
        CHECK(weir_index_selection_numbers(reader, selection, i, 1, &number, &twin) == WEIR_OK);
        CHECK(number == series->number);
        CHECK(twin == (i > 0 && same_labels(answer->series[i - 1], series)));
        CHECK(weir_index_selection_labels(reader, selection, i, &labels, &size) == WEIR_OK);
        CHECK(compare_bytes(labels, size, series->labels, series->size) == 0);
        if (i % 7 == 0) {
            CHECK(weir_index_labels(reader, view, number, &labels, &size) == WEIR_OK);
            CHECK(compare_bytes(labels, size, series->labels, series->size) == 0);
        }
    }
}

/* What groups a series: the values of the names, or the other labels. */
static size_t
group_key(const struct twin_index_series *series, const struct weir_index_grouping *grouping,
    uint8_t *key)
{
    struct weir_label label;
    size_t used = 0, at = 0;
    if (!grouping->without) {
        for (size_t i = 0; i < grouping->count; i++) {
            label.value_size = 0;
            if (!weir_labels_find(series->labels, series->size, grouping->names[i], &label))
                label.value_size = 0;
            memcpy(key + used, &label.value_size, 2);
            memcpy(key + used + 2, label.value_size == 0 ? key : label.value, label.value_size);
            used += 2u + label.value_size;
        }
        return used;
    }
    while (next_other(series->labels, series->size, &at, &label)) {
        bool out = false;
        for (size_t i = 0; i < grouping->count; i++)
            out |= compare_bytes(label.name, label.name_size, grouping->names[i],
                       strlen(grouping->names[i])) == 0;
        size_t record = 4u + label.name_size + label.value_size;
        if (!out) {
            memcpy(key + used, label.name - 4, record);
            used += record;
        }
    }
    return used;
}

static void
check_groups(struct weir_index_reader *reader, const struct weir_index_selection *selection,
    const struct answer *answer, const struct weir_index_grouping *grouping)
{
    static uint32_t ids[TWIN_INDEX_SERIES_MAX], expected[TWIN_INDEX_SERIES_MAX];
    static uint8_t key[3 * WEIR_LABELS_BYTES_MAX], other[3 * WEIR_LABELS_BYTES_MAX];
    uint32_t groups, count = 0;
    CHECK(weir_index_selection_groups(reader, selection, grouping, ids, &groups) == WEIR_OK);
    for (size_t i = 0; i < answer->count; i++) {
        size_t size = group_key(answer->series[i], grouping, key), before = 0;
        for (; before < i; before++)
            if (compare_bytes(key, size, other,
                    group_key(answer->series[before], grouping, other)) == 0)
                break;
        expected[i] = before < i ? expected[before] : count++;
        CHECK(ids[i] == expected[i]);
    }
    CHECK(groups == count);
}

/* Strings of a listing, checked one by one: each ascends, and some series has it. */
struct strings {
    const struct answer *answer;
    const struct twin_index_question *question;
    char last[WEIR_LABELS_BYTES_MAX];
    size_t last_size;
    size_t count;
};

static bool
is_listed(const struct strings *strings, const struct twin_index_series *series, const void *text,
    size_t size)
{
    struct weir_label label;
    size_t at = 0;
    const char *name = strings->question->name;
    while (weir_labels_next(series->labels, series->size, &at, &label) == WEIR_OK) {
        if (name == NULL && compare_bytes(label.name, label.name_size, text, size) == 0)
            return true;
        if (name != NULL &&
            compare_bytes(label.name, label.name_size, name, strlen(name)) == 0 &&
            compare_bytes(label.value, label.value_size, text, size) == 0)
            return true;
    }
    return false;
}

static enum weir_err
check_string(void *context, const char *text, size_t size)
{
    struct strings *strings = context;
    size_t prefix = strlen(strings->question->prefix);
    bool found = false;
    CHECK(strings->count == 0 ||
          compare_bytes(strings->last, strings->last_size, text, size) < 0);
    CHECK(size >= prefix && memcmp(text, strings->question->prefix, prefix) == 0);
    for (size_t i = 0; i < strings->answer->count && !found; i++)
        found = is_listed(strings, strings->answer->series[i], text, size);
    CHECK(found);
    memcpy(strings->last, text, size);
    strings->last_size = size;
    strings->count++;
    return WEIR_OK;
}

/* How many strings the twin has: each is counted at the first series that has it. */
static size_t
count_strings(const struct strings *strings)
{
    const struct twin_index_question *question = strings->question;
    size_t prefix = strlen(question->prefix), count = 0;
    for (size_t i = 0; i < strings->answer->count; i++) {
        const struct twin_index_series *series = strings->answer->series[i];
        struct weir_label label;
        size_t at = 0;
        while (weir_labels_next(series->labels, series->size, &at, &label) == WEIR_OK) {
            const uint8_t *text = question->name == NULL ? label.name : label.value;
            size_t size = question->name == NULL ? label.name_size : label.value_size;
            if (question->name != NULL && compare_bytes(label.name, label.name_size,
                    question->name, strlen(question->name)) != 0)
                continue;
            bool first = size >= prefix && memcmp(text, question->prefix, prefix) == 0;
            for (size_t before = 0; before < i && first; before++)
                first = !is_listed(strings, strings->answer->series[before], text, size);
            count += first;
        }
    }
    return question->limit != 0 && question->limit < count ? question->limit : count;
}

static void
check_strings(struct weir_index_reader *reader, struct weir_index_view *view,
    const struct weir_index_matchers *matchers, const struct answer *answer,
    const struct twin_index_question *question)
{
    static struct strings strings;
    strings = (struct strings){.answer = answer, .question = question};
    struct weir_index_strings wanted = {.name = question->name,
        .matchers = question->match_count == 0 ? NULL : matchers,
        .range = question->range,
        .prefix = question->prefix,
        .limit = question->limit};
    CHECK(weir_index_strings(reader, view, &wanted, check_string, &strings) == WEIR_OK);
    CHECK(strings.count == count_strings(&strings));
}

void
twin_index_ask(struct weir_index *index, struct weir_index_reader *reader,
    const struct twin_index *twin, const struct twin_index_question *question)
{
    static struct answer answer;
    struct weir_index_matchers *matchers;
    struct weir_index_selection *selection;
    enum weir_err err =
        weir_index_matchers_new(question->matches, question->match_count, &matchers);
    if (err == WEIR_INVALID)
        return; /* no regular expression: RE2 says so to both */
    CHECK(err == WEIR_OK);
    ask_twin(twin, question, &answer);
    struct weir_index_view *view = weir_index_view_open(index);
    CHECK(weir_index_view_count(view) == twin->count);
    CHECK(weir_index_select(reader, view, matchers, question->range, &selection) == WEIR_OK);
    if (question->limit % 2 == 0)
        check_groups(reader, selection, &answer, &(struct weir_index_grouping){NULL, 0, false});
    CHECK(weir_index_selection_sort(reader, selection) == WEIR_OK);
    check_selection(reader, view, selection, &answer);
    check_groups(reader, selection, &answer, &question->grouping);
    check_strings(reader, view, matchers, &answer, question);
    CHECK(weir_index_reader_counts(reader)->blocks_damaged == 0);
    weir_index_selection_free(selection);
    weir_index_view_close(view);
    weir_index_matchers_free(matchers);
}

/* --- drawing --- */

static uint32_t
draw(struct twin_index_source *source, uint32_t below)
{
    uint32_t value = source->at < source->size ? source->data[source->at++] : 0;
    if (below > 256)
        value = value << 8 | (source->at < source->size ? source->data[source->at++] : 0);
    return value % below;
}

static const char *const names[] = {"__name__", "host", "job", "Zone", "mode", "x"};
static const char *const values[] = {"a", "b", "ab", "abc", "node-1", "node-10", "node-2", "n\n",
    "\xc3\xa9t\xc3\xa9", "eu.west", "cpu_total", "cpu", "up", "A"};
static const char *const patterns[] = {".*", ".+", "", "a|b", "a.*", "node-.+", "node-(1|2)",
    "node-1.*", "(a|ab)(c|)", "n.", "eu\\.west", "eu.west", "[ab]", "[^a].*", "a?b?c?", "|up",
    ".*o.*", "(?i)ab", "cpu(_total)?", "node-\\d+", "\xc3\xa9.*", "x{0}", "a|ab.*", "(", "ab|a+"};
#define COUNT(list) (sizeof(list) / sizeof *(list))

static size_t
draw_value(struct twin_index_source *source, char *out)
{
    if (draw(source, 4) != 0)
        return (size_t)sprintf(out, "%s", values[draw(source, COUNT(values))]);
    return (size_t)sprintf(out, "v%u", draw(source, 1000));
}

static void
draw_series(struct twin_index_source *source, struct weir_index_series *out, uint8_t *labels)
{
    struct weir_label list[COUNT(names)];
    char texts[COUNT(names)][32];
    size_t count = 0;
    uint32_t which = draw(source, 256);
    for (size_t i = 0; i < COUNT(names); i++) {
        if (!(which >> i & 1) && i != 0)
            continue;
        if (i == 0 && which == 255)
            continue;
        list[count] = (struct weir_label){.name = (const uint8_t *)names[i],
            .value = (const uint8_t *)texts[i],
            .name_size = (uint16_t)strlen(names[i])};
        list[count++].value_size = (uint16_t)draw_value(source, texts[i]);
    }
    CHECK(weir_labels_encode(list, count, labels, &out->size) == WEIR_OK);
    out->labels = labels;
    out->day_first = (uint16_t)draw(source, 40);
    out->day_last = draw(source, 3) == 0 ? WEIR_DAY_OPEN
                                         : (uint16_t)(out->day_first + draw(source, 20));
    out->retention_class = (uint8_t)draw(source, 8);
}

static void
draw_question(struct twin_index_source *source, struct twin_index_question *out, char *text)
{
    *out = (struct twin_index_question){.range = WEIR_INDEX_ANY_DAY, .prefix = ""};
    out->match_count = draw(source, 4);
    for (size_t i = 0; i < out->match_count; i++) {
        struct weir_index_match *match = &out->matches[i];
        const char *name = draw(source, 16) == 0 ? "nobody" : names[draw(source, COUNT(names))];
        match->kind = (enum weir_index_match_kind)draw(source, 4);
        match->name = name;
        match->name_size = strlen(name);
        match->value = text;
        if (match->kind == WEIR_INDEX_REGEX || match->kind == WEIR_INDEX_NOT_REGEX)
            text += sprintf(text, "%s", patterns[draw(source, COUNT(patterns))]);
        else if (draw(source, 5) != 0)
            text += draw_value(source, text);
        match->value_size = (size_t)(text - match->value);
    }
    if (draw(source, 2) == 0) {
        out->range.first = (uint16_t)draw(source, 60);
        out->range.last = (uint16_t)(out->range.first + draw(source, 10));
    }
    out->name = draw(source, 3) == 0 ? NULL : names[draw(source, COUNT(names))];
    out->prefix = draw(source, 2) == 0 ? "" : draw(source, 2) == 0 ? "node" : "a";
    out->limit = draw(source, 4);
    out->grouping = (struct weir_index_grouping){out->group_names, draw(source, 4),
        draw(source, 3) == 0};
    for (size_t i = 0; i < out->grouping.count; i++)
        out->group_names[i] = names[draw(source, COUNT(names))];
}

/* --- the comparison --- */

struct comparison {
    struct twin_index_source *source;
    const char *directory;
    struct weir_io *io;
    struct weir_index *index;
    struct weir_index_reader *reader;
    struct weir_index_writer *writer;
    struct twin_index twin;
    uint64_t generation;
};

static void
ask(struct comparison *comparison)
{
    char text[4 * 64];
    struct twin_index_question question;
    for (uint32_t i = 0; i < 6; i++) {
        draw_question(comparison->source, &question, text);
        twin_index_ask(comparison->index, comparison->reader, &comparison->twin, &question);
    }
}

static void
add(struct comparison *comparison, uint64_t number, uint32_t count)
{
    static uint8_t labels[2][WEIR_LABELS_BYTES_MAX];
    struct weir_index_series series[2] = {{0}};
    for (uint32_t i = 0; i < count; i++) {
        struct weir_index_series *next = &series[i % 2];
        draw_series(comparison->source, next, labels[i % 2]);
        if (i > 0 && draw(comparison->source, 16) == 0)
            next = &series[(i + 1) % 2]; /* a number more for the labels before */
        next->number = number + i;
        CHECK(weir_index_add(comparison->index, next) == WEIR_OK);
        twin_index_add(&comparison->twin, next);
    }
}

static void
merge(struct comparison *comparison, uint32_t shard)
{
    char path[512];
    struct weir_index_merge *merge;
    enum weir_err err;
    uint64_t generation = ++comparison->generation;
    snprintf(path, sizeof path, "%s/%u-%llu.index", comparison->directory, shard,
        (unsigned long long)generation);
    struct weir_index_view *view = weir_index_view_open(comparison->index);
    struct weir_index_merge_options options = {.reader = comparison->reader,
        .view = view,
        .writer = comparison->writer,
        .segment = {path, shard, generation, 0x1234567 + generation}};
    CHECK(weir_index_merge_begin(&options, &merge) == WEIR_OK);
    while ((err = weir_index_merge_step(merge, 100, NULL)) == WEIR_AGAIN)
        continue;
    CHECK(err == WEIR_OK);
    weir_index_merge_end(merge);
    weir_index_view_close(view);
    CHECK(weir_index_open_segment(comparison->index, comparison->io, path) == WEIR_OK);
    CHECK(weir_io_unlink(comparison->io, path) == WEIR_OK);
}

void
twin_index_compare(struct twin_index_source *source, const char *directory)
{
    static struct comparison comparison;
    static _Alignas(64) uint8_t memory[MEMORY];
    struct weir_io_options io_options = {.backend = WEIR_IO_SYNC};
    CHECK(weir_index_writer_memory_min() <= MEMORY);
    comparison.source = source;
    comparison.directory = directory;
    CHECK(weir_io_new(&io_options, &comparison.io) == WEIR_OK);
    CHECK(weir_index_new(2u << 20, &comparison.index) == WEIR_OK);
    struct weir_index_reader_options options = {.io = comparison.io};
    CHECK(weir_index_reader_new(comparison.index, &options, &comparison.reader) == WEIR_OK);
    comparison.writer =
        weir_index_writer_init(memory, weir_index_writer_memory_min(), comparison.io);
    uint64_t far = (UINT64_C(3) << 20) + 65536 - draw(source, 64);
    uint32_t count = 1 + draw(source, 400);
    add(&comparison, draw(source, 5), count);
    ask(&comparison);
    add(&comparison, far, draw(source, 64));
    ask(&comparison);
    merge(&comparison, 0);
    ask(&comparison);
    merge(&comparison, 3);
    ask(&comparison);
    uint64_t next = far;
    for (size_t i = 0; i < comparison.twin.count; i++)
        next = comparison.twin.series[i].number >= next ? comparison.twin.series[i].number + 1
                                                        : next;
    add(&comparison, next, draw(source, 300));
    ask(&comparison);
    merge(&comparison, 3);
    ask(&comparison);
    weir_index_reader_free(comparison.reader);
    weir_index_free(comparison.index, comparison.io);
    weir_io_free(comparison.io);
    twin_index_clear(&comparison.twin);
}
