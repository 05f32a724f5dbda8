/* Dates and lists of entity-tags. A date that is understood must be the same after it was
 * written down and read again; a tag that matches strongly matches weakly. Lists end with the first
 * line end, and the tag is what follows. */
#include <cress/conditional.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_date(cress_str text)
{
    char written[CRESS_DATE_SIZE];
    time_t time, again;

    if (!cress_parse_date(text, &time))
        return;
    cress_format_date(written, time);
    if (!cress_parse_date((cress_str){ written, strlen(written) }, &again) || again != time)
        abort();
}

static void check_tags(cress_str list, cress_str tag)
{
    bool strong = cress_etag_matches(list, tag, false);

    if (strong && !cress_etag_matches(list, tag, true))
        abort();
    if (strong && tag.len > 1 && tag.data[0] == 'W' && !cress_str_equal(list, "*"))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cress_str text = { (const char *)data, size };
    const char *end = size ? memchr(data, '\n', size) : NULL;

    check_date(text);
    if (end) {
        size_t len = (size_t)(end - text.data);
        check_tags((cress_str){ text.data, len }, (cress_str){ end + 1, size - len - 1 });
    }
    return 0;
}
