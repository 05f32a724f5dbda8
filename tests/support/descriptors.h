/* Descriptors that run out. */
#ifndef CRESS_TEST_DESCRIPTORS_H
#define CRESS_TEST_DESCRIPTORS_H

/* From now on opening one more fails with EMFILE. */
void descriptors_run_out(void);
void descriptors_are_back(void);

#endif
