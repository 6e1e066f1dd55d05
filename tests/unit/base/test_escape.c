/* Text of anybody in each kind of output: harmless there, and read back by its own rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/escape.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void
check(enum weir_escape kind, const char *bytes, size_t size, const char *expected)
{
    char out[256];
    size_t used = weir_escape_into(kind, bytes, size, out, sizeof out);
    assert_string_equal(out, expected);
    assert_int_equal(used, strlen(out));
}
#define CHECK(kind, bytes, expected) \
    check(WEIR_ESCAPE_##kind, bytes, sizeof(bytes) - 1, expected)

static void
test_terminal_shows_what_would_steer_it(void **state)
{
    (void)state;
    CHECK(TERMINAL, "plain text, \"quoted\"", "plain text, \"quoted\"");
    CHECK(TERMINAL, "\x1b]0;title\x07\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J");
    CHECK(TERMINAL, "\x9b" "2J", "\\x9b2J");             /* C1 as a raw byte */
    CHECK(TERMINAL, "\xc2\x9b" "2J", "\\u009b2J");       /* C1 as UTF-8 */
    CHECK(TERMINAL, "a\xe2\x80\xae" "b", "a\\u202eb");   /* turns the line */
    CHECK(TERMINAL, "a\xe2\x81\xa6" "b", "a\\u2066b");
    CHECK(TERMINAL, "\xd8\x9c", "\\u061c");
    CHECK(TERMINAL, "\0\t\r\n\x7f\\", "\\x00\\t\\r\\n\\x7f\\\\");
    CHECK(TERMINAL, "gr\xc3\xbc\xc3\x9f \xf0\x9f\x8c\x8a", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x8c\x8a");
    CHECK(TERMINAL, "\xff\xc0\x80\xe2\x82", "\\xff\\xc0\\x80\\xe2\\x82");
    CHECK(QUOTED, "a\xef\xbf\xbd", "a\\ufffd");
    CHECK(QUOTED, "a\"b\\c\x1b", "a\\\"b\\\\c\\x1b");
}

static void
test_json_and_logfmt_use_escapes_their_readers_know(void **state)
{
    (void)state;
    CHECK(JSON, "a\"b\\c\n\t\r\x01\x7f", "a\\\"b\\\\c\\n\\t\\r\\u0001\\u007f");
    CHECK(JSON, "\xc2\x9b\xe2\x80\xae\xe2\x80\xa8", "\\u009b\\u202e\\u2028");
    CHECK(JSON, "a\xff" "b", "a\xef\xbf\xbd" "b");
    CHECK(LOGFMT, "a \"b\"=\\c\n\x1b", "a \\\"b\\\"=\\\\c\\n\\u001b");
    CHECK(LOGFMT, "a\xff" "b\xc2\x9b", "a\\ufffdb\\u009b");
}

static void
test_exposition_escapes_what_its_grammar_names(void **state)
{
    (void)state;
    CHECK(LABEL, "a\"b\\c\nd\te\x1b", "a\\\"b\\\\c\\nd\te\x1b");
    CHECK(HELP, "a\"b\\c\nd", "a\"b\\\\c\\nd");
    CHECK(LABEL, "\xff", "\xef\xbf\xbd");
    CHECK(HELP, "\xff", "\xef\xbf\xbd");
}

static void
test_html_holds_no_tag_and_no_attribute_of_the_text(void **state)
{
    (void)state;
    CHECK(HTML, "<a href='x'>\"&\"</a>\\",
        "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;&lt;/a&gt;\\");
    CHECK(HTML, "a\nb\x1b\xff\xe2\x80\xae", "a\nb\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static int
hex(const char *at, int digits)
{
    char text[5] = "";
    memcpy(text, at, (size_t)digits);
    return (int)strtol(text, NULL, 16);
}

static size_t
put_code(uint8_t *out, int code)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    out[0] = (uint8_t)(0xe0 | code >> 12);
    out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code & 0x3f));
    return 3;
}

/* Takes \n \t \r \" \\ \xNN \uNNNN away again. */
static size_t
read_back(const char *text, uint8_t *out)
{
    size_t used = 0;
    for (; *text != '\0'; text++) {
        if (*text != '\\') {
            out[used++] = (uint8_t)*text;
            continue;
        }
        switch (*++text) {
        case 'n':
            out[used++] = '\n';
            break;
        case 't':
            out[used++] = '\t';
            break;
        case 'r':
            out[used++] = '\r';
            break;
        case 'x':
            out[used++] = (uint8_t)hex(text + 1, 2);
            text += 2;
            break;
        case 'u':
            used += put_code(out + used, hex(text + 1, 4));
            text += 4;
            break;
        default:
            out[used++] = (uint8_t)*text;
            break;
        }
    }
    return used;
}

/* Random strings, mostly of pieces that mean something somewhere. */
static size_t
make_bytes(uint8_t *out, size_t pieces)
{
    static const char *const parts[] = {"\xc2\x9b", "\xe2\x80\xae", "\xc3\xa4", "\xe2\x82",
        "\xf0\x9f\x8c\x8a", "\\x1b", "\\\\", "\"", "abc ", "\xed\xa0\x80"};
    size_t used = 0;
    for (size_t i = 0; i < pieces; i++) {
        size_t pick = (size_t)rand() % 20;
        if (pick < sizeof parts / sizeof parts[0]) {
            memcpy(out + used, parts[pick], strlen(parts[pick]));
            used += strlen(parts[pick]);
        } else {
            out[used++] = (uint8_t)rand();
        }
    }
    return used;
}

static void
test_terminal_text_reads_back_whatever_the_bytes(void **state)
{
    (void)state;
    srand(11);
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[64], back[512];
        char out[512];
        size_t size = make_bytes(bytes, (size_t)rand() % 12);
        for (int kind = WEIR_ESCAPE_TERMINAL; kind <= WEIR_ESCAPE_QUOTED; kind++) {
            size_t used = weir_escape_into((enum weir_escape)kind, bytes, size, out, sizeof out);
            for (size_t i = 0; i < used; i++)
                assert_true((uint8_t)out[i] >= ' ' && out[i] != 0x7f);
            assert_int_equal(read_back(out, back), size);
            assert_memory_equal(back, bytes, size);
        }
    }
}

static void
test_text_is_cut_between_characters(void **state)
{
    (void)state;
    static const char text[] = "a\x1b" "\xc3\xbc" "\xe2\x80\xae" "b";
    char whole[64], out[64];
    weir_escape_into(WEIR_ESCAPE_TERMINAL, text, sizeof text - 1, whole, sizeof whole);
    for (size_t room = 1; room < sizeof whole; room++) {
        memset(out, '#', sizeof out);
        size_t used = weir_escape_into(WEIR_ESCAPE_TERMINAL, text, sizeof text - 1, out, room);
        assert_true(used < room && out[used] == '\0' && (room == sizeof out || out[room] == '#'));
        assert_memory_equal(out, whole, used);
        /* a1 b4 c2 d6 e1: cuts fall between them */
        static const size_t ends[] = {0, 1, 5, 7, 13, 14};
        bool between = false;
        for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
            between |= used == ends[i];
        assert_true(between);
    }
}

static void
test_a_message_is_one_line(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    weir_line_print(out, "no file %s of %d", "a\nb\x1b[2J", 7);
    fclose(out);
    assert_string_equal(text, "no file a\\nb\\x1b[2J of 7\n");
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terminal_shows_what_would_steer_it),
        cmocka_unit_test(test_json_and_logfmt_use_escapes_their_readers_know),
        cmocka_unit_test(test_exposition_escapes_what_its_grammar_names),
        cmocka_unit_test(test_html_holds_no_tag_and_no_attribute_of_the_text),
        cmocka_unit_test(test_terminal_text_reads_back_whatever_the_bytes),
        cmocka_unit_test(test_text_is_cut_between_characters),
        cmocka_unit_test(test_a_message_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
