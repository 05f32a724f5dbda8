/* Paths and parameters. Decoding never makes more of anything, and in place it makes the same;
 * what is found ends with a NUL. The first line is a name. */
#include "../../http/query.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const char *text, size_t len)
{
    char *apart = malloc(len + 1), *in_place = malloc(len + 1);

    if (!apart || !in_place)
        abort();
    if (len)
        memcpy(in_place, text, len);
    ssize_t decoded = query_decode_path(apart, text, len);
    if (decoded > (ssize_t)len || query_decode_path(in_place, in_place, len) != decoded)
        abort();
    if (decoded > 0 && memcmp(apart, in_place, (size_t)decoded) != 0)
        abort();
    free(apart);
    free(in_place);
}

static void check_find(cress_str pairs, const char *name)
{
    struct arena arena = { .chunks = NULL };
    cress_str value = query_find(&arena, pairs, name);

    if (value.data && (value.len > pairs.len || value.data[value.len] != '\0'))
        abort();
    arena_free(&arena);
}

/* The first pair of a name that is taken is the one that is found. */
static void check_next(cress_str pairs, const char *name)
{
    struct arena arena = { .chunks = NULL };
    cress_str found = query_find(&arena, pairs, name), rest = pairs, key, value;
    bool is_there = false;

    while (!is_there && query_next(&arena, &rest, &key, &value) > 0) {
        if (key.len + value.len > pairs.len || key.data[key.len] || value.data[value.len])
            abort();
        is_there = key.len == strlen(name) && memcmp(key.data, name, key.len) == 0;
    }
    if (is_there != (found.data != NULL))
        abort();
    if (is_there && (value.len != found.len || memcmp(value.data, found.data, value.len) != 0))
        abort();
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *end = size ? memchr(text, '\n', size) : NULL;
    size_t len = end ? (size_t)(end - text) : 0;
    char *name = end ? malloc(len + 1) : NULL;

    check_path(text, size);
    if (!name)
        return 0;
    memcpy(name, text, len);
    name[len] = '\0';
    check_find((cress_str){ end + 1, size - len - 1 }, name);
    check_next((cress_str){ end + 1, size - len - 1 }, name);
    free(name);
    return 0;
}
