/* Tests that run in a greenlet, under the virtual clock, and what they trace.
 *
 * A failed assertion ends the program: jumping off a greenlet's stack would leave
 * the hub behind in the middle of something.
 */
#ifndef CRESS_TEST_HUB_TEST_H
#define CRESS_TEST_HUB_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cress/greenlet.h>
#include <cress/hub.h>

#include <errno.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* For a table of CMUnitTest: fn(void) as the first greenlet of a hub of its own. */
#define HUB_TEST(fn)                                \
    {                                               \
#fn, hub_test_run, NULL, NULL, (void *)(fn) \
    }
void hub_test_run(void **state);

/* cress_run under the virtual clock; its result. */
int run_virtual(cress_fn *fn, void *arg);

/* Appends a line. */
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Asserts what was traced, and forgets it. */
#define assert_trace(expected) check_trace(expected, __FILE__, __LINE__)
void check_trace(const char *expected, const char *file, int line);

/* A call that fails with that errno. */
#define assert_errno(error, call)       \
    do {                                \
        errno = 0;                      \
        assert_true((call) < 0);        \
        assert_int_equal(errno, error); \
    } while (0)
#define assert_ok(call) assert_int_equal(call, 0)
#define assert_time(expected) assert_true(cress_now() == (expected))

/* For a plain test, outside hubs: fn(NULL), as the first greenlet of a hub in a child
 * process where misuse stops the program. It does so, saying `text`. */
void assert_misuse(cress_fn *fn, const char *text);

/* Greenlets of this hub that stand on a stack. */
size_t stacks_in_use(void);

/* Spawns and drops the reference. */
void spawn(cress_fn *fn, void *arg);
/* Lets all that is ready run, and what that makes ready in turn. */
void settle(void);
/* Runs fn where nothing can wait: in the hub, as a link's function. */
void run_in_hub(void (*fn)(void));

#endif
