#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "storage/frame/frame.h"
#include "storage/frame/ring.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE WEIR_FRAME_ALIGN
#define MIB (UINT64_C(1) << 20)

static struct weir_frame_ring *ring;
static uint64_t ring_bytes;
static uint64_t data_bytes;

static int
set_up(void **state)
{
    (void)state;
    ring_bytes = weir_frame_ring_bytes_min();
    ring = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(ring != MAP_FAILED);
    assert_int_equal(weir_frame_ring_init(ring, ring_bytes), WEIR_OK);
    void *memory;
    size_t size;
    weir_frame_ring_memory(ring, &memory, &size);
    data_bytes = size;
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    munmap(ring, ring_bytes);
    return 0;
}

/* Reserves and commits one frame filled with `mark`; its descriptor, not yet published. */
static bool
put(size_t bytes, uint8_t mark, struct weir_frame_descriptor *out)
{
    uint64_t place;
    uint8_t *at = weir_frame_ring_reserve(ring, bytes, &place);
    if (at == NULL)
        return false;
    memset(at, mark, bytes);
    weir_frame_ring_commit(ring, place, bytes);
    *out = (struct weir_frame_descriptor){.place = place, .bytes = (uint32_t)bytes};
    return true;
}

static struct weir_frame_descriptor
put_published(size_t bytes, uint8_t mark)
{
    struct weir_frame_descriptor descriptor = {0};
    assert_true(put(bytes, mark, &descriptor));
    weir_frame_ring_publish(ring, &descriptor);
    return descriptor;
}

static enum weir_err
copy(const struct weir_frame_descriptor *descriptor, uint8_t *out)
{
    return weir_frame_ring_copy(ring, ring_bytes, descriptor->place, out, descriptor->bytes);
}

static void
test_ring_too_small_is_refused(void **state)
{
    (void)state;
    assert_int_equal(weir_frame_ring_init(ring, weir_frame_ring_bytes_min() - 1), WEIR_INVALID);
}

static void
test_ring_hands_a_published_frame_back(void **state)
{
    (void)state;
    assert_int_equal(weir_frame_ring_published(ring), 0);
    struct weir_frame_descriptor put_in;
    assert_true(put(2 * PAGE, 7, &put_in));
    assert_int_equal(weir_frame_ring_published(ring), 0);
    put_in.offset = 4096;
    put_in.samples = 9;
    weir_frame_ring_publish(ring, &put_in);
    assert_int_equal(weir_frame_ring_published(ring), 1);
    struct weir_frame_descriptor out;
    assert_int_equal(weir_frame_ring_descriptor(ring, 0, &out), WEIR_OK);
    assert_memory_equal(&out, &put_in, sizeof out);
    uint8_t bytes[2 * PAGE];
    assert_int_equal(copy(&out, bytes), WEIR_OK);
    for (size_t i = 0; i < sizeof bytes; i++)
        assert_int_equal(bytes[i], 7);
    assert_int_equal(weir_frame_ring_descriptor(ring, 1, &out), WEIR_NOT_FOUND);
}

static void
test_ring_reservations_are_whole_and_aligned_also_at_the_end(void **state)
{
    (void)state;
    void *memory;
    size_t size;
    weir_frame_ring_memory(ring, &memory, &size);
    uint64_t before = 0;
    for (unsigned i = 0; i < 40; i++) {
        size_t bytes = (1 + i * 97 % 700) * PAGE;
        uint64_t place;
        uint8_t *at = weir_frame_ring_reserve(ring, bytes, &place);
        assert_non_null(at);
        assert_int_equal((uintptr_t)at % PAGE, 0);
        assert_true(at >= (uint8_t *)memory && at + bytes <= (uint8_t *)memory + size);
        assert_true(place >= before);
        weir_frame_ring_commit(ring, place, bytes);
        struct weir_frame_descriptor descriptor = {.place = place, .bytes = (uint32_t)bytes};
        weir_frame_ring_publish(ring, &descriptor);
        before = place + bytes;
    }
    assert_true(before > 2 * size);
}

static void
test_ring_refuses_to_overwrite_what_is_not_published(void **state)
{
    (void)state;
    struct weir_frame_descriptor first;
    struct weir_frame_descriptor next;
    assert_true(put(MIB, 1, &first));
    unsigned more = 0;
    while (put(MIB, 2, &next))
        more++;
    assert_int_equal(more, data_bytes / MIB - 1);
    uint64_t place;
    assert_null(weir_frame_ring_reserve(ring, MIB, &place));
    weir_frame_ring_publish(ring, &first);
    assert_true(put(MIB, 3, &next));
    assert_false(put(MIB, 3, &next));
}

static void
test_ring_copy_notices_that_bytes_were_overwritten(void **state)
{
    (void)state;
    static uint8_t out[MIB];
    struct weir_frame_descriptor first = put_published(MIB, 1);
    struct weir_frame_descriptor last = first;
    for (uint64_t i = 1; i < data_bytes / MIB; i++)
        last = put_published(MIB, (uint8_t)i);
    assert_int_equal(copy(&first, out), WEIR_OK);
    uint64_t place;
    assert_non_null(weir_frame_ring_reserve(ring, PAGE, &place));
    /* not yet written, but it may be any moment */
    assert_int_equal(copy(&first, out), WEIR_NOT_FOUND);
    assert_int_equal(copy(&last, out), WEIR_OK);
}

static void
test_ring_serves_a_largest_frame_wherever_the_cursor_is(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        put_published((1 + i * 131 % 2000) * PAGE, 1);
        uint64_t place;
        assert_non_null(weir_frame_ring_reserve(ring, WEIR_FRAME_BYTES_MAX, &place));
    }
}

static void
test_ring_descriptor_is_not_found_once_overwritten(void **state)
{
    (void)state;
    struct weir_frame_descriptor out;
    for (uint64_t i = 0; i < WEIR_FRAME_DESCRIPTORS + 3; i++)
        put_published(PAGE, 1);
    /* the slot of the oldest kept is the one the writer writes next */
    assert_int_equal(weir_frame_ring_descriptor(ring, 3, &out), WEIR_NOT_FOUND);
    assert_int_equal(weir_frame_ring_descriptor(ring, 4, &out), WEIR_OK);
    assert_int_equal(out.place, 4 * PAGE);
    assert_int_equal(weir_frame_ring_descriptor(ring, WEIR_FRAME_DESCRIPTORS + 2, &out), WEIR_OK);
}

/* A reader is another process; the region may hold anything: zeroes after a restart, or worse. */
static void
test_ring_copy_stays_inside_whatever_the_region_holds(void **state)
{
    (void)state;
    static uint8_t out[2 * MIB];
    struct weir_frame_descriptor descriptor = put_published(MIB, 1);
    assert_int_equal(
        weir_frame_ring_copy(ring, ring_bytes, descriptor.place, out, data_bytes + 1),
        WEIR_NOT_FOUND);
    assert_int_equal(
        weir_frame_ring_copy(ring, ring_bytes, data_bytes - PAGE, out, 2 * PAGE), WEIR_NOT_FOUND);
    assert_int_equal(weir_frame_ring_copy(ring, PAGE, 0, out, PAGE), WEIR_NOT_FOUND);
    assert_int_equal(
        weir_frame_ring_copy(ring, ring_bytes, UINT64_MAX - 5, out, 2 * MIB), WEIR_NOT_FOUND);
    memset(ring, 0, ring_bytes);
    assert_int_equal(copy(&descriptor, out), WEIR_NOT_FOUND);
    struct weir_frame_descriptor any;
    assert_int_equal(weir_frame_ring_descriptor(ring, 0, &any), WEIR_NOT_FOUND);
    memset(ring, 0xff, ring_bytes);
    assert_int_equal(copy(&descriptor, out), WEIR_NOT_FOUND);
    for (uint64_t n = 0; n < 3; n++)
        (void)!weir_frame_ring_descriptor(ring, n, &any);
}

static void *
publish_later(void *argument)
{
    (void)argument;
    usleep(20000);
    put_published(PAGE, 1);
    return NULL;
}

static void
test_ring_wakes_a_reader_that_sleeps(void **state)
{
    (void)state;
    pthread_t writer;
    pthread_create(&writer, NULL, publish_later, NULL);
    /* far longer than the test may take: a lost wake-up shows as a timeout of the program */
    while (weir_frame_ring_published(ring) == 0)
        weir_frame_ring_wait(ring, 0, 60000);
    pthread_join(writer, NULL);
    weir_frame_ring_wait(ring, 0, 60000); /* nothing to wait for */
    weir_frame_ring_wait(ring, 1, 1);     /* ends by its time */
    assert_int_equal(weir_frame_ring_published(ring), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ring_too_small_is_refused),
        TEST(test_ring_hands_a_published_frame_back),
        TEST(test_ring_reservations_are_whole_and_aligned_also_at_the_end),
        TEST(test_ring_refuses_to_overwrite_what_is_not_published),
        TEST(test_ring_copy_notices_that_bytes_were_overwritten),
        TEST(test_ring_serves_a_largest_frame_wherever_the_cursor_is),
        TEST(test_ring_descriptor_is_not_found_once_overwritten),
        TEST(test_ring_copy_stays_inside_whatever_the_region_holds),
        TEST(test_ring_wakes_a_reader_that_sleeps),
    };
    return cmocka_run_group_tests_name("frame_ring", tests, NULL, NULL);
}
