/* Allocations that fail. Included once by a test that wraps malloc, calloc and
 * realloc: see its .wrap file. */
#ifndef CRESS_TEST_FAIL_ALLOC_H
#define CRESS_TEST_FAIL_ALLOC_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

/* So many more succeed, the one after them fails, and then all succeed again. */
static int allocations_left = INT_MAX;

/* Has it failed? */
static bool end_failing(void)
{
    bool failed = allocations_left < 0;

    allocations_left = INT_MAX;
    return failed;
}

static bool fails(void)
{
    if (allocations_left == INT_MAX || allocations_left-- != 0)
        return false;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

#endif
