#include "base/memory.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)

/* A large region takes whole huge pages: then the kernel can give them for all of it. */
static size_t
mapped_bytes(size_t bytes)
{
    return bytes < HUGE_PAGE ? bytes : (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
}

/* Maps bytes, whole huge pages, at an address that huge pages can have. */
static void *
map_aligned(size_t bytes)
{
    uint8_t *at = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return MAP_FAILED;
    size_t before = -(uintptr_t)at & (HUGE_PAGE - 1);
    if (before > 0)
        munmap(at, before);
    if (before < HUGE_PAGE)
        munmap(at + before + bytes, HUGE_PAGE - before);
    madvise(at + before, bytes, MADV_HUGEPAGE); /* a wish; plain pages work too */
    return at + before;
}

enum weir_err
weir_memory_map(size_t bytes, bool *huge, void **out)
{
    size_t rounded = mapped_bytes(bytes);
    if (*huge && bytes >= HUGE_PAGE) {
        void *at = mmap(NULL, rounded, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
        if (at != MAP_FAILED) {
            *out = at;
            return WEIR_OK;
        }
    }
    *huge = false;
    void *at = bytes >= HUGE_PAGE
        ? map_aligned(rounded)
        : mmap(NULL, bytes, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return weir_fail(WEIR_NOMEM, errno, "map %zu bytes", bytes);
    *out = at;
    return WEIR_OK;
}

bool
weir_memory_populate(void *memory, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return madvise(memory, (bytes + page - 1) & ~(page - 1), MADV_POPULATE_WRITE) == 0;
}

void
weir_memory_unmap(void *memory, size_t bytes)
{
    if (memory != NULL)
        munmap(memory, mapped_bytes(bytes));
}
