/* The names of addresses. See symbol.h.
 *
 * libdw is not linked: most programs never print a dump, and it is not on every machine. What
 * it would fetch over the network (debuginfod) is not asked for: a report must not wait.
 *
 * It puts hundreds of kilobytes on the stack, which a greenlet does not have: all of it runs in a
 * thread that lives as long as the look does. Who asks waits for the answer meanwhile. In a child that
 * is forked during a look there is no such thread: there only the dynamic linker is asked, and what
 * libdw had allocated stays.
 */
#define _GNU_SOURCE
#include "symbol.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what the dynamic linker knows --------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void name_by_linker(const void *address, char *buf, size_t size)
{
    Dl_info info;

    if (!dladdr(address, &info) || !info.dli_fname) {
        snprintf(buf, size, "%p", address);
        return;
    }
    const char *module = base_name(info.dli_fname);
    if (info.dli_sname)
        snprintf(buf, size, "%s+0x%zx (%s)", info.dli_sname,
                 (size_t)((const char *)address - (const char *)info.dli_saddr), module);
    else
        snprintf(buf, size, "%s+0x%zx", module,
                 (size_t)((const char *)address - (const char *)info.dli_fbase));
}

static const char *put_variable(const char *name, size_t offset, char *buf, size_t size)
{
    if (offset)
        snprintf(buf, size, "%s+0x%zx", name, offset);
    else
        snprintf(buf, size, "%s", name);
    return buf;
}

static const char *variable_by_linker(const void *address, char *buf, size_t size)
{
    Dl_info info;

    if (!dladdr(address, &info) || !info.dli_sname)
        return NULL;
    return put_variable(info.dli_sname,
                        (size_t)((const char *)address - (const char *)info.dli_saddr), buf, size);
}

#if __has_include(<elfutils/libdwfl.h>)

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

/* ---- loading libdw ---------------------------------------------------------------- */

#define LIBDW_FUNCTIONS(X)      \
    X(dwfl_begin)               \
    X(dwfl_end)                 \
    X(dwfl_linux_proc_report)   \
    X(dwfl_report_end)          \
    X(dwfl_addrmodule)          \
    X(dwfl_module_addrinfo)     \
    X(dwfl_module_getsrc)       \
    X(dwfl_module_addrdie)      \
    X(dwfl_lineinfo)            \
    X(dwarf_child)              \
    X(dwarf_siblingof)          \
    X(dwarf_haspc)              \
    X(dwarf_tag)                \
    X(dwarf_diename)            \
    X(dwarf_attr)               \
    X(dwarf_formudata)          \
    X(dwarf_diecu)              \
    X(dwarf_getsrcfiles)        \
    X(dwarf_filesrc)            \
    X(dwfl_linux_proc_find_elf) \
    X(dwfl_build_id_find_debuginfo)

static struct {
#define DECLARE(name) __typeof__(name) *name;
    LIBDW_FUNCTIONS(DECLARE)
#undef DECLARE
    bool loaded;
} dw;
static pthread_once_t once = PTHREAD_ONCE_INIT;
enum { STACK_SIZE = 4 << 20, INLINE_DEPTH = 32 };

static bool load_function(void *library, const char *name, void *ret_function)
{
    void *function = dlsym(library, name);

    memcpy(ret_function, &function, sizeof function);
    return function != NULL;
}

static void *load(void *arg)
{
    void *library = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);

    dw.loaded = library != NULL;
#define LOAD(name) dw.loaded = dw.loaded && load_function(library, #name, &dw.name);
    LIBDW_FUNCTIONS(LOAD)
#undef LOAD
    return arg;
}

/* It takes no signals: they are the program's. */
static int start_thread(pthread_t *ret_thread, void *(*run)(void *), void *arg)
{
    pthread_attr_t attributes;
    sigset_t all, before;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int error = pthread_create(ret_thread, &attributes, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

static void load_once(void)
{
    pthread_t thread;

    if (start_thread(&thread, load, NULL) == 0)
        pthread_join(thread, NULL);
}

bool symbols_complete(void)
{
    pthread_once(&once, load_once);
    return dw.loaded;
}

/* ---- what libdw knows ----------------------------------------------------------------- */

enum { CACHED = 64 };

/* libdw looks through the whole table of a module each time. */
struct cached {
    const void *address;
    char text[192];
};

enum question { BEGIN, CODE, FRAMES, DATA, END };

struct job {
    enum question question;
    const void *address;
    char *buf;
    size_t size;
    symbols_each *each;
    void *arg;
    bool known; /* the answer */
};

struct symbols {
    struct cached cache[CACHED]; /* by address: symbols_code's answers */
    struct cached variable;      /* the last answer of symbols_data; "": unknown */
    Dwfl *dwfl;
    Dwfl_Callbacks callbacks;
    char *debug_path;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct job *job; /* NULL: done */

    pid_t process;             /* that has the thread */
    struct symbols *left_over; /* behind this one: see symbols_close */
};

static Dwfl_Module *module_of(struct symbols *symbols, const void *address)
{
    return dw.dwfl_addrmodule(symbols->dwfl, (Dwarf_Addr)(size_t)address);
}

/* The last two parts of a path: enough to know the file by. */
static const char *short_path(const char *path)
{
    const char *at = path + strlen(path);
    int parts = 0;

    while (at > path && !(at[-1] == '/' && ++parts == 2))
        at--;
    return at;
}

static void put_place(char *buf, size_t size, const char *function, const char *file, int line)
{
    if (line > 0)
        snprintf(buf, size, "%s (%s:%d)", function, short_path(file), line);
    else
        snprintf(buf, size, "%s (%s)", function, short_path(file));
}

/* Where the code at address was written; NULL: unknown. */
static const char *source_of(Dwfl_Module *module, const void *address, int *ret_line)
{
    Dwfl_Line *line = dw.dwfl_module_getsrc(module, (Dwarf_Addr)(size_t)address);

    return line ? dw.dwfl_lineinfo(line, NULL, ret_line, NULL, NULL, NULL) : NULL;
}

/* Of the function that holds address as a whole. */
static const char *function_of(Dwfl_Module *module, const void *address)
{
    GElf_Off offset;
    GElf_Sym symbol;

    return dw.dwfl_module_addrinfo(module, (Dwarf_Addr)(size_t)address, &offset, &symbol, NULL,
                                   NULL, NULL);
}

/* ---- in the thread ---------------------------------------------------------------------------- */

static void put_code(struct symbols *symbols, const void *address, char *buf, size_t size)
{
    Dwfl_Module *module = module_of(symbols, address);
    const char *symbol = module ? function_of(module, address) : NULL;
    char function[128];
    int line = 0;
    const char *file = symbol ? source_of(module, address, &line) : NULL;

    /* Without what the compiler puts behind the name of one that it has changed: ".part.0" */
    snprintf(function, sizeof function, "%.*s", symbol ? (int)strcspn(symbol, ".") : 0,
             symbol ? symbol : "");
    if (file)
        put_place(buf, size, function, file, line);
    else if (symbol)
        snprintf(buf, size, "%s", function);
    else
        name_by_linker(address, buf, size);
}

/* Variables that begin as zeros lie behind what is mapped from the file, of which alone libdw
 * knows. */
static Dwfl_Module *module_of_variable(struct symbols *symbols, const void *address)
{
    Dl_info info;

    return dladdr(address, &info) ? module_of(symbols, info.dli_fbase) : NULL;
}

static bool put_data(struct symbols *symbols, const void *address, char *buf, size_t size)
{
    Dwfl_Module *module = module_of_variable(symbols, address);
    GElf_Off offset;
    GElf_Sym symbol;
    const char *name = module ? dw.dwfl_module_addrinfo(module, (Dwarf_Addr)(size_t)address,
                                                        &offset, &symbol, NULL, NULL, NULL)
                              : NULL;

    if (!module)
        return variable_by_linker(address, buf, size) != NULL;
    if (!name || GELF_ST_TYPE(symbol.st_info) != STT_OBJECT || offset >= symbol.st_size)
        return false;
    put_variable(name, offset, buf, size);
    return true;
}

/* ---- inlined functions -------------------------------------------------------------------- */

static const char *called_from(Dwarf_Die *die, int *ret_line)
{
    Dwarf_Attribute attribute;
    Dwarf_Word line = 0, number = 0;
    Dwarf_Files *files;
    Dwarf_Die unit;
    size_t count;

    if (dw.dwarf_formudata(dw.dwarf_attr(die, DW_AT_call_line, &attribute), &line) != 0 ||
        dw.dwarf_formudata(dw.dwarf_attr(die, DW_AT_call_file, &attribute), &number) != 0 ||
        !dw.dwarf_diecu(die, &unit, NULL, NULL) || dw.dwarf_getsrcfiles(&unit, &files, &count) != 0)
        return NULL;
    *ret_line = (int)line;
    return dw.dwarf_filesrc(files, number, NULL, NULL);
}

/* The functions that hold an address, outermost first: the one that is there as code, then those
 * that were inlined into one another. */
struct chain {
    Dwarf_Die functions[INLINE_DEPTH];
    int count;
};

/* What holds at among die's children; false: nothing does. */
static bool find_child(Dwarf_Die *die, Dwarf_Addr at, Dwarf_Die *ret_child)
{
    for (int end = dw.dwarf_child(die, ret_child); end == 0;
         end = dw.dwarf_siblingof(ret_child, ret_child))
        if (dw.dwarf_haspc(ret_child, at) > 0)
            return true;
    return false;
}

static void find_chain(Dwfl_Module *module, const void *address, struct chain *chain)
{
    Dwarf_Addr bias, at = (Dwarf_Addr)(size_t)address;
    Dwarf_Die *unit = dw.dwfl_module_addrdie(module, at, &bias), scope, child;

    chain->count = 0;
    if (!unit)
        return;
    for (scope = *unit; chain->count < INLINE_DEPTH && find_child(&scope, at - bias, &child);
         scope = child) {
        int tag = dw.dwarf_tag(&child);
        if (tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine)
            chain->functions[chain->count++] = child;
    }
}

static const char *name_in_chain(struct chain *chain, int at)
{
    const char *name = at < chain->count ? dw.dwarf_diename(&chain->functions[at]) : NULL;

    return name ? name : "?";
}

/* The inlined ones, innermost first; where the call stands that the outermost made is left. */
static const char *tell_inlined(struct chain *chain, const char *file, int *line,
                                symbols_each *each, void *arg)
{
    char text[256];

    for (int i = chain->count; i-- > 1 && file;) {
        put_place(text, sizeof text, name_in_chain(chain, i), file, *line);
        each(text, arg);
        file = called_from(&chain->functions[i], line);
    }
    return file;
}

static void put_frames(struct symbols *symbols, const void *address, symbols_each *each, void *arg)
{
    Dwfl_Module *module = module_of(symbols, address);
    struct chain chain = { .count = 0 };
    char text[256];
    int line = 0;

    if (module)
        find_chain(module, address, &chain);
    const char *file = chain.count > 0 ? source_of(module, address, &line) : NULL;
    if (file)
        file = tell_inlined(&chain, file, &line, each, arg);
    if (file)
        put_place(text, sizeof text, name_in_chain(&chain, 0), file, line);
    else
        put_code(symbols, address, text, sizeof text);
    each(text, arg);
}

static bool begin(struct symbols *symbols)
{
    symbols->callbacks = (Dwfl_Callbacks){
        .find_elf = dw.dwfl_linux_proc_find_elf,
        .find_debuginfo = dw.dwfl_build_id_find_debuginfo,
        .debuginfo_path = &symbols->debug_path,
    };
    symbols->dwfl = dw.dwfl_begin(&symbols->callbacks);
    return symbols->dwfl && dw.dwfl_linux_proc_report(symbols->dwfl, getpid()) == 0 &&
           dw.dwfl_report_end(symbols->dwfl, NULL, NULL) == 0;
}

static void answer(struct symbols *symbols, struct job *job)
{
    switch (job->question) {
    case BEGIN:
        job->known = begin(symbols);
        break;
    case CODE:
        put_code(symbols, job->address, job->buf, job->size);
        break;
    case FRAMES:
        put_frames(symbols, job->address, job->each, job->arg);
        break;
    case DATA:
        job->known = put_data(symbols, job->address, job->buf, job->size);
        break;
    case END:
        if (symbols->dwfl)
            dw.dwfl_end(symbols->dwfl);
    }
}

static void *answer_all(void *arg)
{
    struct symbols *symbols = arg;
    bool ends = false;

    pthread_mutex_lock(&symbols->lock);
    while (!ends) {
        while (!symbols->job)
            pthread_cond_wait(&symbols->changed, &symbols->lock);
        ends = symbols->job->question == END;
        answer(symbols, symbols->job);
        symbols->job = NULL;
        pthread_cond_broadcast(&symbols->changed);
    }
    pthread_mutex_unlock(&symbols->lock);
    return NULL;
}

/* ---- asking it ------------------------------------------------------------------------------ */

static bool ask(struct symbols *symbols, struct job *job)
{
    pthread_mutex_lock(&symbols->lock);
    symbols->job = job;
    pthread_cond_broadcast(&symbols->changed);
    while (symbols->job)
        pthread_cond_wait(&symbols->changed, &symbols->lock);
    pthread_mutex_unlock(&symbols->lock);
    return job->known;
}

static bool is_ours(const struct symbols *symbols)
{
    return symbols && symbols->process == getpid();
}

static void dispose(struct symbols *symbols)
{
    pthread_cond_destroy(&symbols->changed);
    pthread_mutex_destroy(&symbols->lock);
    free(symbols);
}

struct symbols *symbols_open(void)
{
    struct symbols *symbols = symbols_complete() ? calloc(1, sizeof *symbols) : NULL;

    if (!symbols)
        return NULL;
    symbols->process = getpid();
    pthread_mutex_init(&symbols->lock, NULL);
    pthread_cond_init(&symbols->changed, NULL);
    if (start_thread(&symbols->thread, answer_all, symbols) != 0) {
        dispose(symbols);
        return NULL;
    }
    if (ask(symbols, &(struct job){ .question = BEGIN }))
        return symbols;
    symbols_close(symbols);
    return NULL;
}

void symbols_close(struct symbols *symbols)
{
    static struct symbols *left_over; /* of forked children; for leak checkers */
    int saved = errno;

    if (!symbols)
        return;
    if (!is_ours(symbols)) {
        symbols->left_over = left_over;
        left_over = symbols;
        return;
    }
    ask(symbols, &(struct job){ .question = END });
    pthread_join(symbols->thread, NULL);
    dispose(symbols);
    errno = saved;
}

const char *symbols_code(struct symbols *symbols, const void *address, char *buf, size_t size)
{
    if (!is_ours(symbols)) {
        name_by_linker(address, buf, size);
        return buf;
    }
    struct cached *cached = &symbols->cache[((uintptr_t)address >> 2) % CACHED];
    if (cached->address != address || !cached->text[0])
        ask(symbols, &(struct job){ .question = CODE,
                                    .address = address,
                                    .buf = cached->text,
                                    .size = sizeof cached->text });
    cached->address = address;
    snprintf(buf, size, "%s", cached->text);
    return buf;
}

const char *symbols_data(struct symbols *symbols, const void *address, char *buf, size_t size)
{
    Dl_info info;

    if (!is_ours(symbols))
        return variable_by_linker(address, buf, size);
    if (!dladdr(address, &info)) /* on the heap or a stack, as most */
        return NULL;
    struct cached *cached = &symbols->variable;
    struct job job = {
        .question = DATA, .address = address, .buf = cached->text, .size = sizeof cached->text
    };
    if (cached->address != address && !ask(symbols, &job))
        cached->text[0] = '\0';
    cached->address = address;
    snprintf(buf, size, "%s", cached->text);
    return buf[0] ? buf : NULL;
}

void symbols_frames(struct symbols *symbols, const void *address, symbols_each *each, void *arg)
{
    char text[256];

    if (is_ours(symbols)) {
        ask(symbols,
            &(struct job){ .question = FRAMES, .address = address, .each = each, .arg = arg });
        return;
    }
    name_by_linker(address, text, sizeof text);
    each(text, arg);
}

#else

struct symbols *symbols_open(void)
{
    return NULL;
}

void symbols_close(struct symbols *symbols)
{
    (void)symbols;
}

bool symbols_complete(void)
{
    return false;
}

const char *symbols_code(struct symbols *symbols, const void *address, char *buf, size_t size)
{
    (void)symbols;
    name_by_linker(address, buf, size);
    return buf;
}

const char *symbols_data(struct symbols *symbols, const void *address, char *buf, size_t size)
{
    (void)symbols;
    return variable_by_linker(address, buf, size);
}

void symbols_frames(struct symbols *symbols, const void *address, symbols_each *each, void *arg)
{
    char text[256];

    (void)symbols;
    name_by_linker(address, text, sizeof text);
    each(text, arg);
}

#endif

const char *symbol_name(const void *address, char *buf, size_t size)
{
    struct symbols *symbols = symbols_open();

    symbols_code(symbols, address, buf, size);
    symbols_close(symbols);
    return buf;
}
