#include "base/memory.h"

#include <errno.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

enum weir_err
weir_memory_map(size_t bytes, bool *huge, void **out)
{
    if (*huge && bytes >= HUGE_PAGE) {
        size_t rounded = (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
        void *at = mmap(NULL, rounded, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
        if (at != MAP_FAILED) {
            *out = at;
            return WEIR_OK;
        }
    }
    *huge = false;
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return weir_fail(WEIR_NOMEM, errno, "map %zu bytes", bytes);
    if (bytes >= HUGE_PAGE)
        madvise(at, bytes, MADV_HUGEPAGE); /* a wish; plain pages work too */
    *out = at;
    return WEIR_OK;
}

void
weir_memory_unmap(void *memory, size_t bytes)
{
    /* an explicit huge mapping is unmapped in whole huge pages */
    if (memory != NULL && munmap(memory, bytes) != 0)
        munmap(memory, (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
}
