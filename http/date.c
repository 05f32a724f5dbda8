/* Dates as HTTP writes them, whatever the locale. */
#include "date.h"

#include <string.h>

static void put_two(char *to, int value)
{
    to[0] = (char)('0' + value / 10);
    to[1] = (char)('0' + value % 10);
}

void date_format(char to[DATE_LEN + 1], time_t time)
{
    struct tm tm;

    gmtime_r(&time, &tm);
    memcpy(to, "Ddd, 00 Mmm 0000 00:00:00 GMT", DATE_LEN + 1);
    memcpy(to, &"SunMonTueWedThuFriSat"[3 * tm.tm_wday], 3);
    put_two(to + 5, tm.tm_mday);
    memcpy(to + 8, &"JanFebMarAprMayJunJulAugSepOctNovDec"[3 * tm.tm_mon], 3);
    put_two(to + 12, (tm.tm_year + 1900) / 100);
    put_two(to + 14, (tm.tm_year + 1900) % 100);
    put_two(to + 17, tm.tm_hour);
    put_two(to + 20, tm.tm_min);
    put_two(to + 23, tm.tm_sec);
}
