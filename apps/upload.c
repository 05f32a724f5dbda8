/* Takes a body of any size in constant memory: counts its bytes, hashes them, and
 * answers {"bytes": N, "sha256": "HEX"}.
 *
 * The server refuses bodies over --limit-request-body (1 GiB) and requests that take
 * longer than --request-timeout; the latter is lifted here, since --body-timeout
 * watches over clients that stall.
 *
 *     cress apps/upload.so
 *     curl 127.0.0.1:8000 -T big.iso
 */
#include <cress/cress.h>

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

struct upload {
    EVP_MD_CTX *hash;
    uint64_t bytes;
};

/* A client on a fast line never makes us wait: let the others run now and then. */
static int give_way(uint64_t bytes_before, uint64_t bytes)
{
    return bytes >> 20 == bytes_before >> 20 ? 0 : cress_sleep(0);
}

static int receive(cress_environ *env, struct upload *upload)
{
    char buf[16384];
    ssize_t len;

    while ((len = cress_input_read(env, buf, sizeof buf)) > 0) {
        uint64_t before = upload->bytes;

        if (!EVP_DigestUpdate(upload->hash, buf, (size_t)len)) {
            errno = EIO;
            return -1;
        }
        upload->bytes += (size_t)len;
        if (give_way(before, upload->bytes) < 0)
            return -1;
    }
    return (int)len;
}

static int respond_summary(cress_environ *env, cress_response *res, struct upload *upload)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char hex[2 * sizeof digest + 1];
    unsigned len;

    if (!EVP_DigestFinal_ex(upload->hash, digest, &len)) {
        errno = EIO;
        return -1;
    }
    for (unsigned i = 0; i < len; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    cress_str text = cress_environ_printf(env, "{\"bytes\": %" PRIu64 ", \"sha256\": \"%s\"}\n",
                                          upload->bytes, hex);
    return text.data ? cress_respond(res, 200, "application/json", text.data, text.len) : -1;
}

static int take_upload(cress_environ *env, cress_response *res)
{
    struct upload upload = { .hash = EVP_MD_CTX_new() };
    int result = -1;

    if (!upload.hash || !EVP_DigestInit_ex(upload.hash, EVP_sha256(), NULL))
        errno = ENOMEM;
    else if (receive(env, &upload) == 0)
        result = respond_summary(env, res, &upload);

    int error = errno;
    EVP_MD_CTX_free(upload.hash);
    errno = error;
    return result;
}

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    cress_str method = cress_method(env);

    (void)self;
    if (!cress_str_equal(method, "PUT") && !cress_str_equal(method, "POST"))
        return cress_start_response(res, 405, CRESS_HEADERS({ "Allow", "PUT, POST" }));
    if (cress_request_timeout(env, CRESS_FOREVER) < 0)
        return -1;
    return take_upload(env, res);
}
