/* Formatting and classifying text on the request path, where printf and strtol cost
 * more than the rest of a response. */
#include "text.h"

#include "fail.h"
#include "scan.h"

#define T TEXT_TOKEN
#define V TEXT_VALUE
#define H TEXT_HOST
#define G TEXT_TARGET
#define P TEXT_PATH

const uint8_t text_classes[256] = {
    ['\t'] = V,
    [' '] = V,
    ['!'] = T | V | H | G | P,
    ['"'] = V | G,
    ['#'] = T | V,
    ['$'] = T | V | H | G | P,
    ['%'] = T | V | G,
    ['&'] = T | V | H | G | P,
    ['\''] = T | V | H | G | P,
    ['('] = V | H | G | P,
    [')'] = V | H | G | P,
    ['*'] = T | V | H | G | P,
    ['+'] = T | V | H | G | P,
    [','] = V | H | G | P,
    ['-'] = T | V | H | G | P,
    ['.'] = T | V | H | G | P,
    ['/'] = V | G | P,
    ['0' ... '9'] = T | V | H | TEXT_DIGIT | TEXT_HEX | G | P,
    [':'] = V | G | P,
    [';'] = V | H | G | P,
    ['<'] = V | G,
    ['='] = V | H | G | P,
    ['>'] = V | G,
    ['?'] = V | G,
    ['@'] = V | G | P,
    ['A' ... 'F'] = T | V | H | TEXT_HEX | G | P,
    ['G' ... 'Z'] = T | V | H | G | P,
    ['['] = V | G | P,
    ['\\'] = V | G,
    [']'] = V | G | P,
    ['^'] = T | V | G | P,
    ['_'] = T | V | H | G | P,
    ['`'] = T | V | G | P,
    ['a' ... 'f'] = T | V | H | TEXT_HEX | G | P,
    ['g' ... 'z'] = T | V | H | G | P,
    ['{'] = V | G | P,
    ['|'] = T | V | G | P,
    ['}'] = V | G | P,
    ['~'] = T | V | H | G | P,
    [0x80 ... 0xff] = V,
};

bool text_all(const char *data, size_t len, int class)
{
    for (size_t i = 0; i < len; i++)
        if (!text_is(data[i], class))
            return false;
    return len > 0;
}

#ifdef __SSE2__
static inline __m128i load(const char *data)
{
    return _mm_loadu_si128((const __m128i *)(const void *)data);
}

/* One to 16 bytes, some of them several times: what holds for these holds for all. */
static inline __m128i load_short(const char *data, size_t len)
{
    uint64_t first, last;
    uint32_t low, high;

    if (len >= 8) {
        memcpy(&first, data, 8);
        memcpy(&last, data + len - 8, 8);
        return _mm_set_epi64x((long long)last, (long long)first);
    }
    if (len >= 4) {
        memcpy(&low, data, 4);
        memcpy(&high, data + len - 4, 4);
        return _mm_set1_epi64x((long long)(low | (uint64_t)high << 32));
    }
    low = (unsigned char)data[0];
    high = (unsigned char)data[len - 1];
    low |= (uint32_t)(unsigned char)data[len / 2] << 8;
    return _mm_set1_epi32((int)(low | high << 16 | high << 24));
}

/* A bit for each of sixteen bytes. */
static inline __attribute__((always_inline)) unsigned find_unseen(const char *at, scan_find *find)
{
    __m128i bytes;

    __asm__("movdqu %1, %0" : "=x"(bytes) : "m"(*(const char(*)[16])at));
    return (unsigned)_mm_movemask_epi8(find(bytes));
}

static inline __attribute__((always_inline)) bool finds_one(__m128i bytes, scan_find *find)
{
    return _mm_movemask_epi8(find(bytes)) != 0;
}

/* What is left at the end is looked at together with bytes before it. */
static inline __attribute__((always_inline)) bool finds_none(const char *data, size_t len,
                                                             scan_find *find)
{
    if (len <= 16)
        return len == 0 || !finds_one(load_short(data, len), find);
    for (size_t at = 0; at < len - 16; at += 16)
        if (finds_one(load(data + at), find))
            return false;
    return !finds_one(load(data + len - 16), find);
}
#endif

bool text_is_value(const char *data, size_t len)
{
#ifdef __SSE2__
    if (finds_none(data, len, scan_find_control))
        return true;
#endif
    return len == 0 || text_all(data, len, TEXT_VALUE);
}

#ifdef __SSE2__
/* How many bytes a string begins with that `find` does not find; it finds its NUL. Sixteen bytes
 * of one page may be looked at although the string ends among them. AddressSanitizer would not
 * have that, but does not see it. */
static inline __attribute__((always_inline)) size_t count_usual(const char *text, scan_find *find)
{
    enum { PAGE = 4096 };
    const char *at = text;
    unsigned found;

    if ((uintptr_t)at % PAGE <= PAGE - 16) {
        found = find_unseen(at, find);
        if (found)
            return (size_t)__builtin_ctz(found);
        at += 16;
    }
    size_t skip = (uintptr_t)at % 16;
    at -= skip;
    for (found = find_unseen(at, find) >> skip << skip; !found; found = find_unseen(at, find))
        at += 16;
    return (size_t)(at - text) + (size_t)__builtin_ctz(found);
}
#endif

/* Byte by byte. */
static COLD size_t measure(const char *text, int class, bool may_be_empty)
{
    size_t len = strlen(text);

    return text_all(text, len, class) || (len == 0 && may_be_empty) ? len : TEXT_UNFIT;
}

size_t text_token_len(const char *text)
{
#ifdef __SSE2__
    size_t len = count_usual(text, scan_find_unusual);
    if (!text[len] && len > 0)
        return len;
#endif
    return measure(text, TEXT_TOKEN, false);
}

size_t text_value_len(const char *text)
{
#ifdef __SSE2__
    size_t len = count_usual(text, scan_find_control);
    if (!text[len])
        return len;
#endif
    return measure(text, TEXT_VALUE, true);
}

/* Eight bytes at once: A to Z in lower case. */
static uint64_t fold(const char *data, size_t len)
{
    const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
    uint64_t word = 0;

    memcpy(&word, data, len);
    uint64_t low = word & ~tops;
    uint64_t from_a = low + ones * (0x80 - 'A'), above_z = low + ones * (0x7f - 'Z');
    return word | ((from_a & ~above_z & ~word & tops) >> 2);
}

bool text_equal_nocase(cress_str a, cress_str b)
{
    enum { WORD = sizeof(uint64_t) };
    size_t at = 0;

    if (a.len != b.len)
        return false;
    for (; a.len - at >= WORD; at += WORD)
        if (fold(a.data + at, WORD) != fold(b.data + at, WORD))
            return false;
    return fold(a.data + at, a.len - at) == fold(b.data + at, a.len - at);
}

const char text_pairs[200] = "00010203040506070809101112131415161718192021222324"
                             "25262728293031323334353637383940414243444546474849"
                             "50515253545556575859606162636465666768697071727374"
                             "75767778798081828384858687888990919293949596979899";

/* From the end, two digits at a time. Of any number. */
char *text_put_large(char *to, uint64_t value)
{
    size_t digits = 1;

    for (uint64_t rest = value; rest >= 10; rest /= 100)
        digits += rest >= 100 ? 2 : 1;
    for (char *at = to + digits; at > to + 1; value /= 100)
        memcpy(at -= 2, text_pairs + value % 100 * 2, 2);
    if (digits % 2)
        *to = (char)('0' + value);
    return to + digits;
}

char *text_put_hex(char *to, uint64_t value)
{
    size_t digits = value ? (size_t)(67 - __builtin_clzll(value)) / 4 : 1;

    for (size_t i = digits; i-- > 0; value >>= 4)
        to[i] = "0123456789abcdef"[value & 15];
    return to + digits;
}

bool text_parse_u64(cress_str text, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (!text_all(text.data, text.len, TEXT_DIGIT))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(text.data[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}
