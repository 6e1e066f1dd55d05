/* One writer that overwrites as fast as it can, two readers that copy frames by their descriptors:
 * every copy the ring vouches for is whole. */
#include "base/crc.h"
#include "storage/frame/frame.h"
#include "storage/frame/ring.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define PAGE WEIR_FRAME_ALIGN
#define FRAMES 3000
#define PAGES_MAX 64
#define READERS 2

static struct weir_frame_ring *ring;
static uint64_t ring_bytes;

struct reader {
    pthread_t thread;
    uint64_t whole;
    uint64_t torn;
};

static uint32_t
pages_of(uint32_t n)
{
    return 1 + n * 2654435761u % PAGES_MAX;
}

/* Content that tells its number in every word, and its checksum in the descriptor. */
static void *
write_frames(void *argument)
{
    (void)argument;
    for (uint32_t n = 0; n < FRAMES; n++) {
        size_t bytes = (size_t)pages_of(n) * PAGE;
        uint64_t place;
        uint8_t *at = weir_frame_ring_reserve(ring, bytes, &place);
        if (at == NULL)
            abort(); /* everything is published: there is always room */
        for (size_t i = 0; i < bytes; i += sizeof n)
            memcpy(at + i, &n, sizeof n);
        struct weir_frame_descriptor descriptor = {.offset = n,
            .place = place,
            .bytes = (uint32_t)bytes,
            .samples = weir_crc32c(0, at, bytes)};
        weir_frame_ring_commit(ring, place, bytes);
        weir_frame_ring_publish(ring, &descriptor);
    }
    return NULL;
}

static void *
read_frames(void *argument)
{
    struct reader *reader = argument;
    uint8_t *out = malloc(PAGES_MAX * PAGE);
    for (uint64_t n = 0; n < FRAMES;) {
        uint64_t published = weir_frame_ring_published(ring);
        if (n == published) {
            weir_frame_ring_wait(ring, n, 1000);
            continue;
        }
        struct weir_frame_descriptor descriptor;
        if (weir_frame_ring_descriptor(ring, n, &descriptor) == WEIR_OK &&
            weir_frame_ring_copy(ring, ring_bytes, descriptor.place, out, descriptor.bytes) ==
                WEIR_OK) {
            bool right = descriptor.offset == n &&
                         descriptor.bytes == pages_of((uint32_t)n) * PAGE &&
                         weir_crc32c(0, out, descriptor.bytes) == descriptor.samples;
            reader->whole += right;
            reader->torn += !right;
        }
        /* now and then a reader that has fallen behind looks at the oldest there is */
        n = n % 7 == 0 && published > n + 200 ? published - 120 : n + 1;
    }
    free(out);
    return NULL;
}

static void
test_ring_readers_never_see_half_a_frame(void **state)
{
    (void)state;
    ring_bytes = weir_frame_ring_bytes_min();
    ring = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(ring != MAP_FAILED);
    assert_int_equal(weir_frame_ring_init(ring, ring_bytes), WEIR_OK);
    struct reader readers[READERS] = {0};
    pthread_t writer;
    for (int i = 0; i < READERS; i++)
        pthread_create(&readers[i].thread, NULL, read_frames, &readers[i]);
    pthread_create(&writer, NULL, write_frames, NULL);
    pthread_join(writer, NULL);
    for (int i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].torn, 0);
        assert_true(readers[i].whole > 0);
    }
    munmap(ring, ring_bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_readers_never_see_half_a_frame),
    };
    return cmocka_run_group_tests_name("frame_ring", tests, NULL, NULL);
}
