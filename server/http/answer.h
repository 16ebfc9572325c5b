#ifndef SERVER_HTTP_ANSWER_H
#define SERVER_HTTP_ANSWER_H

#include <stdint.h>

struct api;

/* Head and body for this status: what the handler wrote, or {"error": ...}
 * alone. */
int	answer_send(struct api *a, int status, uint64_t deadline);
/* The head alone, without a length: the body lasts until the connection ends. */
int	answer_stream(struct api *a, const char *type, uint64_t deadline);

#endif
