/* alloc: makes one allocation fail, or all from one on, in a test program.
 *
 * A program that links alloc_faults_dep has its calls of the allocator, and of the functions of the
 * C library that allocate, led through here by the linker (--wrap). Counted is what this tree's
 * code and the static libraries ask for, in all threads but those that are exempt.
 *
 *   for (long n = 1; alloc_faults_arm(n, alloc_faults_one), run(), alloc_faults_disarm(); n++)
 *       check that run() failed by name, and that its state is as before;
 *
 * Threads: arm and disarm from one; the calls from any
 */
#ifndef WEIR_TESTS_UNIT_FAULTS_ALLOC_H
#define WEIR_TESTS_UNIT_FAULTS_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

enum alloc_faults { alloc_faults_one, alloc_faults_all_from };

/* The n-th allocation from now on fails, n from 1; or it and all that follow. */
void alloc_faults_arm(long n, enum alloc_faults kind);
/* Ends that. Returns whether an allocation failed. */
bool alloc_faults_disarm(void);
/* The calling thread's allocations neither count nor fail from now on, or do so again. */
void alloc_faults_exempt(bool exempt);

/* For libraries that are given their allocator (event_set_mem_functions). */
void *alloc_faults_malloc(size_t size);
void *alloc_faults_realloc(void *old, size_t size);

#endif
