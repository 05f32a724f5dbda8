/* A Range field over a representation of any size: what comes out must lie in it, and never be
 * more than it is. The first eight bytes are the size. */
#include <cress/range.h>

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const cress_byte_range *range, uint64_t size, uint64_t *total)
{
    if (range->len == 0 || range->offset >= size || range->len > size - range->offset)
        abort();
    if (range->len > size - *total)
        abort();
    *total += range->len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cress_byte_range ranges[CRESS_MAX_RANGES];
    uint64_t file_size, total = 0;

    if (size < sizeof file_size)
        return 0;
    memcpy(&file_size, data, sizeof file_size);
    cress_str field = { (const char *)data + sizeof file_size, size - sizeof file_size };
    int count = cress_parse_range(field, file_size, ranges);
    if (count > CRESS_MAX_RANGES || (count < 0 && errno != ERANGE && errno != EINVAL))
        abort();
    for (int i = 0; i < count; i++)
        check(&ranges[i], file_size, &total);
    return 0;
}
