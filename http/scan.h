/* Bytes of a class, sixteen at a time: how far names, targets and values go.
 *
 * A head is some hundred bytes of which every one has to be looked at. SSE2 does so in about
 * one instruction per byte, where a table takes five; elsewhere, and for the last bytes that
 * have come, the table has to do.
 *
 * Each function returns the first byte in [at, end) that is not of its class, or `end`; the `usual`
 * ones may stop before that, at what is seldom seen.
 */
#ifndef CRESS_HTTP_SCAN_H
#define CRESS_HTTP_SCAN_H

#include "text.h"

/* Byte by byte, wherever it stands. */
static inline char *scan_class(char *at, const char *end, int class)
{
    while (at < end && text_is(*at, class))
        at++;
    return at;
}

#ifdef __SSE2__

#include <emmintrin.h>

/* Which bytes end a scan. */
typedef __m128i scan_find(__m128i bytes);

static inline __attribute__((always_inline)) char *scan_to(char *at, const char *end, int class,
                                                           scan_find *find)
{
    enum { WIDTH = 16 };

    for (; end - at >= WIDTH; at += WIDTH) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        unsigned found = (unsigned)_mm_movemask_epi8(find(bytes));
        if (found)
            return at + (unsigned)__builtin_ctz(found);
    }
    return scan_class(at, end, class);
}

static inline __m128i scan_equal(__m128i bytes, char c)
{
    return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c));
}

/* 0: it is one of so many bytes from `first` on. */
static inline __m128i scan_distance(__m128i bytes, char first, char count)
{
    __m128i index = _mm_sub_epi8(bytes, _mm_set1_epi8(first));

    return _mm_subs_epu8(index, _mm_set1_epi8((char)(count - 1)));
}

/* Control characters; also tabs, which a value may have. */
static inline __m128i scan_find_control(__m128i bytes)
{
    __m128i below_blank = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);

    return _mm_or_si128(below_blank, scan_equal(bytes, 0x7f));
}

/* What ends a query: '#', blanks, and all that is not printable ASCII. */
static inline __m128i scan_find_target_end(__m128i bytes)
{
    __m128i unprintable = _mm_cmpgt_epi8(_mm_set1_epi8('!'), bytes); /* as signed numbers */

    return _mm_or_si128(_mm_or_si128(unprintable, scan_equal(bytes, 0x7f)), scan_equal(bytes, '#'));
}

/* Besides: '"', '%', '<', '>', '?' and '\\'; some differ from each other, or from '#', in the
 * lowest bit only. */
static inline __m128i scan_find_path_end(__m128i bytes)
{
    __m128i unprintable = _mm_cmpgt_epi8(_mm_set1_epi8('!'), bytes);
    __m128i odd = _mm_or_si128(bytes, _mm_set1_epi8(1));
    __m128i pairs = _mm_or_si128(scan_equal(odd, '#'), scan_equal(odd, '?'));
    __m128i others = _mm_or_si128(scan_equal(bytes, '<'), scan_equal(bytes, '\\'));
    __m128i ends = _mm_or_si128(scan_equal(bytes, 0x7f), scan_equal(bytes, '%'));

    return _mm_or_si128(_mm_or_si128(pairs, others), _mm_or_si128(ends, unprintable));
}

/* All but the usual ones of a token: letters, digits and '-'. */
static inline __m128i scan_find_unusual(__m128i bytes)
{
    __m128i letter = scan_distance(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 26);
    __m128i digit = scan_distance(bytes, '0', 10);
    __m128i hyphen = _mm_xor_si128(bytes, _mm_set1_epi8('-'));
    __m128i least = _mm_min_epu8(_mm_min_epu8(letter, digit), hyphen);

    return _mm_xor_si128(scan_equal(least, 0), _mm_set1_epi8(-1));
}

#define SCAN(at, end, class, find) scan_to(at, end, class, find)

#else

#define SCAN(at, end, class, find) scan_class(at, end, class)

#endif

static inline char *scan_usual_name(char *at, const char *end)
{
    return SCAN(at, end, TEXT_TOKEN, scan_find_unusual);
}

static inline char *scan_usual_value(char *at, const char *end)
{
    return SCAN(at, end, TEXT_VALUE, scan_find_control);
}

/* Byte by byte only where there is a tab. */
static inline char *scan_value(char *at, const char *end)
{
    while ((at = scan_usual_value(at, end)) < end && *at == '\t')
        at++;
    return at;
}

static inline char *scan_target(char *at, const char *end)
{
    return SCAN(at, end, TEXT_TARGET, scan_find_target_end);
}

static inline char *scan_path(char *at, const char *end)
{
    return SCAN(at, end, TEXT_PATH, scan_find_path_end);
}

#undef SCAN

#endif
