// Allocations of C++ fail as those of C do (alloc.h), and throw.
#include <cstddef>
#include <cstdlib>
#include <new>

extern "C" void *alloc_faults_malloc(size_t size);

// RE2 loses what it had allocated for an expression when one of its allocations fails.
extern "C" const char *__lsan_default_suppressions();
extern "C" const char *
__lsan_default_suppressions()
{
    return "leak:libre2\n";
}

void *
operator new(size_t size)
{
    void *out = alloc_faults_malloc(size);
    if (out == nullptr)
        throw std::bad_alloc();
    return out;
}

void
operator delete(void *at) noexcept
{
    std::free(at);
}

void
operator delete(void *at, size_t) noexcept
{
    std::free(at);
}
