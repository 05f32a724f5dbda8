/* See certificates.h. */
#include "certificates.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATHS = 8 };

static char folder[32];
static pid_t maker;
static struct certificate *made[32];
static size_t made_count;

static void check(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "certificates: %s failed\n", what);
    exit(1);
}

static void remove_all(void)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    if (getpid() != maker)
        return;
    while (dir && (entry = readdir(dir)))
        unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(folder);
    for (size_t i = 0; i < made_count; i++) {
        X509_free(made[i]->x509);
        EVP_PKEY_free(made[i]->key);
    }
}

static void make_folder(void)
{
    if (*folder)
        return;
    strcpy(folder, "/tmp/cress-tls-XXXXXX");
    check(mkdtemp(folder) != NULL, "mkdtemp");
    maker = getpid();
    atexit(remove_all);
}

static FILE *create(char path[64], const char *name, const char *suffix)
{
    make_folder();
    snprintf(path, 64, "%s/%s%s", folder, name, suffix);
    FILE *file = fopen(path, "we");
    check(file != NULL, path);
    return file;
}

const char *certificate_file(const char *name, const char *text)
{
    static char paths[PATHS][64];
    static unsigned next;
    char *path = paths[next++ % PATHS];
    FILE *file = create(path, name, "");

    check(fputs(text, file) >= 0 && fclose(file) == 0, path);
    return path;
}

const char *certificate_locked_key(const struct certificate *c, const char *passphrase)
{
    static char path[64];
    FILE *file = create(path, "locked", ".key");

    check(PEM_write_PKCS8PrivateKey(file, c->key, EVP_aes_128_cbc(), passphrase,
                                    (int)strlen(passphrase), NULL, NULL),
          path);
    fclose(file);
    return path;
}

static void extend(X509 *x509, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    check(extension && X509_add_ext(x509, extension, -1), value);
    X509_EXTENSION_free(extension);
}

static void set_subject(X509 *x509, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(x509);

    check(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                     -1, 0),
          name);
}

static void write_files(struct certificate *c, const char *name)
{
    FILE *file = create(c->certfile, name, ".pem");

    check(PEM_write_X509(file, c->x509), c->certfile);
    fclose(file);
    file = create(c->keyfile, name, ".key");
    check(PEM_write_PrivateKey(file, c->key, NULL, NULL, 0, NULL, NULL), c->keyfile);
    fclose(file);
}

void certificate_make(struct certificate *c, const struct certificate_options *options)
{
    const struct certificate *issuer = options->issuer ? options->issuer : c;
    bool is_default = options->begins == 0 && options->ends == 0;

    *c = (struct certificate){ .x509 = X509_new(), .key = EVP_EC_gen("P-256") };
    check(c->x509 && c->key && made_count < sizeof made / sizeof *made, "a key");
    made[made_count++] = c;
    X509_set_version(c->x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c->x509), (long)made_count);
    X509_gmtime_adj(X509_getm_notBefore(c->x509), is_default ? -DAY : options->begins);
    X509_gmtime_adj(X509_getm_notAfter(c->x509), is_default ? 365L * DAY : options->ends);
    X509_set_pubkey(c->x509, c->key);
    set_subject(c->x509, options->name);
    X509_set_issuer_name(c->x509, X509_get_subject_name(issuer->x509));
    extend(c->x509, NID_basic_constraints, options->names ? "CA:FALSE" : "critical,CA:TRUE");
    if (options->names)
        extend(c->x509, NID_subject_alt_name, options->names);
    check(X509_sign(c->x509, issuer->key, EVP_sha256()) > 0, "signing");
    write_files(c, options->name);
}
