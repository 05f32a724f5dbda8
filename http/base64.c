/* Base64 that has one text for each value: whoever compares texts compares values. */
#include "base64.h"

char *base64url_put(char *to, const void *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *from = data;
    unsigned bits = 0, count = 0;

    for (size_t i = 0; i < len; i++) {
        bits = (bits << 8 | from[i]) & 0xffff;
        for (count += 8; count >= 6; count -= 6)
            *to++ = digits[bits >> (count - 6) & 63];
    }
    if (count > 0)
        *to++ = digits[bits << (6 - count) & 63];
    return to;
}

static int digit(char c, char c62, char c63)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == c62)
        return 62;
    return c == c63 ? 63 : -1;
}

static ssize_t decode(void *to, cress_str text, char c62, char c63)
{
    unsigned char *at = to;
    unsigned bits = 0, count = 0;

    if (text.len % 4 == 1)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        int value = digit(text.data[i], c62, c63);
        if (value < 0)
            return -1;
        bits = (bits << 6 | (unsigned)value) & 0xffff;
        count += 6;
        if (count >= 8) {
            count -= 8;
            *at++ = (unsigned char)(bits >> count);
        }
    }
    return bits & ((1u << count) - 1) ? -1 : at - (unsigned char *)to;
}

ssize_t base64_decode(void *to, cress_str text)
{
    if (text.len % 4 != 0)
        return -1;
    for (int i = 0; i < 2 && text.len > 0 && text.data[text.len - 1] == '='; i++)
        text.len--;
    return decode(to, text, '+', '/');
}

ssize_t base64url_decode(void *to, cress_str text)
{
    return decode(to, text, '-', '_');
}
