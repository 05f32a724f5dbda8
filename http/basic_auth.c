/* RFC 7617. What is compared takes the same time whether it is right or not: texts are
 * compared by their hashes, and all users are tried. */
#include <cress/middleware.h>

#include "base64.h"
#include "text.h"
#include "utf8.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

bool cress_equal_secret(cress_str a, cress_str b)
{
    unsigned char hash_a[EVP_MAX_MD_SIZE], hash_b[EVP_MAX_MD_SIZE];
    unsigned len_a = 0, len_b = 0;

    if (!EVP_Digest(a.data, a.len, hash_a, &len_a, EVP_sha256(), NULL) ||
        !EVP_Digest(b.data, b.len, hash_b, &len_b, EVP_sha256(), NULL))
        return false;
    return (CRYPTO_memcmp(hash_a, hash_b, len_a) == 0) & (a.len == b.len);
}

static cress_str str(const char *text)
{
    return (cress_str){ text, strlen(text) };
}

static int check_users(const struct cress_credential *one, cress_str user, cress_str password)
{
    int holds = 0;

    for (; one && one->user; one++) {
        bool is_user = cress_equal_secret(user, str(one->user));
        bool is_password = cress_equal_secret(password, str(one->password));
        holds |= is_user & is_password;
    }
    return holds;
}

static bool is_sound(cress_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return false;
    return utf8_is_valid(text);
}

/* 1: the request shows both; 0: it does not; -1: ENOMEM. */
static int parse(cress_environ *env, cress_str *ret_user, cress_str *ret_password)
{
    cress_str field = cress_header_get(env, "Authorization");

    if (!field.data || field.len < 6 || strncasecmp(field.data, "Basic ", 6) != 0)
        return 0;
    cress_str text = { field.data + 6, field.len - 6 };
    while (text.len > 0 && *text.data == ' ') {
        text.data++;
        text.len--;
    }
    char *pair = cress_environ_alloc(env, text.len + 1);
    if (!pair)
        return -1;
    ssize_t len = base64_decode(pair, text);
    char *colon = len > 0 ? memchr(pair, ':', (size_t)len) : NULL;
    if (!colon || !is_sound((cress_str){ pair, (size_t)len }))
        return 0;
    pair[len] = *colon = '\0';
    *ret_user = (cress_str){ pair, (size_t)(colon - pair) };
    *ret_password = (cress_str){ colon + 1, (size_t)(pair + len - colon - 1) };
    return 1;
}

static int check(cress_environ *env, const cress_basic_auth_options *options, cress_str *ret_user)
{
    cress_str password;
    int result = parse(env, ret_user, &password);

    if (result <= 0)
        return result;
    return options->check ? options->check(env, *ret_user, password, options->arg)
                          : check_users(options->users, *ret_user, password);
}

static int challenge(cress_environ *env, cress_response *res, const char *realm)
{
    static const char before[] = "Basic realm=\"", after[] = "\", charset=\"UTF-8\"";
    char *text = cress_environ_alloc(env, sizeof before + 2 * strlen(realm) + sizeof after);
    char *to = text;

    if (!text)
        return -1;
    to = text_put(to, before, sizeof before - 1);
    for (; *realm; realm++) {
        if (*realm == '"' || *realm == '\\')
            *to++ = '\\';
        *to++ = *realm;
    }
    memcpy(to, after, sizeof after);
    return cress_respond_error(res, 401, CRESS_HEADERS({ "WWW-Authenticate", text }));
}

int cress_basic_auth(cress_environ *env, cress_response *res, void *self)
{
    static const cress_basic_auth_options nobody;
    const cress_basic_auth_options *options = self ? self : &nobody;
    cress_str user;
    int result = check(env, options, &user);

    if (result < 0)
        return -1;
    if (result == 0)
        return challenge(env, res, options->realm ? options->realm : "restricted");
    if (cress_environ_set(env, "REMOTE_USER", user) < 0 ||
        cress_environ_set(env, "AUTH_TYPE", CRESS_STR("Basic")) < 0)
        return -1;
    return cress_next(env, res);
}
