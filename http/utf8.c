/* Which bytes are UTF-8: shortest forms only, no surrogates, nothing beyond U+10FFFF. */
#include "utf8.h"

size_t utf8_char(const char *data, size_t len)
{
    const unsigned char *s = (const unsigned char *)data;
    unsigned char lead = s[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    if (lead > 0xf4 || size > len)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((lead == 0xe0 && s[1] < 0xa0) || (lead == 0xf0 && s[1] < 0x90))
        return 0; /* too long a form */
    if ((lead == 0xed && s[1] > 0x9f) || (lead == 0xf4 && s[1] > 0x8f))
        return 0; /* a surrogate; beyond Unicode */
    return size;
}

bool utf8_is_valid(cress_str text)
{
    for (size_t at = 0, size; at < text.len; at += size) {
        size = utf8_char(text.data + at, text.len - at);
        if (size == 0)
            return false;
    }
    return true;
}
