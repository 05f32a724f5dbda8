#define _GNU_SOURCE /* O_TMPFILE */

#include "hub_test.h"
#include "wire.h"

#include <cress/multipart.h>
#include <cress/threadpool.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TYPE "multipart/form-data; boundary=XyZ"
#define END "--XyZ--\r\n"

/* ---- a folder, and what can be wrong with it ------------------------------------------------------ */

static char folder[] = "/tmp/upload.XXXXXX";
static bool has_no_nameless_files;
static int write_error;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);

int __wrap_open(const char *path, int flags, ...)
{
    if (has_no_nameless_files && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return __real_open(path, flags, 0600);
}

/* Of large files: some at a time, or none. */
ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    if (len < 1000)
        return __real_write(fd, data, len);
    if (write_error) {
        errno = write_error;
        return -1;
    }
    return __real_write(fd, data, len < 3000 ? len : 3000);
}

static size_t count_files(void)
{
    DIR *dir = opendir(folder);
    size_t count = 0;

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
    closedir(dir);
    return count;
}

/* ---- saving -------------------------------------------------------------------------------------- */

struct saved {
    const char *keep_as;
    int keep_result, keep_error;
    char bytes[100];
    uint64_t size;
    bool kill;
    int error;
};

static int save_form(cress_environ *env, struct saved *saved)
{
    cress_multipart form;
    cress_part part;
    cress_upload *upload;

    if (cress_multipart_begin(&form, env, NULL) < 0 || cress_multipart_next(&form, &part) < 0)
        return -1;
    if (saved->kill)
        cress_cancel(cress_self());
    if (cress_multipart_save(&form, folder, &upload) < 0)
        return -1;
    saved->size = upload->size;
    assert_int_equal(lseek(upload->fd, 0, SEEK_CUR), 0);
    assert_true(read(upload->fd, saved->bytes, sizeof saved->bytes) >= 0);
    if (saved->keep_as) {
        saved->keep_result = cress_upload_keep(upload, saved->keep_as);
        saved->keep_error = errno;
        if (saved->keep_result == 0)
            assert_errno(EINVAL, cress_upload_keep(upload, saved->keep_as));
    }
    return cress_multipart_next(&form, &part);
}

static int save(cress_environ *env, cress_response *res, void *self)
{
    struct saved *saved = self;

    saved->error = save_form(env, saved) < 0 ? errno : 0;
    return cress_respond(res, 200, NULL, NULL, 0);
}

static char *make_large(size_t size, size_t *ret_len)
{
    static const char head[] =
        "--XyZ\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n";
    char *body = malloc(size + 200);
    size_t len = strlen(head);

    assert_non_null(body);
    memcpy(body, head, len);
    for (size_t i = 0; i < size; i++)
        body[len + i] = (char)('a' + i % 26);
    len += size;
    *ret_len = len + (size_t)sprintf(body + len, "\r\n" END);
    return body;
}

static void check_saved(size_t size)
{
    struct saved saved = { .keep_as = NULL };
    size_t len;
    char *body = make_large(size, &len);

    wire_post(save, &saved, TYPE, body, len, 0);
    assert_int_equal(saved.error, 0);
    assert_int_equal(saved.size, size);
    assert_int_equal(strncmp(saved.bytes, "abcdefghijklmnopqrstuvwxyz", size < 26 ? size : 26), 0);
    assert_int_equal(count_files(), 0);
    free(body);
}

static void test_files_on_disk(void)
{
    check_saved(0);
    check_saved(1);
    check_saved(16384);
    check_saved(200000);
}

static int next_descriptor(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

/* A thread closes it; then its descriptor is free again. */
static void test_a_large_file_on_disk(void)
{
    check_saved(10); /* threads have descriptors of their own, once */
    int before = next_descriptor();
    check_saved(3 << 20);
    assert_ok(cress_threadpool_join(cress_hub_threadpool(), CRESS_FOREVER));
    for (int i = 0; i < 10; i++)
        settle();
    assert_int_equal(next_descriptor(), before);
}

static void check_kept(void)
{
    char path[64], line[64] = "";
    struct saved saved = { .keep_as = path };
    size_t len;
    char *body = make_large(100000, &len);
    struct stat about;

    snprintf(path, sizeof path, "%s/kept", folder);
    wire_post(save, &saved, TYPE, body, len, 5000);
    assert_int_equal(saved.error, 0);
    assert_int_equal(saved.keep_result, 0);
    assert_int_equal(count_files(), 1);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_size, 100000);
    assert_int_equal(about.st_mode & 0777, 0600);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, 27, file));
    assert_string_equal(line, "abcdefghijklmnopqrstuvwxyz");
    fclose(file);
    /* The name is taken now. */
    wire_post(save, &saved, TYPE, body, len, 5000);
    assert_int_equal(saved.keep_result, -1);
    assert_int_equal(saved.keep_error, EEXIST);
    assert_int_equal(count_files(), 1);
    assert_int_equal(unlink(path), 0);
    free(body);
}

static void test_files_that_are_kept(void)
{
    check_kept();
}

static void test_file_systems_without_nameless_files(void)
{
    has_no_nameless_files = true;
    check_saved(200000);
    check_kept();
    has_no_nameless_files = false;
}

static void check_not_saved(int error, struct saved *saved)
{
    size_t len;
    char *body = make_large(100000, &len);

    wire_post(save, saved, TYPE, body, len, 0);
    assert_int_equal(saved->error, error);
    assert_int_equal(count_files(), 0);
    free(body);
}

static void test_a_full_disk(void)
{
    struct saved saved = { .keep_as = NULL };

    write_error = ENOSPC;
    check_not_saved(ENOSPC, &saved);
    has_no_nameless_files = true;
    check_not_saved(ENOSPC, &saved);
    has_no_nameless_files = false;
    write_error = 0;
}

static void test_a_folder_that_is_not_there(void)
{
    char there = folder[5];
    struct saved saved = { .keep_as = NULL };
    size_t len;
    char *body = make_large(10, &len);

    folder[5] = '!';
    wire_post(save, &saved, TYPE, body, len, 0);
    folder[5] = there;
    assert_int_equal(saved.error, ENOENT);
    free(body);
}

static void test_a_killed_handler(void)
{
    struct saved saved = { .kill = true };

    check_not_saved(ECANCELED, &saved);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_files_on_disk),       HUB_TEST(test_a_large_file_on_disk),
        HUB_TEST(test_files_that_are_kept), HUB_TEST(test_file_systems_without_nameless_files),
        HUB_TEST(test_a_full_disk),         HUB_TEST(test_a_folder_that_is_not_there),
        HUB_TEST(test_a_killed_handler),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
