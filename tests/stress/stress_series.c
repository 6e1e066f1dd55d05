/* One registrar defines series as fast as it can while three readers resolve them. The
 * fingerprint is narrowed so that collisions are frequent. */
#include "dataplane/series/series.h"
#include "model/labels.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SERIES 20000
#define READERS 3
#define LABELS_MAX 64

static struct weir_series *series;

static size_t
make_labels(uint64_t i, uint8_t *out)
{
    char value[32];
    int size = snprintf(value, sizeof value, "cpu_%llu", (unsigned long long)i);
    struct weir_label label = {(const uint8_t *)WEIR_NAME_LABEL, (const uint8_t *)value, 8,
        (uint16_t)size};
    size_t used;
    if (weir_labels_encode(&label, 1, out, &used) != WEIR_OK)
        abort();
    return used;
}

static void *
define_all(void *argument)
{
    (void)argument;
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    for (uint64_t i = 0; i < SERIES; i++) {
        uint64_t number;
        bool defined;
        size_t size = make_labels(i, labels);
        if (weir_series_define(series, weir_series_fingerprint(series, labels, size),
        &number, &defined) != WEIR_OK ||
            number != i || !defined)
            abort();
        if (i % 256 == 0)
            sched_yield();
    }
    return NULL;
}

/* What the count covers is found under its number; what is found at all is found right. */
static void *
resolve_all(void *argument)
{
    uint64_t random = 1 + (uint64_t)(uintptr_t)argument;
    uint64_t wrong = 0;
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    for (uint64_t count = 0; count < SERIES;) {
        count = weir_series_count(series);
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint64_t wanted = (random >> 33) % (count + 16);
        uint64_t number;
        size_t size = make_labels(wanted, labels);
        bool found =
            weir_series_find(series, weir_series_fingerprint(series, labels, size), &number);
        /* the count is published ahead of the slot: only the newest may be missing */
        wrong += !found && wanted + 1 < count;
        wrong += found && number != wanted;
    }
    return (void *)(uintptr_t)wrong;
}

static void
test_series_readers_see_whole_entries_while_the_registrar_defines(void **state)
{
    (void)state;
    static struct weir_hash_key key;
    static const uint8_t seed[WEIR_HASH_SEED_BYTES] = {9};
    weir_hash_key_init(&key, seed);
    size_t bytes = weir_series_footprint(SERIES);
    void *memory = aligned_alloc(4096, bytes);
    memset(memory, 0, bytes);
    series = weir_series_init(memory, SERIES, &key);
    pthread_t writer, readers[READERS];
    for (uintptr_t i = 0; i < READERS; i++)
        pthread_create(&readers[i], NULL, resolve_all, (void *)i);
    pthread_create(&writer, NULL, define_all, NULL);
    pthread_join(writer, NULL);
    for (int i = 0; i < READERS; i++) {
        void *wrong;
        pthread_join(readers[i], &wrong);
        assert_ptr_equal(wrong, NULL);
    }
    free(memory);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series_readers_see_whole_entries_while_the_registrar_defines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
