/* What a client keeps for us and must not change:
 *
 *     DATA.EXPIRES.MAC     base64url, decimal seconds since 1970, base64url
 *
 * MAC is HMAC-SHA-256 over "PURPOSE\0DATA.EXPIRES": a name stands for itself only, and no byte
 * of the text can be moved from one part to another. Which key it was is not
 * said; there are few. All are tried, and compared in constant time. */
#include <cress/cookie.h>

#include "base64.h"
#include "exchange.h"
#include "fail.h"
#include "text.h"

#include <cress/hook.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { MAC_LEN = 32, MAC_TEXT = BASE64URL_SIZE(MAC_LEN), MIN_KEY = 16 };

static const cress_str absent = { NULL, 0 };

static cress_str fail(int error)
{
    errno = error;
    return absent;
}

static bool are_sound(const cress_str keys[])
{
    if (!keys || !keys[0].data)
        return false;
    for (; keys->data; keys++)
        if (keys->len < MIN_KEY || keys->len > INT32_MAX)
            return false;
    return true;
}

static bool make_mac(unsigned char *ret_mac, cress_str key, const char *message, size_t len)
{
    unsigned mac_len = MAC_LEN;

    return HMAC(EVP_sha256(), key.data, (int)key.len, (const unsigned char *)message, len, ret_mac,
                &mac_len) != NULL;
}

/* "PURPOSE\0" and room for what follows; *ret_text is where that begins. */
static char *begin_message(cress_environ *env, const char *purpose, size_t room, char **ret_text)
{
    size_t len = strlen(purpose) + 1;
    char *message = arena_alloc_text(&exchange_of_env(env)->arena, len + room);

    if (message)
        *ret_text = text_put(message, purpose, len);
    return message;
}

cress_str cress_sign(cress_environ *env, const cress_str keys[], const char *purpose,
                     cress_str data, time_t expires)
{
    unsigned char mac[MAC_LEN];
    char *text;

    if (!are_sound(keys) || expires < 0 || data.len > SIZE_MAX / 8)
        return fail(EINVAL);
    char *message =
        begin_message(env, purpose, BASE64URL_SIZE(data.len) + 20 + MAC_TEXT + 3, &text);
    if (!message)
        return absent;
    char *to = base64url_put(text, data.data, data.len);
    *to++ = '.';
    to = text_put_u64(to, (uint64_t)expires);
    if (!make_mac(mac, keys[0], message, (size_t)(to - message)))
        return fail(ENOMEM);
    *to++ = '.';
    to = base64url_put(to, mac, sizeof mac);
    *to = '\0';
    return (cress_str){ text, (size_t)(to - text) };
}

/* 1: one of the keys has made it; 0: none; -1: ENOMEM. */
static int verify(const cress_str keys[], const char *message, size_t len, cress_str mac_text)
{
    unsigned char theirs[MAC_LEN + 1], ours[MAC_LEN];
    int holds = 0;

    if (mac_text.len != MAC_TEXT || base64url_decode(theirs, mac_text) != MAC_LEN)
        return 0;
    for (; keys->data; keys++) {
        if (!make_mac(ours, *keys, message, len))
            return fail_with(ENOMEM);
        holds |= CRYPTO_memcmp(ours, theirs, MAC_LEN) == 0;
    }
    return holds;
}

/* The parts between the dots. */
static bool split(cress_str text, cress_str *ret_data, cress_str *ret_expires, cress_str *ret_mac)
{
    const char *end = text.data + text.len;
    const char *first = memchr(text.data, '.', text.len);
    const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;

    if (!second)
        return false;
    *ret_data = (cress_str){ text.data, (size_t)(first - text.data) };
    *ret_expires = (cress_str){ first + 1, (size_t)(second - first - 1) };
    *ret_mac = (cress_str){ second + 1, (size_t)(end - second - 1) };
    return true;
}

static cress_str decode(cress_environ *env, cress_str text)
{
    char *data = arena_alloc_text(&exchange_of_env(env)->arena, text.len + 1);

    if (!data)
        return absent;
    ssize_t len = base64url_decode(data, text);
    if (len < 0)
        return fail(EBADMSG);
    data[len] = '\0';
    return (cress_str){ data, (size_t)len };
}

cress_str cress_unsign(cress_environ *env, const cress_str keys[], const char *purpose,
                       cress_str text)
{
    cress_str data, expires_text, mac;
    uint64_t expires;
    char *signed_text;

    if (!are_sound(keys))
        return fail(EINVAL);
    if (!text.data || !split(text, &data, &expires_text, &mac) ||
        !text_parse_u64(expires_text, &expires))
        return fail(EBADMSG);
    size_t len = data.len + 1 + expires_text.len;
    char *message = begin_message(env, purpose, len, &signed_text);
    if (!message)
        return absent;
    memcpy(signed_text, text.data, len);
    int holds = verify(keys, message, (size_t)(signed_text - message) + len, mac);
    if (holds <= 0)
        return holds < 0 ? absent : fail(EBADMSG);
    return expires > (uint64_t)time(NULL) ? decode(env, data) : fail(EKEYEXPIRED);
}

int cress_set_signed_cookie(cress_response *res, const cress_str keys[], const cress_cookie *cookie,
                            cress_str data, long lifetime)
{
    time_t expires;

    if (lifetime <= 0 || !cookie->name || __builtin_add_overflow(time(NULL), lifetime, &expires))
        return fail_with(EINVAL);
    cress_str text = cress_sign(cress_response_environ(res), keys, cookie->name, data, expires);
    if (!text.data)
        return -1;
    cress_cookie copy = *cookie;
    copy.value = text.data;
    return cress_set_cookie(res, &copy);
}

cress_str cress_signed_cookie_get(cress_environ *env, const cress_str keys[], const char *name)
{
    errno = ENOENT;
    cress_str text = cress_cookie_get(env, name);

    return text.data ? cress_unsign(env, keys, name, text) : absent;
}
