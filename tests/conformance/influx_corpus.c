/* Judges the complete Influx decoder by the public corpus of line-protocol cases: before mapping,
 * in nanoseconds, without rules for times. A case that expects an error wants at least one line
 * refused; texts of errors are not compared.
 *
 * The corpus is $WEIR_CONFORMANCE/influx-line/corpus.json (by default the folder the build
 * names), or the first argument.
 */
#include "dataplane/protocol/influx/line.h"
#include "model/packet.h"
#include "model/sample.h"

#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAGS_MAX 256
#define FIELDS_MAX 1024

struct bytes {
    uint8_t *data;
    size_t size;
};

struct tag {
    struct bytes key, value;
};

struct field {
    struct bytes key, text;
    union weir_influx_value value;
    uint8_t kind;
};

struct point {
    struct bytes name;
    struct tag tags[TAGS_MAX];
    size_t tag_count;
    struct field fields[FIELDS_MAX];
    size_t field_count;
    int64_t time;
};

static struct point point;
static char why[256];

__attribute__((format(printf, 1, 2))) static bool
differs(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return false;
}

/* What a case takes is given back with release_memory. */
static union block {
    union block *next;
    max_align_t align;
} *blocks;

static void *
allocate(size_t size)
{
    union block *block = calloc(1, sizeof *block + size);
    if (block == NULL)
        abort();
    block->next = blocks;
    blocks = block;
    return block + 1;
}

static void
release_memory(void)
{
    while (blocks != NULL) {
        union block *next = blocks->next;
        free(blocks);
        blocks = next;
    }
}

static struct bytes
unescaped(struct weir_slice raw, enum weir_influx_place place)
{
    struct bytes out = {allocate(raw.size + 1), 0};
    out.size = weir_influx_unescape(raw, place, out.data);
    return out;
}

static bool
same(struct bytes a, struct bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* Numbers become strings, so that none is rounded or refused by the JSON reader. */
static char *
quote_numbers(const char *text, size_t size)
{
    char *out = allocate(3 * size + 1);
    size_t used = 0;
    bool string = false, number = false;
    for (size_t i = 0; i < size; i++) {
        bool part = !string && strchr("+-.eE0123456789", text[i]) != NULL
            && (number || text[i] == '-' || (text[i] >= '0' && text[i] <= '9'));
        if (part != number)
            out[used++] = '"';
        number = part;
        out[used++] = text[i];
        if (string && text[i] == '\\')
            out[used++] = text[++i];
        else if (text[i] == '"')
            string = !string;
    }
    out[used] = '\0';
    return out;
}

static char *
read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    fseek(file, 0, SEEK_END);
    long end = ftell(file);
    rewind(file);
    char *text = allocate((size_t)(end > 0 ? end : 0) + 1);
    *size = fread(text, 1, (size_t)(end > 0 ? end : 0), file);
    fclose(file);
    return text;
}

static int
base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c == '\0' ? NULL : strchr(digits, c);
    return found == NULL ? -1 : (int)(found - digits);
}

/* A text of the corpus: a string, or {"binary": base64}. With slack behind it. */
static struct bytes
corpus_text(const json_t *value)
{
    if (json_is_string(value)) {
        size_t size = json_string_length(value);
        struct bytes out = {allocate(size + WEIR_PACKET_SLACK), size};
        memcpy(out.data, json_string_value(value), size);
        return out;
    }
    const char *code = json_string_value(json_object_get(value, "binary"));
    struct bytes out = {allocate((code ? strlen(code) : 0) + WEIR_PACKET_SLACK), 0};
    uint32_t bits = 0;
    int held = 0;
    for (; code != NULL && base64_digit(*code) >= 0; code++) {
        bits = bits << 6 | (uint32_t)base64_digit(*code);
        held += 6;
        if (held >= 8) {
            held -= 8;
            out.data[out.size++] = (uint8_t)(bits >> held);
        }
    }
    return out;
}

static int64_t
precision_ns(const char *text)
{
    static const struct {
        const char *text;
        int64_t ns;
    } units[] = {{"1ns", 1}, {"1us", 1000}, {"1\u00b5s", 1000}, {"1\u03bcs", 1000},
        {"1ms", 1000000}, {"1s", 1000000000}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (text != NULL && strcmp(text, units[i].text) == 0)
            return units[i].ns;
    return 0;
}

static int64_t
floor_to(int64_t value, int64_t unit)
{
    int64_t rest = value % unit;
    return (int64_t)((uint64_t)value - (uint64_t)(rest < 0 ? rest + unit : rest));
}

static int
by_key(const void *a, const void *b)
{
    const struct bytes *x = &((const struct tag *)a)->key, *y = &((const struct tag *)b)->key;
    int order = memcmp(x->data, y->data, x->size < y->size ? x->size : y->size);
    return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

static bool
decode_tags(struct weir_influx_decoder *decoder)
{
    struct weir_slice key, value;
    enum weir_influx_result result;
    point.tag_count = 0;
    while ((result = weir_influx_tag(decoder, &key, &value)) == WEIR_INFLUX_OK) {
        if (point.tag_count == TAGS_MAX)
            abort();
        point.tags[point.tag_count].key = unescaped(key, WEIR_INFLUX_KEY);
        point.tags[point.tag_count++].value = unescaped(value, WEIR_INFLUX_KEY);
    }
    if (result != WEIR_INFLUX_END)
        return false;
    qsort(point.tags, point.tag_count, sizeof point.tags[0], by_key);
    for (size_t i = 1; i < point.tag_count; i++)
        if (same(point.tags[i - 1].key, point.tags[i].key))
            return false; /* the corpus counts it as an error; the mapping refuses it here */
    return true;
}

static bool
decode_fields(struct weir_influx_decoder *decoder)
{
    struct weir_influx_field field;
    enum weir_influx_result result;
    point.field_count = 0;
    while ((result = weir_influx_field(decoder, &field)) == WEIR_INFLUX_OK) {
        if (point.field_count == FIELDS_MAX)
            abort();
        struct field *out = &point.fields[point.field_count++];
        if (weir_influx_value(&field, &out->value) != WEIR_INFLUX_OK)
            return false;
        out->key = unescaped(field.key, WEIR_INFLUX_KEY);
        out->kind = field.kind;
        if (field.kind == WEIR_INFLUX_STRING)
            out->text = unescaped(field.value, WEIR_INFLUX_TEXT);
    }
    return result == WEIR_INFLUX_END;
}

/* Decodes one record into point; false where it is refused. */
static bool
decode(struct weir_influx_decoder *decoder, int64_t unit, int64_t default_time)
{
    struct weir_slice name;
    if (weir_influx_measurement(decoder, &name) != WEIR_INFLUX_OK)
        return false;
    point.name = unescaped(name, WEIR_INFLUX_MEASUREMENT);
    if (!decode_tags(decoder) || !decode_fields(decoder))
        return false;
    int64_t time;
    enum weir_influx_result result = weir_influx_time(decoder, &time);
    point.time = floor_to(default_time, unit);
    if (result == WEIR_INFLUX_OK)
        return !__builtin_mul_overflow(time, unit, &point.time);
    return result == WEIR_INFLUX_END;
}

static bool
matches_text(const json_t *value, struct bytes ours, const char *what)
{
    return same(corpus_text(value), ours) || differs("%s differs", what);
}

static bool
matches_value(const json_t *value, const struct field *ours)
{
    const json_t *wanted;
    const char *text;
    if ((wanted = json_object_get(value, "string")) != NULL)
        return (ours->kind == WEIR_INFLUX_STRING && same(corpus_text(wanted), ours->text))
            || differs("string differs");
    if ((wanted = json_object_get(value, "bool")) != NULL)
        return (ours->kind == WEIR_INFLUX_BOOL && ours->value.truth == json_is_true(wanted))
            || differs("bool differs");
    if ((text = json_string_value(json_object_get(value, "int"))) != NULL)
        return (ours->kind == WEIR_INFLUX_INT && ours->value.integer == strtoll(text, NULL, 10))
            || differs("int differs: %s", text);
    if ((text = json_string_value(json_object_get(value, "uint"))) != NULL)
        return (ours->kind == WEIR_INFLUX_UINT
                   && ours->value.natural == strtoull(text, NULL, 10))
            || differs("uint differs: %s", text);
    if ((text = json_string_value(json_object_get(value, "float"))) == NULL
        || ours->kind != WEIR_INFLUX_FLOAT)
        return differs("kind differs");
    struct weir_sample sample = {
        weir_sample_key(0, ours->value.number.kind, ours->value.number.exponent), 0,
        ours->value.number.value};
    /* JSON writes -0 as it likes; all else must be the same double. */
    return weir_sample_double(&sample) == strtod(text, NULL) || differs("float differs: %s", text);
}

static bool
matches_point(const json_t *wanted)
{
    const json_t *tags = json_object_get(wanted, "tags"), *fields = json_object_get(wanted,
        "fields");
    if (!matches_text(json_object_get(wanted, "name"), point.name, "name"))
        return false;
    if (json_array_size(tags) != point.tag_count || json_array_size(fields) != point.field_count)
        return differs("%zu tags and %zu fields decoded", point.tag_count, point.field_count);
    for (size_t i = 0; i < point.tag_count; i++) {
        const json_t *tag = json_array_get(tags, i);
        if (!matches_text(json_object_get(tag, "key"), point.tags[i].key, "tag key")
            || !matches_text(json_object_get(tag, "value"), point.tags[i].value, "tag value"))
            return false;
    }
    for (size_t i = 0; i < point.field_count; i++) {
        const json_t *field = json_array_get(fields, i);
        if (!matches_text(json_object_get(field, "key"), point.fields[i].key, "field key")
            || !matches_value(json_object_get(field, "value"), &point.fields[i]))
            return false;
    }
    const char *time = json_string_value(json_object_get(wanted, "time"));
    return (time != NULL && strtoll(time, NULL, 10) == point.time)
        || differs("time differs: %lld", (long long)point.time);
}

static bool
judge(const json_t *entry)
{
    const json_t *input = json_object_get(entry, "input"), *output = json_object_get(entry,
        "output");
    const json_t *error = json_object_get(output, "error"), *points = json_object_get(output,
        "result");
    bool expects_error = json_is_string(error) && json_string_length(error) > 0;
    struct bytes text = corpus_text(json_object_get(input, "text"));
    int64_t unit = precision_ns(json_string_value(json_object_get(input, "precision")));
    const char *time = json_string_value(json_object_get(input, "defaultTime"));
    if (unit == 0 || time == NULL)
        return differs("unknown precision or time in the case");
    struct weir_influx_decoder decoder = {.data = text.data, .size = text.size, .final = true};
    size_t count = 0;
    for (;;) {
        enum weir_influx_result begun = weir_influx_begin(&decoder);
        if (begun == WEIR_INFLUX_BLANK)
            continue;
        if (begun != WEIR_INFLUX_OK)
            break;
        if (!decode(&decoder, unit, strtoll(time, NULL, 10)))
            return expects_error || differs("record %zu refused", count);
        if (!expects_error && !matches_point(json_array_get(points, count)))
            return false;
        count++;
    }
    if (expects_error)
        return differs("no record refused, expected: %s", json_string_value(error));
    return count == json_array_size(points) || differs("%zu records", count);
}

int
main(int argc, char **argv)
{
    char path[4096];
    const char *folder = getenv("WEIR_CONFORMANCE");
    if (folder == NULL)
        folder = WEIR_CONFORMANCE_DEFAULT;
    if (argc > 1)
        snprintf(path, sizeof path, "%s", argv[1]);
    else
        snprintf(path, sizeof path, "%s/influx-line/corpus.json", folder);
    size_t size;
    char *raw = read_file(path, &size);
    if (raw == NULL) {
        printf("1..0 # SKIP no %s: the Influx line protocol corpus was not run\n", path);
        return 0;
    }
    json_error_t error;
    json_t *corpus = json_loads(quote_numbers(raw, size), JSON_ALLOW_NUL, &error);
    release_memory();
    json_t *cases = json_object_get(corpus, "decode");
    if (cases == NULL || json_object_size(cases) == 0) {
        printf("Bail out! %s: line %d: %s\n", path, error.line, error.text);
        return 1;
    }
    size_t number = 0, failed = 0;
    const char *key;
    json_t *entry;
    printf("1..%zu\n", json_object_size(cases));
    json_object_foreach(cases, key, entry)
    {
        why[0] = '\0';
        bool good = judge(entry);
        release_memory();
        failed += !good;
        printf("%s %zu - %s%s%s\n", good ? "ok" : "not ok", ++number, key, good ? "" : ": ", why);
    }
    json_decref(corpus);
    return failed != 0;
}
