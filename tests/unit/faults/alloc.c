#include "tests/unit/faults/alloc.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static atomic_bool armed;
static atomic_bool all_from;
static atomic_bool failed;
static atomic_long left; /* allocations until the one that fails */
static _Thread_local bool exempt_here;

void
alloc_faults_arm(long n, enum alloc_faults kind)
{
    atomic_store(&left, n);
    atomic_store(&all_from, kind == alloc_faults_all_from);
    atomic_store(&failed, false);
    atomic_store(&armed, true);
}

bool
alloc_faults_disarm(void)
{
    atomic_store(&armed, false);
    return atomic_load(&failed);
}

void
alloc_faults_exempt(bool exempt)
{
    exempt_here = exempt;
}

/* Is this the allocation that fails? */
static bool
fails(void)
{
    if (!atomic_load(&armed) || exempt_here)
        return false;
    long now = atomic_fetch_sub(&left, 1);
    if (now != 1 && (now > 1 || !atomic_load(&all_from)))
        return false;
    atomic_store(&failed, true);
    errno = ENOMEM;
    return true;
}

/* The linker's names: __wrap_x is called for x, and __real_x is x. */
#define WRAP_POINTER(type, name, parameters, arguments) \
    type *__real_##name parameters; \
    type *__wrap_##name parameters; \
    type *__wrap_##name parameters \
    { \
        return fails() ? NULL : __real_##name arguments; \
    }

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsuggest-attribute=malloc"
WRAP_POINTER(void, malloc, (size_t size), (size))
WRAP_POINTER(void, calloc, (size_t count, size_t size), (count, size))
WRAP_POINTER(void, realloc, (void *old, size_t size), (old, size))
WRAP_POINTER(void, aligned_alloc, (size_t alignment, size_t size), (alignment, size))
WRAP_POINTER(char, strdup, (const char *text), (text))
WRAP_POINTER(char, strndup, (const char *text, size_t size), (text, size))
WRAP_POINTER(FILE, fopen, (const char *path, const char *mode), (path, mode))
WRAP_POINTER(FILE, fdopen, (int fd, const char *mode), (fd, mode))
WRAP_POINTER(FILE, open_memstream, (char **text, size_t *size), (text, size))
WRAP_POINTER(DIR, opendir, (const char *path), (path))
#pragma GCC diagnostic pop

int __real_posix_memalign(void **out, size_t alignment, size_t size);
int __wrap_posix_memalign(void **out, size_t alignment, size_t size);
int
__wrap_posix_memalign(void **out, size_t alignment, size_t size)
{
    return fails() ? ENOMEM : __real_posix_memalign(out, alignment, size);
}

ssize_t __real_getline(char **line, size_t *capacity, FILE *file);
ssize_t __wrap_getline(char **line, size_t *capacity, FILE *file);
ssize_t
__wrap_getline(char **line, size_t *capacity, FILE *file)
{
    return fails() ? -1 : __real_getline(line, capacity, file);
}

/* As the C library does, the pointer is left without a meaning where it fails. */
#define WRAP_PRINT(name, parameters, format) \
    int __wrap_##name parameters; \
    int __wrap_##name parameters \
    { \
        if (fails()) \
            return -1; \
        va_list args; \
        va_start(args, format); \
        int size = vasprintf(out, format, args); \
        va_end(args); \
        return size; \
    }

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wmissing-format-attribute"
WRAP_PRINT(asprintf, (char **out, const char *format, ...), format)
WRAP_PRINT(__asprintf_chk, (char **out, int flag __attribute__((unused)), const char *format, ...),
    format)
#pragma GCC diagnostic pop

void *__real_mmap(void *at, size_t size, int access, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int access, int flags, int fd, off_t offset);
void *
__wrap_mmap(void *at, size_t size, int access, int flags, int fd, off_t offset)
{
    return fails() ? MAP_FAILED : __real_mmap(at, size, access, flags, fd, offset);
}

void *
alloc_faults_malloc(size_t size)
{
    return __wrap_malloc(size);
}

void *
alloc_faults_realloc(void *old, size_t size)
{
    return __wrap_realloc(old, size);
}
