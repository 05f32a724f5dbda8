/* Formatting and classifying text on the request path, where printf and strtol cost
 * more than the rest of a response. */
#include "text.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

/* Eight bytes at once: is none of them below a blank, or a DEL? */
static bool are_plain(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
    uint64_t below_blank = (word - ones * ' ') & ~word;
    uint64_t changed = word ^ ones * 0x7f, is_del = (changed - ones) & ~changed;

    return ((below_blank | is_del) & tops) == 0;
}

static bool is_word_sound(const char *data)
{
    uint64_t word;

    memcpy(&word, data, sizeof word);
    return are_plain(word) || text_all(data, sizeof word, TEXT_VALUE);
}

/* The last word overlaps the one before it. */
bool text_is_value(const char *data, size_t len)
{
    enum { WORD = sizeof(uint64_t) };

    if (len < WORD)
        return len == 0 || text_all(data, len, TEXT_VALUE);
    for (size_t at = 0; at < len - WORD; at += WORD)
        if (!is_word_sound(data + at))
            return false;
    return is_word_sound(data + len - WORD);
}

#ifdef __SSE2__
/* Bits of those bytes of 16 that no value has. */
static inline unsigned find_controls(const char *data)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)data);
    __m128i below_blank = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    __m128i is_tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
    __m128i is_del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(is_tab, below_blank), is_del));
}
#endif

size_t text_value_len(const char *data, size_t len)
{
    size_t at = 0;

#ifdef __SSE2__
    for (; len - at >= 16; at += 16) {
        unsigned controls = find_controls(data + at);
        if (controls)
            return at + (size_t)__builtin_ctz(controls);
    }
#endif
    while (at < len && text_is(data[at], TEXT_VALUE))
        at++;
    return at;
}

bool text_equal_nocase(cress_str a, cress_str b)
{
    return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

char *text_put_u64(char *to, uint64_t value)
{
    size_t digits = 1;

    if (value < 100) {
        unsigned tens = (unsigned)value / 10;
        *to = (char)('0' + tens);
        to += tens > 0;
        *to = (char)('0' + (unsigned)value % 10);
        return to + 1;
    }
    for (uint64_t rest = value; rest >= 10; rest /= 10)
        digits++;
    for (size_t i = digits; i-- > 0; value /= 10)
        to[i] = (char)('0' + value % 10);
    return to + digits;
}

char *text_put_hex(char *to, uint64_t value)
{
    size_t digits = 1;

    for (uint64_t rest = value; rest >= 16; rest >>= 4)
        digits++;
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
