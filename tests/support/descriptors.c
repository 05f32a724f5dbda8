#define _GNU_SOURCE
#include "descriptors.h"

#include "hub_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static struct rlimit before;

size_t count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;

    while (dir && readdir(dir))
        count++;
    closedir(dir);
    return count;
}

void descriptors_run_out(void)
{
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(lowest >= 0);
    close(lowest);
    assert_ok(getrlimit(RLIMIT_NOFILE, &before));
    assert_ok(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ (rlim_t)lowest, before.rlim_max }));
}

void descriptors_are_back(void)
{
    assert_ok(setrlimit(RLIMIT_NOFILE, &before));
}
