/* What many TLS streams share: certificates, whom to trust, which protocols, and the
 * keys of the tickets by which clients come back.
 *
 * OpenSSL makes a ticket key when a context is made and keeps it for ever: who gets
 * hold of it later can read all that was said before. Here a key is used for as long as
 * a session lives, is then replaced, and still opens tickets for as long again.
 */
#define _GNU_SOURCE /* asprintf */

#include "tls.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SESSION_LIFE = 2 * 3600 };

static _Thread_local char last_error[256];

const char *cress_tls_context_error(void)
{
    return last_error;
}

static int refuse(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(last_error, sizeof last_error, format, args);
    va_end(args);
    ERR_clear_error();
    errno = error;
    return -1;
}

static int refuse_for_memory(void)
{
    return refuse(ENOMEM, "%s", strerror(ENOMEM));
}

/* ---- files ------------------------------------------------------------------------------ */

/* OpenSSL's way of saying that a file can't be opened is long. */
static int check_readable(const char *path)
{
    FILE *file = fopen(path, "re");

    if (!file || fgetc(file) == EOF) {
        int error = !file ? errno : ferror(file) ? EISDIR : EBADMSG;

        if (file)
            fclose(file);
        return refuse(error, "%s: %s", path, error == EBADMSG ? "is empty" : strerror(error));
    }
    fclose(file);
    return 0;
}

static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

static int load_chain(SSL_CTX *ssl, const char *path)
{
    if (check_readable(path) < 0)
        return -1;
    if (SSL_CTX_use_certificate_chain_file(ssl, path) == 1)
        return 0;
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    return refuse(EBADMSG, "%s: not a certificate in PEM: %s", path, reason ? reason : "?");
}

static int load_key(SSL_CTX *ssl, const char *path, const char *certfile)
{
    if (check_readable(path) < 0)
        return -1;
    SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
    if (SSL_CTX_use_PrivateKey_file(ssl, path, SSL_FILETYPE_PEM) == 1)
        return 0;
    if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH)
        return refuse(EKEYREJECTED, "%s: not the key of %s", path, certfile);
    return refuse(EBADMSG, "%s: not a private key in PEM without a passphrase", path);
}

static int load_certificate(SSL_CTX *ssl, const char *certfile, const char *keyfile)
{
    const char *key = keyfile ? keyfile : certfile;

    if (load_chain(ssl, certfile) < 0 || load_key(ssl, key, certfile) < 0)
        return -1;
    if (SSL_CTX_check_private_key(ssl) != 1)
        return refuse(EKEYREJECTED, "%s: not the key of %s", key, certfile);
    return 0;
}

static int load_trust(cress_tls_context *c, const char *path)
{
    if (!path && c->is_server)
        return 0;
    if (!path)
        return SSL_CTX_set_default_verify_paths(c->ssl) == 1 ? 0 : refuse_for_memory();
    if (check_readable(path) < 0)
        return -1;
    if (SSL_CTX_load_verify_locations(c->ssl, path, NULL) != 1)
        return refuse(EBADMSG, "%s: not certificates in PEM", path);
    if (c->is_server)
        SSL_CTX_set_client_CA_list(c->ssl, SSL_load_client_CA_file(path));
    return 0;
}

/* ---- ALPN -------------------------------------------------------------------------------- */

const char *tls_protocol(const cress_tls_context *c, const unsigned char *name, size_t len)
{
    for (const char *at = c->protocols; at && *at; at += strlen(at) + 1)
        if (strlen(at) == len && memcmp(at, name, len) == 0)
            return at;
    return "";
}

static int choose_protocol(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len,
                           const unsigned char *offered, unsigned offered_len, void *arg)
{
    const cress_tls_context *c = arg;
    unsigned char *name;

    (void)ssl;
    if (SSL_select_next_proto(&name, ret_len, c->wire, c->wire_len, offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_name = name;
    return SSL_TLSEXT_ERR_OK;
}

/* "h2,http/1.1" as the wire has it and as a list of strings. */
static int split_protocols(cress_tls_context *c, const char *text)
{
    size_t size = strlen(text) + 2;

    c->protocols = calloc(1, size);
    c->wire = calloc(1, size);
    if (!c->protocols || !c->wire)
        return refuse_for_memory();
    while (*text) {
        size_t len = strcspn(text, ",");

        if (len == 0 || len > 255)
            return refuse(EINVAL, "alpn: \"%s\" is not a list of protocols", text);
        memcpy(c->protocols + c->wire_len, text, len);
        c->wire[c->wire_len] = (unsigned char)len;
        memcpy(c->wire + c->wire_len + 1, text, len);
        c->wire_len += (unsigned)len + 1;
        text += len + (text[len] == ',');
    }
    return 0;
}

static int set_protocols(cress_tls_context *c, const char *alpn)
{
    if (!alpn)
        return 0;
    if (split_protocols(c, alpn) < 0)
        return -1;
    if (c->is_server)
        SSL_CTX_set_alpn_select_cb(c->ssl, choose_protocol, c);
    else if (SSL_CTX_set_alpn_protos(c->ssl, c->wire, c->wire_len) != 0)
        return refuse_for_memory();
    return 0;
}

/* ---- names ---------------------------------------------------------------------------------- */

static bool has_name(SSL_CTX *ssl, const char *name)
{
    return X509_check_host(SSL_CTX_get0_certificate(ssl), name, 0, 0, NULL) == 1;
}

static int choose_certificate(SSL *ssl, int *alert, void *arg)
{
    const cress_tls_context *c = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)alert;
    if (!name)
        return SSL_TLSEXT_ERR_NOACK;
    if (c->other_count == 0 || has_name(c->ssl, name))
        return SSL_TLSEXT_ERR_OK;
    for (size_t i = 0; i < c->other_count; i++)
        if (has_name(c->others[i], name)) {
            SSL_set_SSL_CTX(ssl, c->others[i]);
            break;
        }
    return SSL_TLSEXT_ERR_OK;
}

int cress_tls_add_certificate(cress_tls_context *c, const char *certfile, const char *keyfile)
{
    SSL_CTX **others = realloc(c->others, (c->other_count + 1) * sizeof *others);

    if (!others)
        return refuse_for_memory();
    c->others = others;
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
    if (!ssl)
        return refuse_for_memory();
    SSL_CTX_set1_cert_store(ssl, SSL_CTX_get_cert_store(c->ssl));
    if (load_certificate(ssl, certfile, keyfile) < 0) {
        SSL_CTX_free(ssl);
        return -1;
    }
    c->others[c->other_count++] = ssl;
    return 0;
}

/* ---- tickets ---------------------------------------------------------------------------------- */

static int make_key(struct tls_ticket_key *key)
{
    if (RAND_bytes(key->name, sizeof key->name) != 1 ||
        RAND_priv_bytes(key->cipher, sizeof key->cipher) != 1 ||
        RAND_priv_bytes(key->mac, sizeof key->mac) != 1)
        return -1;
    key->made_at = cress_now();
    key->is_made = true;
    return 0;
}

static bool is_older(const struct tls_ticket_key *key, double age)
{
    return !key->is_made || cress_now() - key->made_at >= age;
}

/* The one to seal with: a new one when its time has come. */
static int current_key(cress_tls_context *c, struct tls_ticket_key *ret_key)
{
    struct tls_ticket_key fresh;

    if (is_older(&c->keys[0], SESSION_LIFE)) {
        if (make_key(&fresh) < 0)
            return -1;
        c->keys[1] = c->keys[0];
        c->keys[0] = fresh;
    }
    *ret_key = c->keys[0];
    return 1;
}

/* The one that a ticket was sealed with: 1; 2: make a new ticket too; 0: it is gone. */
static int key_by_name(const cress_tls_context *c, const unsigned char *name,
                       struct tls_ticket_key *ret_key)
{
    for (size_t i = 0; i < TICKET_KEYS; i++) {
        const struct tls_ticket_key *key = &c->keys[i];

        if (is_older(key, 2.0 * SESSION_LIFE) || memcmp(key->name, name, sizeof key->name) != 0)
            continue;
        *ret_key = *key;
        return is_older(key, SESSION_LIFE) ? 2 : 1;
    }
    return 0;
}

static int find_key(cress_tls_context *c, unsigned char name[16], int sealing,
                    struct tls_ticket_key *ret_key)
{
    pthread_mutex_lock(&c->mutex);
    int found = sealing ? current_key(c, ret_key) : key_by_name(c, name, ret_key);
    pthread_mutex_unlock(&c->mutex);
    return found;
}

static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char iv[EVP_MAX_IV_LENGTH],
                     EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
    struct tls_ticket_key key;
    int found = find_key(tls_context_of(ssl), name, sealing, &key);

    if (found <= 0)
        return found;
    if (sealing) {
        memcpy(name, key.name, sizeof key.name);
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
            found = -1;
    }
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac, sizeof key.mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    if (found > 0 &&
        (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv, sealing) != 1 ||
         EVP_MAC_CTX_set_params(mac, params) != 1))
        found = -1;
    OPENSSL_cleanse(&key, sizeof key);
    return found;
}

/* ---- making one ---------------------------------------------------------------------------------- */

/* Of TLS 1.3. OpenSSL would take AES-256 and SHA-384 first: more than the 128 bits that the
 * key exchange (X25519, P-256) is good for, at twice the cost in SHA-384 for each secret. */
#define SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

static int set_suites(cress_tls_context *c)
{
    if (c->is_server && SSL_CTX_set_ciphersuites(c->ssl, SUITES) != 1)
        return refuse_for_memory();
    return 0;
}

static int set_ciphers(cress_tls_context *c, const char *ciphers)
{
    if (ciphers && SSL_CTX_set_cipher_list(c->ssl, ciphers) != 1)
        return refuse(EINVAL, "ciphers: \"%s\" names none that can be used", ciphers);
    return 0;
}

static void set_modes(cress_tls_context *c, const cress_tls_options *options)
{
    SSL_CTX_set_min_proto_version(c->ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    if (options->allow_truncation)
        SSL_CTX_set_options(c->ssl, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(c->ssl, 1);
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(c->ssl, SESSION_LIFE);
}

static void set_server_modes(cress_tls_context *c, const cress_tls_options *options)
{
    static const unsigned char name[] = "cress";

    SSL_CTX_set_options(c->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_session_id_context(c->ssl, name, sizeof name - 1);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(c->ssl, on_ticket);
    SSL_CTX_set_tlsext_servername_callback(c->ssl, choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(c->ssl, c);
    if (options->ca_file)
        SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

static int configure(cress_tls_context *c, const cress_tls_options *options)
{
    set_modes(c, options);
    if (c->is_server)
        set_server_modes(c, options);
    else
        SSL_CTX_set_verify(c->ssl, c->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (c->is_server && !options->certfile)
        return refuse(EINVAL, "a server needs a certificate");
    if (options->certfile && load_certificate(c->ssl, options->certfile, options->keyfile) < 0)
        return -1;
    if (!c->insecure && load_trust(c, options->ca_file) < 0)
        return -1;
    if (set_suites(c) < 0 || set_ciphers(c, options->ciphers) < 0)
        return -1;
    return set_protocols(c, options->alpn);
}

static cress_tls_context *create(const cress_tls_options *options, bool is_server)
{
    cress_tls_context *c = calloc(1, sizeof *c);

    ERR_clear_error();
    *last_error = '\0';
    if (!c) {
        refuse_for_memory();
        return NULL;
    }
    atomic_init(&c->references, 1);
    pthread_mutex_init(&c->mutex, NULL);
    c->is_server = is_server;
    c->insecure = !is_server && options->insecure;
    c->ssl = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    if ((c->ssl ? configure(c, options) : refuse_for_memory()) < 0) {
        cress_tls_context_release(c);
        return NULL;
    }
    return c;
}

cress_tls_context *cress_tls_server_context(const cress_tls_options *options)
{
    return create(options, true);
}

cress_tls_context *cress_tls_client_context(const cress_tls_options *options)
{
    return create(options, false);
}

cress_tls_context *cress_tls_context_retain(cress_tls_context *c)
{
    if (c)
        atomic_fetch_add(&c->references, 1);
    return c;
}

void cress_tls_context_release(cress_tls_context *c)
{
    int error = errno;

    if (!c || atomic_fetch_sub(&c->references, 1) > 1)
        return;
    SSL_CTX_free(c->ssl);
    for (size_t i = 0; i < c->other_count; i++)
        SSL_CTX_free(c->others[i]);
    free(c->others);
    free(c->protocols);
    free(c->wire);
    OPENSSL_cleanse(c->keys, sizeof c->keys);
    pthread_mutex_destroy(&c->mutex);
    free(c);
    errno = error;
}
