/* Runs a fuzzer's entry point over the files named on the command line, where
 * libFuzzer is not at hand: what was once found stays found.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The file's bytes in memory of exactly their size, so that a sanitizer sees
 * each access past the end. */
static uint8_t *read_file(const char *path, size_t *ret_size)
{
    uint8_t *data = NULL;
    FILE *file = fopen(path, "rb");

    if (!file || fseek(file, 0, SEEK_END) < 0)
        goto fail;
    long size = ftell(file);
    if (size < 0 || fseek(file, 0, SEEK_SET) < 0)
        goto fail;
    data = malloc(size > 0 ? (size_t)size : 1);
    if (!data || fread(data, 1, (size_t)size, file) != (size_t)size)
        goto fail;
    fclose(file);
    *ret_size = (size_t)size;
    return data;

fail:
    perror(path);
    free(data);
    if (file)
        fclose(file);
    return NULL;
}

int main(int argc, char *argv[])
{
    for (int i = 1; i < argc; i++) {
        size_t size;
        uint8_t *data = read_file(argv[i], &size);

        if (!data)
            return 1;
        LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}
