/* The fuzzers' comparison, on seeds and on mutations of them drawn from a fixed number: what a
 * machine without clang can check. $WEIR_SEEDS is tests/fuzz/seeds. */
#include "tests/fuzz/twin.h"
#include "tests/fuzz/twin_decimal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_MAX 64
#define SEED_SIZE_MAX 1024
#define MUTATIONS 4000

static uint64_t state = 1;

static uint32_t
draw(uint32_t below)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((state >> 33) % below);
}

struct seeds {
    uint8_t text[SEEDS_MAX][SEED_SIZE_MAX];
    size_t size[SEEDS_MAX];
    size_t count;
};

static void
load_seeds(const char *target, struct seeds *out)
{
    char path[4096];
    const char *folder = getenv("WEIR_SEEDS");
    assert_non_null(folder);
    snprintf(path, sizeof path, "%s/%s", folder, target);
    struct dirent **names;
    int found = scandir(path, &names, NULL, alphasort);
    assert_true(found > 2);
    out->count = 0;
    for (int i = 0; i < found; i++) {
        if (names[i]->d_name[0] != '.') {
            assert_true(out->count < SEEDS_MAX);
            snprintf(path, sizeof path, "%s/%s/%s", folder, target, names[i]->d_name);
            FILE *file = fopen(path, "rb");
            assert_non_null(file);
            out->size[out->count] = fread(out->text[out->count], 1, SEED_SIZE_MAX, file);
            out->count++;
            fclose(file);
        }
        free(names[i]);
    }
    free(names);
}

/* A seed, or the halves of two, with a few bytes changed, dropped or doubled. */
static size_t
mutate(const struct seeds *seeds, const char *alphabet, uint8_t *out)
{
    uint32_t first = draw((uint32_t)seeds->count), second = draw((uint32_t)seeds->count);
    size_t size = seeds->size[first];
    memcpy(out, seeds->text[first], size);
    if (draw(3) == 0) {
        size = draw((uint32_t)size + 1);
        size_t from = draw((uint32_t)seeds->size[second] + 1);
        memcpy(out + size, seeds->text[second] + from, seeds->size[second] - from);
        size += seeds->size[second] - from;
    }
    for (uint32_t edits = draw(6); edits > 0 && size > 0; edits--) {
        size_t at = draw((uint32_t)size);
        switch (draw(4)) {
        case 0:
            out[at] = (uint8_t)draw(256);
            break;
        case 1:
            out[at] = (uint8_t)alphabet[draw((uint32_t)strlen(alphabet))];
            break;
        case 2:
            memmove(out + at, out + at + 1, --size - at);
            break;
        default:
            memmove(out + at + 1, out + at, size++ - at);
            break;
        }
    }
    return size;
}

static void
compare(const char *target, const char *alphabet, bool (*agrees)(const uint8_t *, size_t))
{
    static struct seeds seeds;
    static uint8_t text[2 * SEED_SIZE_MAX + 16];
    load_seeds(target, &seeds);
    for (size_t i = 0; i < seeds.count; i++)
        assert_true(agrees(seeds.text[i], seeds.size[i]));
    for (int i = 0; i < MUTATIONS; i++) {
        size_t size = mutate(&seeds, alphabet, text);
        if (!agrees(text, size)) {
            fprintf(stderr, "the text was:\n%.*s\n", (int)size, (const char *)text);
            fail();
        }
    }
}

static bool
influx_agrees(const uint8_t *text, size_t size)
{
    return twin_agrees_somewhere(WEIR_PROTO_INFLUX, text, size);
}

static bool
graphite_agrees(const uint8_t *text, size_t size)
{
    return twin_agrees_somewhere(WEIR_PROTO_GRAPHITE, text, size);
}

static void
test_influx_parser_agrees_with_its_twin(void **unused)
{
    (void)unused;
    compare("influx", " ,=\"\\\n\r#iutTfF0123456789.-e_x\t", influx_agrees);
}

static void
test_graphite_parser_agrees_with_its_twin(void **unused)
{
    (void)unused;
    compare("graphite", " ;=\n\r\t0123456789.-+ename", graphite_agrees);
}

static bool
opentsdb_agrees(const uint8_t *text, size_t size)
{
    return twin_agrees_somewhere(WEIR_PROTO_OPENTSDB, text, size);
}

static void
test_opentsdb_parser_agrees_with_its_twin(void **unused)
{
    (void)unused;
    compare("opentsdb", " =\n\r\t0123456789.-+eputxi", opentsdb_agrees);
}

static void
test_decimals_agree_with_strtod(void **unused)
{
    (void)unused;
    compare("decimal", "0123456789.-+e", twin_decimal_agrees);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_influx_parser_agrees_with_its_twin),
        cmocka_unit_test(test_graphite_parser_agrees_with_its_twin),
        cmocka_unit_test(test_opentsdb_parser_agrees_with_its_twin),
        cmocka_unit_test(test_decimals_agree_with_strtod),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
