/* A small interpreter of call frame information: DWARF's section 6.4, as .eh_frame has it.
 *
 * For each code address a table says how to find the caller's stack pointer (the canonical
 * frame address, CFA) and where the registers that the caller needs were saved. One step
 * finds the entry (FDE) of the address by the loader's index, runs its instructions up to the
 * address, and applies the rules that this gives.
 */
#define _GNU_SOURCE
#include "unwind.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <ucontext.h>

#ifdef __x86_64__

enum { REMEMBERED = 4, EXPRESSION_DEPTH = 16 };

/* What it reads is other functions' frames. */
#if defined(__clang__)
#define READS_FRAMES __attribute__((no_sanitize("address", "thread", "undefined")))
#else
#define READS_FRAMES __attribute__((no_sanitize_address, no_sanitize_thread, no_sanitize_undefined))
#endif

enum rule_kind { SAME, UNDEFINED, AT_OFFSET, IS_OFFSET, IN_REGISTER, AT_EXPRESSION, IS_EXPRESSION };

struct expression {
    const uint8_t *at;
    size_t len;
};

struct rule {
    enum rule_kind kind;
    union {
        int64_t offset; /* from the CFA */
        uint64_t reg;
        struct expression expression;
    };
};

struct row {
    struct rule rules[UNWIND_REGISTERS + 1]; /* the last stands for all that nobody needs */
    uint64_t cfa_register;
    int64_t cfa_offset;
    struct expression cfa_expression; /* instead, if there is one */
};

struct program {
    const uint8_t *at, *end;
};

/* A function's entry, with what its CIE says for several of them. */
struct entry {
    uintptr_t begin, end;
    uint64_t code_unit;
    int64_t data_unit;
    uint8_t encoding;
    bool is_signal;
    struct program common, own;
};

/* ---- reading -------------------------------------------------------------------- */

static uint64_t read_uleb(struct program *p)
{
    uint64_t value = 0;

    for (unsigned shift = 0; p->at < p->end; shift += 7) {
        uint8_t byte = *p->at++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            break;
    }
    return value;
}

static int64_t read_sleb(struct program *p)
{
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte = 0;

    while (p->at < p->end) {
        byte = *p->at++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
        if (!(byte & 0x80))
            break;
    }
    if ((byte & 0x40) && shift < 64)
        value |= UINT64_MAX << shift;
    return (int64_t)value;
}

/* Little-endian, of 1, 2, 4 or 8 bytes. */
static uint64_t read_fixed(struct program *p, size_t size)
{
    uint64_t value = 0;

    if ((size_t)(p->end - p->at) < size) {
        p->at = p->end;
        return 0;
    }
    memcpy(&value, p->at, size);
    p->at += size;
    return value;
}

static int64_t read_signed(struct program *p, size_t size)
{
    unsigned unused = 64 - 8 * (unsigned)size;

    return (int64_t)(read_fixed(p, size) << unused) >> unused;
}

enum { ENCODED_ABSOLUTE = 0x00, ENCODED_PC_RELATIVE = 0x10, ENCODED_OMITTED = 0xff };

/* Only what compilers use here: absolute, or relative to where it stands. */
static uintptr_t read_encoded(struct program *p, uint8_t encoding)
{
    static const uint8_t sizes[8] = { 8, 0, 2, 4, 8, 0, 0, 0 };
    uintptr_t base = (encoding & 0x70) == ENCODED_PC_RELATIVE ? (uintptr_t)p->at : 0;
    size_t size = sizes[encoding & 7];

    if (encoding == ENCODED_OMITTED || size == 0)
        return 0;
    if (encoding & 8)
        return base + (uintptr_t)read_signed(p, size);
    return base + read_fixed(p, size);
}

/* ---- finding the entry -------------------------------------------------------------- */

#if __GLIBC_PREREQ(2, 35)
static const uint8_t *find_index(uintptr_t pc)
{
    struct dl_find_object found;

    return _dl_find_object((void *)pc, &found) == 0 ? found.dlfo_eh_frame : NULL;
}
#else
struct search {
    uintptr_t pc;
    const uint8_t *index;
};

static int look_into(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct search *search = arg;
    const uint8_t *index = NULL;
    bool inside = false;

    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t at = info->dlpi_addr + segment->p_vaddr;

        if (segment->p_type == PT_GNU_EH_FRAME)
            index = (const uint8_t *)at;
        if (segment->p_type == PT_LOAD && search->pc - at < segment->p_memsz)
            inside = true;
    }
    if (inside)
        search->index = index;
    return inside;
}

static const uint8_t *find_index(uintptr_t pc)
{
    struct search search = { .pc = pc };

    dl_iterate_phdr(look_into, &search);
    return search.index;
}
#endif

/* The index: a header of twelve bytes, then pairs of a function's begin and its entry, both
 * relative to the index, in order. */
static const uint8_t *find_entry(uintptr_t pc)
{
    static const uint8_t expected[4] = { 1, 0x1b, 0x03, 0x3b };
    const uint8_t *index = find_index(pc);
    uint32_t low = 0, high;

    if (!index || memcmp(index, expected, sizeof expected) != 0)
        return NULL;
    memcpy(&high, index + 8, sizeof high);
    const int32_t(*table)[2] = (const void *)(index + 12);
    int64_t wanted = (int64_t)(pc - (uintptr_t)index);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (table[middle][0] <= wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? index + table[low - 1][1] : NULL;
}

static struct program block_at(const uint8_t *at)
{
    uint32_t len;

    memcpy(&len, at, sizeof len);
    if (len == UINT32_MAX) /* more than 4 GiB: nobody's */
        len = 0;
    return (struct program){ at + 4, at + 4 + len };
}

static void read_augmentation(struct entry *entry, struct program *p, const char *letters)
{
    read_uleb(p); /* its length */
    for (const char *letter = letters + 1; *letter; letter++) {
        if (*letter == 'R')
            entry->encoding = (uint8_t)read_fixed(p, 1);
        else if (*letter == 'P')
            read_encoded(p, (uint8_t)read_fixed(p, 1));
        else if (*letter == 'L')
            read_fixed(p, 1);
        else if (*letter == 'S')
            entry->is_signal = true;
        else
            return;
    }
}

static bool read_common(struct entry *entry, const uint8_t *at)
{
    struct program p = block_at(at);

    read_fixed(&p, 4);
    uint8_t version = (uint8_t)read_fixed(&p, 1);
    const char *letters = (const char *)p.at;
    p.at += strnlen(letters, (size_t)(p.end - p.at)) + 1;
    entry->code_unit = read_uleb(&p);
    entry->data_unit = read_sleb(&p);
    uint64_t return_register = version == 1 ? read_fixed(&p, 1) : read_uleb(&p);
    if (letters[0] == 'z') {
        struct program rest = p;
        uint64_t len = read_uleb(&rest);
        read_augmentation(entry, &p, letters);
        p.at = rest.at + len;
    }
    entry->common = p;
    return return_register == UNWIND_PC && (letters[0] == 'z' || letters[0] == '\0') &&
           p.at <= p.end;
}

static bool read_entry(struct entry *entry, uintptr_t pc)
{
    const uint8_t *at = find_entry(pc);

    if (!at)
        return false;
    struct program p = block_at(at);
    const uint8_t *back = p.at;
    *entry = (struct entry){ 0 };
    if (!read_common(entry, back - read_fixed(&p, 4)))
        return false;
    entry->begin = read_encoded(&p, entry->encoding);
    entry->end = entry->begin + read_encoded(&p, entry->encoding & 0x0f);
    uint64_t augmentation = read_uleb(&p);
    p.at += augmentation;
    entry->own = p;
    return pc >= entry->begin && pc < entry->end;
}

/* ---- running its instructions --------------------------------------------------------- */

struct run {
    const struct entry *entry;
    struct row row, initial, remembered[REMEMBERED];
    size_t depth;
    uintptr_t at; /* the address that the row holds for, from here on */
    bool failed;
};

static struct rule *rule_of(struct run *run, uint64_t reg)
{
    return &run->row.rules[reg < UNWIND_REGISTERS ? reg : UNWIND_REGISTERS];
}

static struct expression read_expression(struct program *p)
{
    uint64_t len = read_uleb(p);
    struct expression e = { p->at, len };

    if (len > (size_t)(p->end - p->at))
        e.len = 0;
    p->at += e.len;
    return e;
}

static void set_offset(struct run *run, uint64_t reg, enum rule_kind kind, int64_t factored)
{
    *rule_of(run, reg) = (struct rule){ kind, { .offset = factored * run->entry->data_unit } };
}

static void set_cfa(struct run *run, uint64_t reg, int64_t offset)
{
    run->row.cfa_register = reg;
    run->row.cfa_offset = offset;
    run->row.cfa_expression = (struct expression){ 0 };
}

static void remember(struct run *run)
{
    if (run->depth == REMEMBERED)
        run->failed = true;
    else
        run->remembered[run->depth++] = run->row;
}

static void recall(struct run *run)
{
    if (run->depth == 0)
        run->failed = true;
    else
        run->row = run->remembered[--run->depth];
}

/* The instructions that name a register first. */
static void run_for_register(struct run *run, struct program *p, uint8_t op)
{
    uint64_t reg = read_uleb(p);

    switch (op) {
    case 0x05: /* offset_extended */
        set_offset(run, reg, AT_OFFSET, (int64_t)read_uleb(p));
        break;
    case 0x06: /* restore_extended */
        if (reg < UNWIND_REGISTERS)
            run->row.rules[reg] = run->initial.rules[reg];
        break;
    case 0x07: /* undefined */
        rule_of(run, reg)->kind = UNDEFINED;
        break;
    case 0x08: /* same_value */
        rule_of(run, reg)->kind = SAME;
        break;
    case 0x09: /* register */
        *rule_of(run, reg) = (struct rule){ IN_REGISTER, { .reg = read_uleb(p) } };
        break;
    case 0x0c: /* def_cfa */
        set_cfa(run, reg, (int64_t)read_uleb(p));
        break;
    case 0x0d: /* def_cfa_register */
        set_cfa(run, reg, run->row.cfa_offset);
        break;
    case 0x10: /* expression */
        *rule_of(run, reg) = (struct rule){ AT_EXPRESSION, { .expression = read_expression(p) } };
        break;
    case 0x11: /* offset_extended_sf */
        set_offset(run, reg, AT_OFFSET, read_sleb(p));
        break;
    case 0x12: /* def_cfa_sf */
        set_cfa(run, reg, read_sleb(p) * run->entry->data_unit);
        break;
    case 0x14: /* val_offset */
        set_offset(run, reg, IS_OFFSET, (int64_t)read_uleb(p));
        break;
    case 0x15: /* val_offset_sf */
        set_offset(run, reg, IS_OFFSET, read_sleb(p));
        break;
    case 0x16: /* val_expression */
        *rule_of(run, reg) = (struct rule){ IS_EXPRESSION, { .expression = read_expression(p) } };
        break;
    default:
        run->failed = true;
    }
}

static void run_other(struct run *run, struct program *p, uint8_t op)
{
    switch (op) {
    case 0x00: /* nop */
        break;
    case 0x01: /* set_loc */
        run->at = read_encoded(p, run->entry->encoding);
        break;
    case 0x02: /* advance_loc1, 2, 4 */
    case 0x03:
    case 0x04:
        run->at += read_fixed(p, 1U << (op - 2)) * run->entry->code_unit;
        break;
    case 0x0a:
        remember(run);
        break;
    case 0x0b:
        recall(run);
        break;
    case 0x0e: /* def_cfa_offset */
        set_cfa(run, run->row.cfa_register, (int64_t)read_uleb(p));
        break;
    case 0x0f: /* def_cfa_expression */
        run->row.cfa_expression = read_expression(p);
        break;
    case 0x13: /* def_cfa_offset_sf */
        set_cfa(run, run->row.cfa_register, read_sleb(p) * run->entry->data_unit);
        break;
    case 0x2e: /* GNU_args_size */
        read_uleb(p);
        break;
    default:
        run_for_register(run, p, op);
    }
}

static void run_one(struct run *run, struct program *p)
{
    uint8_t byte = *p->at++, operand = byte & 0x3f;

    switch (byte >> 6) {
    case 1: /* advance_loc */
        run->at += operand * run->entry->code_unit;
        break;
    case 2: /* offset */
        set_offset(run, operand, AT_OFFSET, (int64_t)read_uleb(p));
        break;
    case 3: /* restore */
        if (operand < UNWIND_REGISTERS)
            run->row.rules[operand] = run->initial.rules[operand];
        break;
    default:
        run_other(run, p, byte);
    }
}

static void run_program(struct run *run, struct program p, uintptr_t pc)
{
    while (p.at < p.end && run->at <= pc && !run->failed)
        run_one(run, &p);
}

/* The row that holds at pc. Instructions after an advance beyond it do not count: run_one stops
 * there, since the advance itself comes first. */
static bool find_row(struct run *run, const struct entry *entry, uintptr_t pc)
{
    memset(run, 0, sizeof *run);
    run->entry = entry;
    run->at = entry->begin;
    run_program(run, entry->common, pc);
    run->initial = run->row;
    run_program(run, entry->own, pc);
    return !run->failed;
}

/* ---- applying the rules ------------------------------------------------------------------ */

READS_FRAMES static bool read_stack(const struct unwind_state *state, uintptr_t at,
                                    uintptr_t *ret_value)
{
    if (at < state->low || at >= state->high || (at & 7))
        return false;
    *ret_value = *(const uintptr_t *)at;
    return true;
}

struct machine {
    const struct unwind_state *state;
    uintptr_t stack[EXPRESSION_DEPTH];
    size_t depth;
    bool failed;
};

static void push(struct machine *m, uintptr_t value)
{
    if (m->depth == EXPRESSION_DEPTH)
        m->failed = true;
    else
        m->stack[m->depth++] = value;
}

static uintptr_t pop(struct machine *m)
{
    if (m->depth > 0)
        return m->stack[--m->depth];
    m->failed = true;
    return 0;
}

static void combine(struct machine *m, uint8_t op)
{
    uintptr_t right = pop(m), left = pop(m);

    switch (op) {
    case 0x1a: /* and */
        push(m, left & right);
        break;
    case 0x1c: /* minus */
        push(m, left - right);
        break;
    case 0x22: /* plus */
        push(m, left + right);
        break;
    case 0x24: /* shl */
        push(m, right < 64 ? left << right : 0);
        break;
    case 0x2a: /* ge */
        push(m, (intptr_t)left >= (intptr_t)right);
        break;
    default:
        m->failed = true;
    }
}

static void evaluate_one(struct machine *m, struct program *p)
{
    uint8_t op = *p->at++;
    uintptr_t value = 0;

    if (op >= 0x30 && op <= 0x4f) { /* lit0 ... lit31 */
        push(m, op - 0x30U);
    } else if (op >= 0x70 && op <= 0x70 + UNWIND_PC) { /* breg0 ... */
        push(m, m->state->registers[op - 0x70] + (uintptr_t)read_sleb(p));
    } else if (op == 0x06) { /* deref */
        m->failed |= !read_stack(m->state, pop(m), &value);
        push(m, value);
    } else if (op == 0x08) { /* const1u */
        push(m, read_fixed(p, 1));
    } else if (op == 0x23) { /* plus_uconst */
        value = pop(m);
        push(m, value + read_uleb(p));
    } else {
        combine(m, op);
    }
}

/* What the procedure linkage table and the C library's signal frames need of it. */
static bool evaluate(const struct unwind_state *state, struct expression e, bool has_start,
                     uintptr_t start, uintptr_t *ret_value)
{
    struct machine m = { .state = state };
    struct program p = { e.at, e.at + e.len };

    if (has_start)
        push(&m, start);
    while (p.at < p.end && !m.failed)
        evaluate_one(&m, &p);
    *ret_value = pop(&m);
    return !m.failed;
}

static bool find_cfa(const struct unwind_state *state, const struct row *row, uintptr_t *ret_cfa)
{
    if (row->cfa_expression.len)
        return evaluate(state, row->cfa_expression, false, 0, ret_cfa);
    if (row->cfa_register >= UNWIND_REGISTERS)
        return false;
    *ret_cfa = state->registers[row->cfa_register] + (uintptr_t)row->cfa_offset;
    return true;
}

static bool apply_rule(const struct unwind_state *state, const struct rule *rule, uintptr_t cfa,
                       uintptr_t *value)
{
    uintptr_t at;

    switch (rule->kind) {
    case AT_OFFSET:
        return read_stack(state, cfa + (uintptr_t)rule->offset, value);
    case IS_OFFSET:
        *value = cfa + (uintptr_t)rule->offset;
        return true;
    case IN_REGISTER:
        if (rule->reg >= UNWIND_REGISTERS)
            return false;
        *value = state->registers[rule->reg];
        return true;
    case AT_EXPRESSION:
        return evaluate(state, rule->expression, true, cfa, &at) && read_stack(state, at, value);
    case IS_EXPRESSION:
        return evaluate(state, rule->expression, true, cfa, value);
    case UNDEFINED:
        *value = 0;
        return true;
    default:
        return true;
    }
}

static bool apply(struct unwind_state *state, const struct row *row)
{
    struct unwind_state caller = *state;
    uintptr_t cfa;

    if (row->rules[UNWIND_PC].kind == UNDEFINED || row->rules[UNWIND_PC].kind == SAME)
        return false; /* the outermost frame */
    if (!find_cfa(state, row, &cfa) || cfa <= state->registers[UNWIND_RSP])
        return false;
    for (size_t i = 0; i < UNWIND_REGISTERS; i++)
        if (!apply_rule(state, &row->rules[i], cfa, &caller.registers[i]))
            return false;
    if (row->rules[UNWIND_RSP].kind == SAME)
        caller.registers[UNWIND_RSP] = cfa;
    *state = caller;
    return state->registers[UNWIND_PC] != 0;
}

bool unwind_step(struct unwind_state *state)
{
    struct entry entry;
    struct run run;
    uintptr_t pc = state->registers[UNWIND_PC] - !state->exact, sp = state->registers[UNWIND_RSP];

    if (sp < state->low || sp >= state->high)
        return false;
    state->low = sp;
    if (!read_entry(&entry, pc) || !find_row(&run, &entry, pc))
        return false;
    state->exact = entry.is_signal;
    return apply(state, &run.row);
}

/* ---- where to begin -------------------------------------------------------------------------- */

static void begin(struct unwind_state *state, const struct context_stack *stack)
{
    *state = (struct unwind_state){
        .low = (uintptr_t)stack->bottom,
        .high = (uintptr_t)stack->bottom + stack->size,
    };
}

#ifdef CONTEXT_NATIVE
/* What else it needs stands in the frame of who switched: see context_jump. */
void unwind_from_context(struct unwind_state *state, const struct context *c,
                         const struct context_stack *stack)
{
    begin(state, stack);
    state->registers[UNWIND_RBP] = (uintptr_t)c->fp;
    state->registers[UNWIND_RSP] = (uintptr_t)c->sp;
    state->registers[UNWIND_PC] = (uintptr_t)c->pc;
}
#else
/* What boost.context's jump_fcontext pushes: control words, r12 to r15, rbx, rbp, and the
 * address where the call returns to. */
READS_FRAMES void unwind_from_context(struct unwind_state *state, const struct context *c,
                                      const struct context_stack *stack)
{
    static const uint8_t order[] = { 12, 13, 14, 15, 3, UNWIND_RBP, UNWIND_PC };
    const uintptr_t *saved = c->pointer;

    begin(state, stack);
    if ((uintptr_t)saved < state->low || (uintptr_t)(saved + 8) > state->high)
        return;
    for (size_t i = 0; i < sizeof order; i++)
        state->registers[order[i]] = saved[1 + i];
    state->registers[UNWIND_RSP] = (uintptr_t)(saved + 8);
}
#endif

void unwind_from_signal(struct unwind_state *state, const void *ucontext,
                        const struct context_stack *stack)
{
    static const int order[UNWIND_REGISTERS] = {
        REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
        REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP,
    };
    const ucontext_t *interrupted = ucontext;

    begin(state, stack);
    for (size_t i = 0; i < UNWIND_REGISTERS; i++)
        state->registers[i] = (uintptr_t)interrupted->uc_mcontext.gregs[order[i]];
    state->exact = true;
}

__attribute__((noinline)) void unwind_from_here(struct unwind_state *state,
                                                const struct context_stack *stack)
{
    uintptr_t *registers = state->registers;

    begin(state, stack);
    __asm__ volatile("leaq 0(%%rip), %%rax\n\t"
                     "movq %%rax, 128(%0)\n\t"
                     "movq %%rbx, 24(%0)\n\t"
                     "movq %%rbp, 48(%0)\n\t"
                     "movq %%rsp, 56(%0)\n\t"
                     "movq %%r12, 96(%0)\n\t"
                     "movq %%r13, 104(%0)\n\t"
                     "movq %%r14, 112(%0)\n\t"
                     "movq %%r15, 120(%0)"
                     :
                     : "D"(registers)
                     : "rax", "memory");
    state->exact = true;
    unwind_step(state); /* out of this function */
}

#else

static void begin_nowhere(struct unwind_state *state)
{
    *state = (struct unwind_state){ 0 };
}

void unwind_from_context(struct unwind_state *state, const struct context *c,
                         const struct context_stack *stack)
{
    (void)c, (void)stack;
    begin_nowhere(state);
}

void unwind_from_signal(struct unwind_state *state, const void *ucontext,
                        const struct context_stack *stack)
{
    (void)ucontext, (void)stack;
    begin_nowhere(state);
}

void unwind_from_here(struct unwind_state *state, const struct context_stack *stack)
{
    (void)stack;
    begin_nowhere(state);
}

bool unwind_step(struct unwind_state *state)
{
    (void)state;
    return false;
}

#endif
