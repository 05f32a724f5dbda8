/* Bytes of a class, sixteen at a time: how far names, targets and values go.
 *
 * A head is some hundred bytes of which every one has to be looked at. SSE2 does so in about
 * one instruction per byte, where a table takes five; elsewhere the table has to do.
 *
 * Each function returns the first byte in [at, end) that is not of its class, or `end`. The
 * SCAN_WIDTH bytes before `end` may be read, whatever they are, and none behind it.
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

enum { SCAN_WIDTH = 16 };

/* Which bytes end a scan. */
typedef __m128i scan_find(__m128i bytes);

static inline __attribute__((always_inline)) unsigned scan_window(const char *at, scan_find *find)
{
    return (unsigned)_mm_movemask_epi8(find(_mm_loadu_si128((const __m128i *)(const void *)at)));
}

/* The last window is moved to the left so as to end at `end`. */
static inline __attribute__((always_inline)) char *scan_to(char *at, const char *end,
                                                           scan_find *find)
{
    const char *last = end - SCAN_WIDTH;
    unsigned found;

    for (; at <= last; at += SCAN_WIDTH)
        if ((found = scan_window(at, find)))
            return at + __builtin_ctz(found);
    found = scan_window(last, find) >> (at - last);
    return found ? at + __builtin_ctz(found) : at + (end - at);
}

/* The same, where some of the bytes that are found do not end it. */
static inline __attribute__((always_inline)) char *scan_past(char *at, const char *end,
                                                             scan_find *find, int class)
{
    while ((at = scan_to(at, end, find)) < end && text_is(*at, class))
        at++;
    return at;
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

/* All control characters, and with them tabs. */
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

static inline char *scan_value(char *at, const char *end)
{
    return scan_past(at, end, scan_find_control, TEXT_VALUE);
}

static inline char *scan_token(char *at, const char *end)
{
    return scan_past(at, end, scan_find_unusual, TEXT_TOKEN);
}

static inline char *scan_target(char *at, const char *end)
{
    return scan_to(at, end, scan_find_target_end);
}

static inline char *scan_path(char *at, const char *end)
{
    return scan_to(at, end, scan_find_path_end);
}

#else

enum { SCAN_WIDTH = 1 };

static inline char *scan_value(char *at, const char *end)
{
    return scan_class(at, end, TEXT_VALUE);
}

static inline char *scan_target(char *at, const char *end)
{
    return scan_class(at, end, TEXT_TARGET);
}

static inline char *scan_path(char *at, const char *end)
{
    return scan_class(at, end, TEXT_PATH);
}

static inline char *scan_token(char *at, const char *end)
{
    return scan_class(at, end, TEXT_TOKEN);
}

#endif

#endif
