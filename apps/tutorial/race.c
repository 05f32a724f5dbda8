/* A race that no test run shows, and how a simulation finds it.
 *
 * Clerks sell the seats of a small theatre and write each sale into a journal, a pipe
 * that another greenlet reads. A clerk looks whether a seat is left, writes, and then takes
 * the seat. Between the look and the taking there is a call that waits while the pipe is
 * full: it never is, so nothing ever comes between, and every run sells as many seats
 * as there are.
 *
 *     race                     sell once
 *     CRESS_SEED=N race        the same, in the order that N chooses
 *     race --seeds 100         try so many orders, and name the first that oversells
 *     race --careful ...       clerks take the seat first, and then write
 */
#include <cress/cress.h>
#include <cress/simulation.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEATS = 5, CLERKS = 3 };

struct theatre {
    int seats, sold;
    int journal[2];
    bool careful;
};

static int note_sale(struct theatre *theatre)
{
    static const char line[] = "sold a seat\n";

    return cress_write(theatre->journal[1], line, sizeof line - 1) < 0 ? -1 : 0;
}

static int sell_seat(struct theatre *theatre)
{
    if (note_sale(theatre) < 0)
        return -1;
    theatre->seats--;
    theatre->sold++;
    return 0;
}

static int sell_seat_carefully(struct theatre *theatre)
{
    theatre->seats--;
    if (note_sale(theatre) < 0) {
        theatre->seats++;
        return -1;
    }
    theatre->sold++;
    return 0;
}

static void *run_clerk(void *arg)
{
    struct theatre *theatre = arg;

    while (theatre->seats > 0) {
        int result = theatre->careful ? sell_seat_carefully(theatre) : sell_seat(theatre);

        if (result < 0 || cress_sleep(1) < 0) /* until the next customer comes */
            return cress_fail(errno);
    }
    return NULL;
}

static void *read_journal(void *arg)
{
    const struct theatre *theatre = arg;
    char page[256];

    while (cress_read(theatre->journal[0], page, sizeof page) > 0)
        continue;
    return NULL;
}

static int sell_all(struct theatre *theatre)
{
    cress_group clerks = CRESS_GROUP_INIT;
    cress_greenlet *reader = cress_spawn(read_journal, theatre);
    int result = reader ? 0 : -1;

    for (int i = 0; i < CLERKS && result == 0; i++)
        result = cress_pool_spawn(&clerks, run_clerk, theatre);
    if (result == 0)
        result = cress_pool_join(&clerks, CRESS_FOREVER);
    cress_kill(reader, CRESS_FOREVER);
    cress_release(reader);
    return result;
}

static void *run_evening(void *arg)
{
    const bool *careful = arg;
    struct theatre theatre = { .seats = SEATS, .careful = *careful };

    if (pipe(theatre.journal) < 0)
        return cress_fail(errno);
    int result = sell_all(&theatre), error = errno;
    cress_close(theatre.journal[0]);
    cress_close(theatre.journal[1]);
    if (result < 0)
        return cress_fail(error);
    if (theatre.sold == SEATS)
        return NULL;
    printf("%d seats, %d sold\n", SEATS, theatre.sold);
    return cress_fail(EOVERFLOW);
}

int main(int argc, char *argv[])
{
    bool careful = argc > 1 && strcmp(argv[1], "--careful") == 0;
    char **rest = argv + (careful ? 2 : 1);
    int result;

    if (rest[0] && strcmp(rest[0], "--seeds") == 0 && rest[1])
        result = cress_simulate_seeds(1, strtoull(rest[1], NULL, 0), run_evening, &careful);
    else
        result = cress_run(run_evening, &careful);
    if (result < 0)
        return EXIT_FAILURE;
    puts("no seat was sold twice");
    return EXIT_SUCCESS;
}
