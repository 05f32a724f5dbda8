/* An id that a request has in every log on its way. A client's own is taken only if
 * it cannot be mistaken for anything else where it is printed. */
#include <cress/middleware.h>

#include "text.h"

#include <errno.h>
#include <sys/random.h>

enum { MAX_ID = 128, RANDOM = 16 };

static bool is_sound(cress_str id)
{
    if (!id.data || id.len == 0 || id.len > MAX_ID)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.data[i], letter = (char)(c | 0x20);
        bool is_alnum = text_is(c, TEXT_DIGIT) || (letter >= 'a' && letter <= 'z');
        if (!is_alnum && !strchr("-._~+/=:@", c))
            return false;
    }
    return true;
}

/* ret_text has room for two digits a byte, and a NUL. */
static int make_id(char *ret_text)
{
    unsigned char bytes[RANDOM];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        errno = EIO;
        return -1;
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        *ret_text++ = "0123456789abcdef"[bytes[i] >> 4];
        *ret_text++ = "0123456789abcdef"[bytes[i] & 15];
    }
    *ret_text = '\0';
    return 0;
}

struct request_id {
    cress_hook hook;
    const char *header, *id;
    char made[2 * RANDOM + 1];
};

static int set_id(cress_hook *hook, cress_response *res)
{
    const struct request_id *r = (const struct request_id *)(const void *)hook;

    return cress_response_set_header(res, r->header, r->id);
}

static int find_id(cress_environ *env, struct request_id *r, bool ignores_client)
{
    cress_str theirs = cress_header_get(env, r->header);

    r->id = r->made;
    if (ignores_client || !is_sound(theirs))
        return make_id(r->made);
    r->id = theirs.data;
    return 0;
}

int cress_request_id(cress_environ *env, cress_response *res, void *self)
{
    const cress_request_id_options *options = self;
    struct request_id *r = cress_environ_alloc(env, sizeof *r);

    if (!r)
        return -1;
    r->hook = (cress_hook){ .head = set_id };
    r->header = options && options->header ? options->header : "X-Request-ID";
    if (find_id(env, r, options && options->ignores_client) < 0 ||
        cress_environ_set(env, "cress.request_id", (cress_str){ r->id, strlen(r->id) }) < 0 ||
        cress_response_add_hook(res, &r->hook) < 0)
        return -1;
    return cress_next(env, res);
}
