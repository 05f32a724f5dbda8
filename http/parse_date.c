/* Dates in requests, in the three forms that RFC 9110 5.6.7 tells recipients to take. Not
 * strptime: that follows the locale, takes blanks anywhere and days that do not exist. */
#include <cress/conditional.h>

#include "date.h"
#include "text.h"

/* Of the years 1 and 9999. */
static const time_t first_second = -62135596800, last_second = 253402300799;

_Static_assert(CRESS_DATE_SIZE == DATE_LEN + 1, "one size of dates");

/* What is left of a date. A step that does not fit sets `failed`, and the rest does nothing. */
struct reader {
    const char *at, *end;
    bool failed;
};

struct fields {
    int year, month, day, hour, minute, second;
};

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char *const weekdays[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday" };

static bool take(struct reader *r, const char *text)
{
    size_t len = strlen(text);

    if (r->failed || (size_t)(r->end - r->at) < len || memcmp(r->at, text, len) != 0)
        return false;
    r->at += len;
    return true;
}

static void expect(struct reader *r, const char *text)
{
    if (!take(r, text))
        r->failed = true;
}

static int number(struct reader *r, int digits)
{
    int value = 0;

    if (r->failed || r->end - r->at < digits || !text_all(r->at, (size_t)digits, TEXT_DIGIT)) {
        r->failed = true;
        return 0;
    }
    for (; digits > 0; digits--)
        value = value * 10 + (*r->at++ - '0');
    return value;
}

static int month(struct reader *r)
{
    for (int i = 0; i < 12; i++) {
        char name[4] = { months[3 * i], months[3 * i + 1], months[3 * i + 2], '\0' };
        if (take(r, name))
            return i + 1;
    }
    r->failed = true;
    return 1;
}

static bool take_weekday(struct reader *r, bool is_short)
{
    for (int i = 0; i < 7; i++) {
        char name[4] = { weekdays[i][0], weekdays[i][1], weekdays[i][2], '\0' };
        if (take(r, is_short ? name : weekdays[i]))
            return true;
    }
    return false;
}

static void clock_time(struct reader *r, struct fields *f)
{
    f->hour = number(r, 2);
    expect(r, ":");
    f->minute = number(r, 2);
    expect(r, ":");
    f->second = number(r, 2);
}

/* 06 Nov 1994 08:49:37 GMT */
static void read_fixdate(struct reader *r, struct fields *f)
{
    f->day = number(r, 2);
    expect(r, " ");
    f->month = month(r);
    expect(r, " ");
    f->year = number(r, 4);
    expect(r, " ");
    clock_time(r, f);
    expect(r, " GMT");
}

/* A year that seems to be more than 50 years ahead is the last one with these digits. */
static int whole_year(int two_digits)
{
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    int this_year = tm.tm_year + 1900, year = this_year - this_year % 100 + two_digits;
    return year > this_year + 50 ? year - 100 : year;
}

/* 06-Nov-94 08:49:37 GMT */
static void read_rfc850(struct reader *r, struct fields *f)
{
    f->day = number(r, 2);
    expect(r, "-");
    f->month = month(r);
    expect(r, "-");
    f->year = whole_year(number(r, 2));
    expect(r, " ");
    clock_time(r, f);
    expect(r, " GMT");
}

/* Nov  6 08:49:37 1994 */
static void read_asctime(struct reader *r, struct fields *f)
{
    f->month = month(r);
    expect(r, " ");
    f->day = number(r, take(r, " ") ? 1 : 2);
    expect(r, " ");
    clock_time(r, f);
    expect(r, " ");
    f->year = number(r, 4);
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* A second 60 is a leap second. */
static bool is_sound(const struct fields *f)
{
    return f->year >= 1 && f->day >= 1 && f->day <= days_in(f->year, f->month) && f->hour < 24 &&
           f->minute < 60 && f->second <= 60;
}

static time_t to_time(const struct fields *f)
{
    int years = f->year - 1;
    int64_t days = years * 365 + years / 4 - years / 100 + years / 400 - 719162;

    for (int m = 1; m < f->month; m++)
        days += days_in(f->year, m);
    days += f->day - 1;
    return (time_t)(days * 86400 + f->hour * 3600 + f->minute * 60 + f->second);
}

static bool read_date(struct reader *r, struct fields *f)
{
    const char *start = r->at;

    if (take_weekday(r, false) && take(r, ", ")) {
        read_rfc850(r, f);
        return !r->failed;
    }
    r->at = start;
    if (!take_weekday(r, true))
        return false;
    if (take(r, ", "))
        read_fixdate(r, f);
    else if (take(r, " "))
        read_asctime(r, f);
    else
        return false;
    return !r->failed;
}

bool cress_parse_date(cress_str text, time_t *ret_time)
{
    struct fields f;

    if (text.len == 0)
        return false;
    struct reader r = { .at = text.data, .end = text.data + text.len };
    if (!read_date(&r, &f) || r.at != r.end || !is_sound(&f))
        return false;
    time_t time = to_time(&f);
    *ret_time = time > last_second ? last_second : time;
    return true;
}

void cress_format_date(char to[CRESS_DATE_SIZE], time_t time)
{
    if (time < first_second)
        time = first_second;
    date_format(to, time > last_second ? last_second : time);
}
