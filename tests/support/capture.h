/* What a piece of code writes to a descriptor, as text. */
#ifndef CRESS_TEST_CAPTURE_H
#define CRESS_TEST_CAPTURE_H

/* From now on, what goes to fd goes to a file; stdio's buffers are flushed. */
void capture_start(int fd);
/* The descriptor is as before; what was written, yours to free. */
char *capture_end(void);

#endif
