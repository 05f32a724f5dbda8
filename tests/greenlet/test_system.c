/* The bare system calls, also where the library is built with the C library's. */
#if defined(__x86_64__) && defined(__LP64__)
#define SYSTEM_DIRECT 1
#endif
#include "../../greenlet/system.h"

#include "hub_test.h"

#include <sys/eventfd.h>

static int ends[2];

static int open_ends(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
}

static int close_ends(void **state)
{
    (void)state;
    return system_close(ends[0]) | system_close(ends[1]);
}

static void test_bytes_go_to_and_fro(void **state)
{
    char buf[8] = "";

    (void)state;
    assert_errno(EAGAIN, system_recv(ends[0], buf, sizeof buf, MSG_DONTWAIT));
    assert_int_equal(system_send(ends[1], "ab", 2, MSG_NOSIGNAL), 2);
    assert_int_equal(system_recv(ends[0], buf, sizeof buf, MSG_PEEK), 2);
    assert_int_equal(system_recv(ends[0], buf, sizeof buf, 0), 2);
    assert_memory_equal(buf, "ab", 3);
    assert_int_equal(shutdown(ends[1], SHUT_WR), 0);
    assert_int_equal(system_recv(ends[0], buf, sizeof buf, 0), 0);
    assert_errno(EPIPE, system_send(ends[1], "ab", 2, MSG_NOSIGNAL));
}

static void test_messages_go_to_and_fro(void **state)
{
    char out[] = "abcd", in[3] = "";
    struct iovec pieces[] = { { out, 1 }, { out + 2, 2 } }, room = { in, sizeof in };
    struct msghdr message = { .msg_iov = pieces, .msg_iovlen = 2 },
                  answer = { .msg_iov = &room, .msg_iovlen = 1 };

    (void)state;
    assert_errno(EAGAIN, system_recvmsg(ends[0], &answer, MSG_DONTWAIT));
    assert_int_equal(system_sendmsg(ends[1], &message, 0), 3);
    assert_int_equal(system_recvmsg(ends[0], &answer, 0), 3);
    assert_memory_equal(in, "acd", 3);
}

static void test_closing(void **state)
{
    int fd = eventfd(0, 0);

    (void)state;
    assert_int_equal(system_close(fd), 0);
    assert_errno(EBADF, system_close(fd));
}

static void test_waiting(void **state)
{
    struct system_span span = { .nanoseconds = 1000 };
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = 1234 };
    int epoll = epoll_create1(EPOLL_CLOEXEC), count;

    (void)state;
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event), 0);
    count = system_epoll(epoll, &event, 1, &span);
    if (count < 0) { /* not on this kernel */
        assert_true(errno == ENOSYS || errno == EPERM);
        system_close(epoll);
        skip();
    }
    assert_int_equal(count, 0);
    assert_int_equal(system_send(ends[1], "x", 1, 0), 1);
    assert_int_equal(system_epoll(epoll, &event, 1, NULL), 1);
    assert_int_equal(event.data.u64, 1234);
    system_close(epoll);
}

#define ENDS_TEST(fn) cmocka_unit_test_setup_teardown(fn, open_ends, close_ends)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENDS_TEST(test_bytes_go_to_and_fro),
        ENDS_TEST(test_messages_go_to_and_fro),
        ENDS_TEST(test_closing),
        ENDS_TEST(test_waiting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
