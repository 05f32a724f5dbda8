/* Buffers against a protected page: see guarded.h. */
#include "guarded.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t whole_pages(size_t len)
{
    return (len + page() - 1) / page() * page();
}

char *guarded_copy(const void *data, size_t len)
{
    size_t usable = whole_pages(len);
    char *map =
        mmap(NULL, usable + page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert(map != MAP_FAILED);
    int result = mprotect(map + usable, page(), PROT_NONE);
    assert(result == 0);
    (void)result;
    return memcpy(map + usable - len, data, len);
}

void guarded_free(char *copy, size_t len)
{
    size_t usable = whole_pages(len);

    munmap(copy + len - usable, usable + page());
}
