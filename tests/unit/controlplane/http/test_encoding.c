/* Accept-Encoding, and gzip. */
#include "controlplane/http/encoding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

static void
test_encoding_is_what_the_client_says_it_takes(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool gzip;
    } cases[] = {
        {"gzip", true}, {"GZip", true}, {"x-gzip", true}, {"*", true}, {"deflate, gzip", true},
        {"gzip, deflate, br", true}, {"gzip;q=1", true}, {"gzip;q=0.001", true},
        {"gzip ; q=0.5", true}, {"gzip; Q=0.5", true}, {"br;q=1.0, gzip;q=0.8, *;q=0.1", true},
        {"gzip;q=0.5, identity;q=0.5", true}, {" , ,gzip", true}, {"gzip,", true},
        {"identity;q=0, gzip", true}, {"gzip;q=1.000", true},
        {"", false}, {"identity", false}, {"deflate, br", false}, {"gzip;q=0", false},
        {"gzip;q=0.000", false}, {"gzip;q=0, *", false}, {"*;q=0", false},
        {"gzip;q=0.5, identity", false}, {"gzip;q=0.5, identity;q=0.6", false},
        {"gzip;q=2", false}, {"gzip;q=1.001", false}, {"gzip;q=0.5555", false},
        {"gzip;q=", false}, {"gzip;q", false}, {"gzip;level=9", false}, {"gzip;", false},
        {"gzip x", false}, {"gzipped", false}, {"g zip", false}, {"gzip;q=-1", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weir_codings codings;
        weir_codings_init(&codings);
        weir_codings_add(&codings, cases[i].value);
        if (weir_codings_want_gzip(&codings) != cases[i].gzip)
            fail_msg("%s", cases[i].value);
    }
}

static void
test_encoding_headers_are_one_list(void **state)
{
    (void)state;
    struct weir_codings codings;
    weir_codings_init(&codings);
    assert_false(weir_codings_want_gzip(&codings));
    weir_codings_add(&codings, "br");
    weir_codings_add(&codings, "gzip");
    assert_true(weir_codings_want_gzip(&codings));
    weir_codings_add(&codings, "identity");
    assert_true(weir_codings_want_gzip(&codings));
}

static struct weir_text
text_of(size_t size, bool random)
{
    struct weir_text text;
    weir_text_init(&text, size);
    uint64_t word = 1;
    for (size_t i = 0; i < size; i++) {
        word = word * 6364136223846793005u + 1442695040888963407u;
        char byte = random ? (char)(word >> 56) : (char)('a' + i % 7);
        weir_text_append(&text, &byte, 1);
    }
    assert_int_equal(text.size, size);
    return text;
}

static void
check_gzip(const struct weir_text *packed, const struct weir_text *plain)
{
    z_stream stream = {0};
    unsigned char *out = malloc(plain->size + 1);
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_in = (unsigned char *)packed->data;
    stream.avail_in = (unsigned)packed->size;
    stream.next_out = out;
    stream.avail_out = (unsigned)plain->size + 1;
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.total_out, plain->size);
    assert_int_equal(stream.avail_in, 0);
    assert_memory_equal(out, plain->data, plain->size);
    inflateEnd(&stream);
    free(out);
}

static void
test_gzip_reads_back_to_the_same(void **state)
{
    (void)state;
    static const size_t sizes[] = {WEIR_GZIP_MIN, 5000, 262144, 262145, 1000000, 3000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct weir_text plain = text_of(sizes[i], false);
        struct weir_text packed = text_of(sizes[i], false);
        assert_true(weir_text_gzip(&packed, NULL, NULL));
        assert_true(packed.size < plain.size);
        check_gzip(&packed, &plain);
        weir_text_fini(&plain);
        weir_text_fini(&packed);
    }
}

static enum weir_err
stop_at_third(void *context)
{
    int *calls = context;
    return ++*calls == 3 ? WEIR_END : WEIR_OK;
}

static void
test_gzip_leaves_what_it_does_not_make_smaller(void **state)
{
    (void)state;
    struct weir_text small = text_of(WEIR_GZIP_MIN - 1, false);
    struct weir_text random = text_of(100000, true);
    struct weir_text stopped = text_of(1000000, false);
    struct weir_text same = text_of(1000000, false);
    int calls = 0;
    assert_false(weir_text_gzip(&small, NULL, NULL));
    assert_int_equal(small.size, WEIR_GZIP_MIN - 1);
    assert_false(weir_text_gzip(&random, NULL, NULL));
    assert_int_equal(random.size, 100000);
    assert_false(weir_text_gzip(&stopped, stop_at_third, &calls));
    assert_int_equal(stopped.size, same.size);
    assert_memory_equal(stopped.data, same.data, same.size);
    weir_text_fini(&small);
    weir_text_fini(&random);
    weir_text_fini(&stopped);
    weir_text_fini(&same);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoding_is_what_the_client_says_it_takes),
        cmocka_unit_test(test_encoding_headers_are_one_list),
        cmocka_unit_test(test_gzip_reads_back_to_the_same),
        cmocka_unit_test(test_gzip_leaves_what_it_does_not_make_smaller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
