#include "../../http/block.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
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
    assert_int_equal((uintptr_t)a % (uintptr_t)sysconf(_SC_PAGESIZE), 0);
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
    }
    use_many(BLOCK_OUTPUT, BLOCK_OUTPUT_SIZE);
    assert_true(block_count_hot(BLOCK_OUTPUT) <= 512);
}

static void *use_in_thread(void *arg)
{
    void *block = block_get(BLOCK_EXCHANGE);

    memset(block, 1, BLOCK_EXCHANGE_SIZE);
    *(void **)arg = block;
    block_put(BLOCK_EXCHANGE, block);
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
        cmocka_unit_test(test_freed_with_the_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
