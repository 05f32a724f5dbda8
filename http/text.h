/* Small pieces of text: character classes and formatting without printf. */
#ifndef CRESS_HTTP_TEXT_H
#define CRESS_HTTP_TEXT_H

#include <cress/str.h>

enum {
    TEXT_TOKEN = 1, /* RFC 9110 5.6.2: field names, methods */
    TEXT_VALUE = 2, /* RFC 9110 5.5: field values */
    TEXT_HOST = 4,  /* RFC 3986 3.2.2: reg-name, but for '%' */
    TEXT_DIGIT = 8,
    TEXT_HEX = 16,
    TEXT_TARGET = 32, /* RFC 9112 3.2: of ASCII, what is no blank, control byte or '#' */
    TEXT_PATH = 64,   /* of these what may stand in a path and means nothing but itself */
};

extern const uint8_t text_classes[256];

static inline bool text_is(char c, int class)
{
    return text_classes[(unsigned char)c] & class;
}

/* Not empty, and all of one class. */
bool text_all(const char *data, size_t len, int class);

/* The value of a hexadecimal digit. */
static inline int text_hex_value(char c)
{
    return text_is(c, TEXT_DIGIT) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Four bytes have a way of their own, which compilers see through. */
static inline bool text_word_matches(const char *name, const char *lower, size_t len)
{
    uint64_t a = 0, b = 0;

    if (len == sizeof(uint32_t)) {
        uint32_t half, wanted;
        memcpy(&half, name, sizeof half);
        memcpy(&wanted, lower, sizeof wanted);
        return (half | 0x20202020) == (wanted | 0x20202020);
    }
    memcpy(&a, name, len);
    memcpy(&b, lower, len);
    return (a | 0x2020202020202020) == (b | 0x2020202020202020);
}

/* Is a token, of the same length, the lower-case `lower`? In words, if len is a constant. */
static inline bool text_matches(const char *name, const char *lower, size_t len)
{
    enum { WORD = sizeof(uint64_t) };

    for (; len > WORD; name += WORD, lower += WORD, len -= WORD)
        if (!text_word_matches(name, lower, WORD))
            return false;
    return text_word_matches(name, lower, len);
}

/* As memcmp(a, b, len) == 0, for what is short and alike. */
static inline bool text_is_same(const char *a, const char *b, size_t len)
{
    enum { WORD = sizeof(uint64_t) };

    if (len < WORD)
        return memcmp(a, b, len) == 0;
    for (size_t at = 0; at < len - WORD; at += WORD)
        if (memcmp(a + at, b + at, WORD) != 0)
            return false;
    return memcmp(a + len - WORD, b + len - WORD, WORD) == 0;
}

/* Could it be a field's value? Empty, too. */
bool text_is_value(const char *data, size_t len);

/* The length of a string that could be a field's name, or its value; TEXT_UNFIT: it could not. */
#define TEXT_UNFIT SIZE_MAX
size_t text_token_len(const char *text);
size_t text_value_len(const char *text);

bool text_equal_nocase(cress_str a, cress_str b);

static inline char *text_put(char *to, const char *data, size_t len)
{
    memcpy(to, data, len);
    return to + len;
}

#define TEXT_PUT(to, literal) text_put(to, "" literal, sizeof(literal) - 1)

/* The same for what is mostly short: two copies of known size, which may overlap, cost less than
 * a call. */
static inline char *text_put_short(char *to, const char *data, size_t len)
{
    if (len >= 8 && len <= 16) {
        memcpy(to, data, 8);
        memcpy(to + len - 8, data + len - 8, 8);
    } else if (len > 16 && len <= 32) {
        memcpy(to, data, 16);
        memcpy(to + len - 16, data + len - 16, 16);
    } else if (len >= 4 && len < 8) {
        memcpy(to, data, 4);
        memcpy(to + len - 4, data + len - 4, 4);
    } else if (len > 0) {
        memcpy(to, data, len);
    }
    return to + len;
}

extern const char text_pairs[200]; /* "00", "01" ... "99" */

char *text_put_large(char *to, uint64_t value);

/* Decimal (at most 20 bytes) and hexadecimal (at most 16), without a NUL. */
static inline char *text_put_u64(char *to, uint64_t value)
{
    if (value < 10 || value > 99)
        return text_put_large(to, value);
    memcpy(to, text_pairs + 2 * value, 2);
    return to + 2;
}

char *text_put_hex(char *to, uint64_t value);

/* Decimal digits only, without overflow. */
bool text_parse_u64(cress_str text, uint64_t *ret_value);

#endif
