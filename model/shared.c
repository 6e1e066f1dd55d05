#include "model/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u

static uint64_t
header_bytes(void)
{
    return (sizeof(struct weir_shared) + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

uint64_t
weir_shared_bytes(uint64_t ring_bytes)
{
    return header_bytes() + ((ring_bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1));
}

enum weir_err
weir_shared_new(uint64_t ring_bytes, int *fd)
{
    uint64_t bytes = weir_shared_bytes(ring_bytes);
    int made = memfd_create("weir", 0);
    if (made < 0)
        return weir_fail(WEIR_IO, errno, "memfd_create");
    /* the first fields; the others are zero */
    const uint64_t fields[4] = {
        WEIR_SHARED_MAGIC, bytes, header_bytes(), bytes - header_bytes()};
    _Static_assert(offsetof(struct weir_shared, frame_ring_bytes) == 3 * sizeof fields[0], "");
    if (ftruncate(made, (off_t)bytes) != 0 ||
        pwrite(made, fields, sizeof fields, 0) != (ssize_t)sizeof fields) {
        enum weir_err err = weir_fail(WEIR_IO, errno, "shared region of %llu bytes",
            (unsigned long long)bytes);
        close(made);
        return err;
    }
    *fd = made;
    return WEIR_OK;
}

enum weir_err
weir_shared_map(int fd, struct weir_shared **out)
{
    struct stat status;
    uint64_t fields[2];
    if (fstat(fd, &status) != 0 || pread(fd, fields, sizeof fields, 0) != sizeof fields)
        return weir_fail(WEIR_INVALID, errno, "descriptor %d is no shared region", fd);
    if (fields[0] != WEIR_SHARED_MAGIC || fields[1] != (uint64_t)status.st_size)
        return weir_fail(WEIR_INVALID, 0, "descriptor %d is no shared region of this version", fd);
    void *at = mmap(NULL, fields[1], PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return weir_fail(WEIR_NOMEM, errno, "map shared region of %llu bytes",
            (unsigned long long)fields[1]);
    /* Fewer faults and TLB misses where the kernel gives huge pages to shared memory on advice. */
    (void)madvise(at, fields[1], MADV_HUGEPAGE);
    *out = at;
    return WEIR_OK;
}

void
weir_shared_unmap(struct weir_shared *shared)
{
    munmap(shared, shared->bytes);
}

enum weir_err
weir_shared_reset(int fd, struct weir_shared *shared)
{
    atomic_store_explicit(&shared->epoch, 0, memory_order_relaxed);
    /* pairs with the acquire fences in weir_frame_ring_copy and weir_frame_ring_descriptor, which
     * load epoch again after them: a reader of bytes that go from here on sees 0 */
    atomic_thread_fence(memory_order_release);
    size_t fields = offsetof(struct weir_shared, epoch);
    memset((char *)shared + fields, 0, header_bytes() - fields);
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)shared->frame_ring_at,
            (off_t)shared->frame_ring_bytes) != 0)
        return weir_fail(WEIR_IO, errno, "punch the frame ring");
    return WEIR_OK;
}
