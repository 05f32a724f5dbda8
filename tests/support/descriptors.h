/* Descriptors: how many there are, and what happens when they run out. */
#ifndef CRESS_TEST_DESCRIPTORS_H
#define CRESS_TEST_DESCRIPTORS_H

#include <stddef.h>

/* Those of this process, and a few more: to compare. */
size_t count_descriptors(void);
/* From now on opening one more fails with EMFILE. */
void descriptors_run_out(void);
void descriptors_are_back(void);

#endif
