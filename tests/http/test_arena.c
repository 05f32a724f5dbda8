#include "../../http/arena.h"
#include "../../http/block.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdalign.h>
#include <string.h>

static void test_pieces_are_aligned_and_apart(void **state)
{
    struct arena arena = { .chunks = NULL };
    unsigned char *pieces[300];

    (void)state;
    for (size_t i = 1; i < 300; i++) {
        pieces[i] = arena_alloc(&arena, i);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
        memset(pieces[i], (int)(i & 255), i);
    }
    for (size_t i = 1; i < 300; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(pieces[i][k], i & 255);
    arena_free(&arena);
}

static void test_begins_in_the_owners_memory(void **state)
{
    alignas(max_align_t) char own[128];
    struct arena arena = { .at = own, .end = own + sizeof own };
    size_t out = block_count_out(BLOCK_EXCHANGE);

    (void)state;
    assert_ptr_equal(arena_alloc(&arena, 100), own);
    assert_ptr_equal(arena_alloc_text(&arena, 28), own + 100);
    assert_int_equal(block_count_out(BLOCK_EXCHANGE), out);
    assert_non_null(arena_alloc_text(&arena, 1));
    assert_int_equal(block_count_out(BLOCK_EXCHANGE), out + 1);
    arena_free(&arena);
    assert_int_equal(block_count_out(BLOCK_EXCHANGE), out);
}

static void test_large_pieces(void **state)
{
    struct arena arena = { .chunks = NULL };

    (void)state;
    for (size_t size = 1; size < 1 << 22; size *= 2) {
        char *piece = arena_alloc(&arena, size);
        assert_non_null(piece);
        memset(piece, 1, size);
    }
    arena_free(&arena);
}

static void test_too_large(void **state)
{
    struct arena arena = { .chunks = NULL };

    (void)state;
    errno = 0;
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_int_equal(errno, ENOMEM);
    assert_null(arena_alloc(&arena, SIZE_MAX - 8));
    assert_null(arena_alloc_text(&arena, SIZE_MAX));
    arena_free(&arena);
}

static void test_copies(void **state)
{
    struct arena arena = { .chunks = NULL };

    (void)state;
    assert_string_equal(arena_copy(&arena, "hello, world", 5), "hello");
    assert_string_equal(arena_copy(&arena, "", 0), "");
    arena_free(&arena);
    arena_free(&arena); /* nothing is left */
}

static void test_text_grows_where_it_is(void **state)
{
    char own[64], *text;
    struct arena arena = { .at = own, .end = own + sizeof own };

    (void)state;
    text = arena_alloc_text(&arena, 10);
    assert_true(arena_extend_text(&arena, text, 10, 20));
    assert_ptr_equal(arena.at, own + 20);
    assert_false(arena_extend_text(&arena, text, 20, 65));
    assert_true(arena_extend_text(&arena, text, 20, 60));
    assert_ptr_equal(arena_alloc_text(&arena, 1), own + 60);
    assert_false(arena_extend_text(&arena, text, 60, 61)); /* it is no longer the last */
    assert_true(arena_extend_text(&arena, own + 60, 1, 4));
    assert_false(arena_extend_text(&arena, own + 60, 4, 5));
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_aligned_and_apart),
        cmocka_unit_test(test_begins_in_the_owners_memory),
        cmocka_unit_test(test_large_pieces),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_text_grows_where_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
