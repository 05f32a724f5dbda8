/* An application out of a shared object.
 *
 * Everything is bound at load time (RTLD_NOW): a function that is missing keeps the
 * server from starting, and does not end it under load. The object stays loaded until the
 * process ends, since its code may run until then.
 *
 * A bare "hello.so" is the one in the current folder when there is one, as with a
 * script's interpreter; dlopen alone would search the system's library folders.
 */
#define _GNU_SOURCE /* asprintf, dladdr1 */

#include "module.h"

#include "log.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct spec {
    char *path;
    char *symbol;      /* NULL: the default ones */
    const char *found; /* which of them it is */
    bool factory;
    char *name; /* path:symbol, as the logs show it */
};

static const char *const default_symbols[] = { "application", "app" };

/* ---- "./hello.so:make()" ------------------------------------------------------------- */

static void finish_spec(struct spec *s)
{
    free(s->path);
    free(s->symbol);
    free(s->name);
}

/* The colon in front of the symbol: in the last part of the path. */
static const char *symbol_colon(const char *text)
{
    const char *slash = strrchr(text, '/');

    return strchr(slash ? slash : text, ':');
}

static int parse_symbol(const char *text, struct spec *ret_spec)
{
    size_t len = strlen(text);

    ret_spec->factory = len > 2 && strcmp(text + len - 2, "()") == 0;
    ret_spec->symbol = strndup(text, ret_spec->factory ? len - 2 : len);
    return ret_spec->symbol ? 0 : -1;
}

static int parse_spec(const char *text, struct spec *ret_spec)
{
    const char *colon = symbol_colon(text);
    size_t path_len = colon ? (size_t)(colon - text) : strlen(text);

    *ret_spec = (struct spec){ .path = strndup(text, path_len) };
    if (!ret_spec->path || (colon && colon[1] && parse_symbol(colon + 1, ret_spec) < 0)) {
        finish_spec(ret_spec);
        return -1;
    }
    return 0;
}

/* ---- loading -------------------------------------------------------------------------- */

/* What dlerror says, without the path that the caller names anyway. */
static const char *reason(const char *path)
{
    const char *text = dlerror();
    size_t len = strlen(path);
    const char *after;

    if (!text)
        return "unknown error";
    after = strstr(text, path);
    if (!after || strncmp(after + len, ": ", 2) != 0)
        return text;
    return after + len + 2;
}

static void *open_object(const char *path)
{
    char *local = NULL;
    void *handle;

    if (!strchr(path, '/') && access(path, F_OK) == 0 && asprintf(&local, "./%s", path) < 0)
        local = NULL;
    handle = dlopen(local ? local : path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        log_complain("cannot load \"%s\": %s", path, reason(path));
    free(local);
    return handle;
}

static bool is_function(void *at)
{
    const ElfW(Sym) *symbol = NULL;
    Dl_info info;

    if (!dladdr1(at, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol)
        return false;
    return ELF64_ST_TYPE(symbol->st_info) == STT_FUNC;
}

static void *find_default(void *handle, struct spec *s)
{
    for (size_t i = 0; i < sizeof default_symbols / sizeof default_symbols[0]; i++) {
        void *at = dlsym(handle, default_symbols[i]);

        if (at) {
            s->found = default_symbols[i];
            return at;
        }
    }
    log_complain("\"%s\" has no symbol \"%s\" or \"%s\"", s->path, default_symbols[0],
                 default_symbols[1]);
    return NULL;
}

static void *find_symbol(void *handle, struct spec *s)
{
    void *at;

    if (!s->symbol)
        return find_default(handle, s);
    s->found = s->symbol;
    at = dlsym(handle, s->symbol);
    if (!at)
        log_complain("\"%s\" has no symbol \"%s\"", s->path, s->symbol);
    return at;
}

static int load(struct spec *s, cress_config *config)
{
    void *handle = open_object(s->path);
    char *name;
    void *at;

    if (!handle)
        return CRESS_EXIT_MODULE;
    at = find_symbol(handle, s);
    if (!at)
        return CRESS_EXIT_SYMBOL;
    if (!is_function(at)) {
        log_complain("\"%s\" in \"%s\" is not a function", s->found, s->path);
        return CRESS_EXIT_SYMBOL;
    }
    if (asprintf(&name, "%s:%s%s", s->path, s->found, s->factory ? "()" : "") < 0) {
        log_complain("cannot load \"%s\": out of memory", s->path);
        return CRESS_EXIT_MODULE;
    }
    s->name = name;
    if (s->factory)
        config->factory = (cress_factory *)at;
    else
        config->app = (cress_app *)at;
    return CRESS_EXIT_OK;
}

int module_load(const char *text, cress_config *config)
{
    static char *kept_name; /* until exit, as the module itself */
    struct spec s;
    int status;

    if (parse_spec(text, &s) < 0) {
        log_complain("cannot load \"%s\": out of memory", text);
        return CRESS_EXIT_MODULE;
    }
    if (!*s.path) {
        log_complain("\"%s\" names no module", text);
        finish_spec(&s);
        return CRESS_EXIT_MODULE;
    }
    status = load(&s, config);
    if (status == CRESS_EXIT_OK) {
        free(kept_name);
        config->app_name = kept_name = s.name;
        s.name = NULL;
    }
    finish_spec(&s);
    return status;
}
