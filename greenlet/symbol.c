/* The names of addresses in code. See symbol.h. */
#define _GNU_SOURCE
#include "symbol.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

const char *symbol_name(const void *address, char *buf, size_t size)
{
    Dl_info info;

    if (!dladdr(address, &info) || !info.dli_fname) {
        snprintf(buf, size, "%p", address);
        return buf;
    }

    const char *slash = strrchr(info.dli_fname, '/');
    const char *module = slash ? slash + 1 : info.dli_fname;

    if (info.dli_sname)
        snprintf(buf, size, "%s+0x%zx (%s)", info.dli_sname,
                 (size_t)((const char *)address - (const char *)info.dli_saddr), module);
    else
        snprintf(buf, size, "%s+0x%zx", module,
                 (size_t)((const char *)address - (const char *)info.dli_fbase));
    return buf;
}
