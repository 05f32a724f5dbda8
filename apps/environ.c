/* The request as the application sees it: the whole environ, as a JSON object.
 *
 * Clients send any bytes they like. What is UTF-8 stays as it is, every other byte
 * becomes U+FFFD, and what JSON keeps for itself is escaped.
 *
 *     cress apps/environ.so
 *     curl '127.0.0.1:8000/some/path?name=value' -H 'X-Colour: green'
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* How long the UTF-8 sequence (RFC 3629) at s is; 0: it is none. */
static size_t utf8_sequence(const unsigned char *s, size_t len)
{
    unsigned char lead = s[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    if (lead > 0xf4 || length > len)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (lead == 0xe0 && s[1] < 0xa0) || (lead == 0xf0 && s[1] < 0x90);
    bool surrogate = lead == 0xed && s[1] > 0x9f;
    bool beyond_unicode = lead == 0xf4 && s[1] > 0x8f;
    return overlong || surrogate || beyond_unicode ? 0 : length;
}

static void print_json_string(FILE *out, cress_str text)
{
    const unsigned char *s = (const unsigned char *)text.data, *end = s + text.len;

    fputc('"', out);
    while (s < end) {
        size_t length = utf8_sequence(s, (size_t)(end - s));

        if (length == 0)
            fputs("\\ufffd", out);
        else if (*s == '"' || *s == '\\')
            fprintf(out, "\\%c", *s);
        else if (*s < 0x20 || *s == 0x7f)
            fprintf(out, "\\u%04x", *s);
        else
            fwrite(s, 1, length, out);
        s += length ? length : 1;
    }
    fputc('"', out);
}

struct object {
    FILE *out;
    const char *separator;
};

static int print_member(void *arg, cress_str key, cress_str value)
{
    struct object *object = arg;

    fputs(object->separator, object->out);
    print_json_string(object->out, key);
    fputs(": ", object->out);
    print_json_string(object->out, value);
    object->separator = ",\n  ";
    return 0;
}

/* Malloced; NULL: ENOMEM. */
static char *environ_as_json(cress_environ *env, size_t *ret_len)
{
    char *text = NULL;
    struct object object = { open_memstream(&text, ret_len), "{\n  " };

    if (!object.out)
        return NULL;
    cress_environ_each(env, print_member, &object);
    fputs("\n}\n", object.out);
    if (fclose(object.out) == 0)
        return text;
    free(text);
    errno = ENOMEM;
    return NULL;
}

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    size_t len;
    char *text = environ_as_json(env, &len);

    (void)self;
    if (!text)
        return -1;
    int result = cress_respond(res, 200, "application/json", text, len);
    free(text);
    return result;
}
