/* RFC 9110 5.6.6. A backslash in a quoted-string escapes a quote or a backslash and stands for
 * itself otherwise, as browsers write it (an old one sends a path of Windows): where the
 * string ends is the same by either reading. */
#include "parameters.h"

#include "text.h"

static void skip_blanks(struct parameters *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t'))
        p->at++;
}

static bool take(struct parameters *p, char c)
{
    if (p->at == p->end || *p->at != c)
        return false;
    p->at++;
    return true;
}

static cress_str take_token(struct parameters *p)
{
    const char *start = p->at;

    while (p->at < p->end && text_is(*p->at, TEXT_TOKEN))
        p->at++;
    return (cress_str){ start, (size_t)(p->at - start) };
}

/* Behind the opening quote. */
static bool take_quoted(struct parameters *p, cress_str *ret_value)
{
    const char *start = p->at;

    for (; p->at < p->end && *p->at != '"'; p->at++) {
        if (!text_is(*p->at, TEXT_VALUE))
            return false;
        if (*p->at == '\\' && p->end - p->at > 1 && (p->at[1] == '"' || p->at[1] == '\\'))
            p->at++;
    }
    *ret_value = (cress_str){ start, (size_t)(p->at - start) };
    return take(p, '"');
}

bool parameters_begin(struct parameters *p, cress_str field, cress_str *ret_word)
{
    *p = (struct parameters){ .at = field.data, .end = field.data + field.len };
    skip_blanks(p);
    cress_str word = take_token(p);
    if (word.len > 0 && take(p, '/')) {
        cress_str subtype = take_token(p);
        word.len = subtype.len ? (size_t)(p->at - word.data) : 0;
    }
    *ret_word = word;
    return word.len > 0;
}

int parameters_next(struct parameters *p, struct parameter *ret_parameter)
{
    struct parameter found = { .is_quoted = false };
    bool is_separated = false;

    for (skip_blanks(p); take(p, ';'); skip_blanks(p))
        is_separated = true;
    if (p->at == p->end)
        return 0;
    found.name = take_token(p);
    if (!is_separated || found.name.len == 0 || !take(p, '='))
        return -1;
    found.is_quoted = take(p, '"');
    if (found.is_quoted && !take_quoted(p, &found.value))
        return -1;
    if (!found.is_quoted && (found.value = take_token(p)).len == 0)
        return -1;
    *ret_parameter = found;
    return 1;
}
