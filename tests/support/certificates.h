/* Certificates of a test's own, made when it runs: nothing that expires is checked in. */
#ifndef CRESS_TEST_CERTIFICATES_H
#define CRESS_TEST_CERTIFICATES_H

#include <openssl/x509.h>
#include <stdbool.h>

enum { DAY = 24 * 3600 };

struct certificate {
    X509 *x509;
    EVP_PKEY *key;
    char certfile[64], keyfile[64];
};

struct certificate_options {
    const char *name;                 /* the subject, and the files' */
    const char *names;                /* "DNS:a.example,IP:127.0.0.1"; NULL: it is an authority */
    const struct certificate *issuer; /* NULL: itself */
    long begins, ends;                /* seconds from now; both 0: yesterday, in a year */
};

/* A key on P-256 and its certificate, as PEM in a folder that is removed at exit. */
void certificate_make(struct certificate *c, const struct certificate_options *options);
/* The path of a file in that folder, which holds text; the oldest of eight is overwritten. */
const char *certificate_file(const char *name, const char *text);
/* The same key under a passphrase. */
const char *certificate_locked_key(const struct certificate *c, const char *passphrase);

#endif
