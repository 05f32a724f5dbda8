#include "../../http/block.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MANY = 3000 };

static void test_last_in_first_out(void **state)
{
    void *a = block_get(BLOCK_EXCHANGE), *b = block_get(BLOCK_EXCHANGE);

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    assert_ptr_not_equal(a, b);
    assert_int_equal((uintptr_t)a % alignof(max_align_t), 0);
    assert_int_equal((uintptr_t)b % alignof(max_align_t), 0);
    block_put(BLOCK_EXCHANGE, a);
    block_put(BLOCK_EXCHANGE, b);
    assert_ptr_equal(block_get(BLOCK_EXCHANGE), b);
    assert_ptr_equal(block_get(BLOCK_EXCHANGE), a);
    block_put(BLOCK_EXCHANGE, a);
    block_put(BLOCK_EXCHANGE, b);
    block_put(BLOCK_EXCHANGE, NULL);
}

static void use_many(enum block_kind kind, size_t size)
{
    unsigned char **blocks = calloc(MANY, sizeof *blocks);

    for (size_t i = 0; i < MANY; i++) {
        blocks[i] = block_get(kind);
        assert_non_null(blocks[i]);
        memset(blocks[i], (int)(i & 255), size);
    }
    assert_int_equal(block_count_out(kind), MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(blocks[i][0], i & 255);
        assert_int_equal(blocks[i][size - 1], i & 255);
        block_put(kind, blocks[i]);
    }
    assert_int_equal(block_count_out(kind), 0);
    free(blocks);
}

/* After a peak only a bounded number keeps its memory, and all can be used again. */
static void test_many(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        use_many(BLOCK_EXCHANGE, BLOCK_EXCHANGE_SIZE);
        assert_true(block_count_hot(BLOCK_EXCHANGE) <= 512);
        use_many(BLOCK_INPUT, BLOCK_INPUT_SIZE);
        assert_true(block_count_hot(BLOCK_INPUT) <= 512);
    }
    use_many(BLOCK_OUTPUT, BLOCK_OUTPUT_SIZE);
    assert_true(block_count_hot(BLOCK_OUTPUT) <= 512);
}

static bool is_resident(const void *block)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char vec[1];
    char *at = (char *)(uintptr_t)block;

    assert_int_equal(mincore(at - (uintptr_t)at % page, 1, vec), 0);
    return vec[0] & 1;
}

static int count_resident(void *const *blocks)
{
    int count = 0;

    for (size_t i = 0; i < MANY / 4; i++)
        count += is_resident(blocks[i]);
    return count;
}

/* Four small blocks share a page, which goes back when none is in use. In a thread of its own all
 * are fresh, and come in order. */
static void *share_pages(void *arg)
{
    void **blocks = calloc(MANY, sizeof *blocks), **others = blocks + MANY / 4;

    (void)arg;
    for (size_t i = 0; i < MANY; i++) { /* one of each page first */
        void **slot = i % 4 ? &others[i / 4 * 3 + i % 4 - 1] : &blocks[i / 4];
        *slot = block_get(BLOCK_EXCHANGE);
        memset(*slot, (int)(i / 4 & 255), BLOCK_EXCHANGE_SIZE);
    }
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < MANY / 4 * 3; i++)
            block_put(BLOCK_EXCHANGE, others[i]);
        assert_int_equal(block_count_hot(BLOCK_EXCHANGE), 512);
        assert_int_equal(count_resident(blocks), MANY / 4);
        for (size_t i = 0; i < MANY / 4 * 3; i++)
            others[i] = block_get(BLOCK_EXCHANGE);
    }
    for (size_t i = 0; i < MANY / 4; i++)
        for (size_t k = 0; k < BLOCK_EXCHANGE_SIZE; k++)
            assert_int_equal(((unsigned char *)blocks[i])[k], i & 255);
    for (size_t i = 0; i < MANY; i++)
        block_put(BLOCK_EXCHANGE, blocks[i]);
    assert_true(count_resident(blocks) <= 512);
    assert_int_equal(block_count_out(BLOCK_EXCHANGE), 0);
    free(blocks);
    return NULL;
}

static void test_shared_pages_go_back(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, share_pages, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *use_in_thread(void *arg)
{
    void *block = block_get(BLOCK_INPUT);

    memset(block, 1, BLOCK_INPUT_SIZE);
    *(void **)arg = block;
    block_put(BLOCK_INPUT, block);
    return NULL;
}

/* A thread's blocks end with it: their pages are no longer mapped. */
static void test_freed_with_the_thread(void **state)
{
    pthread_t thread;
    unsigned char vec[1];
    void *block;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, use_in_thread, &block), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(mincore(block, 1, vec), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_in_first_out),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_shared_pages_go_back),
        cmocka_unit_test(test_freed_with_the_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
