#ifndef SERVER_CONFTEXT_H
#define SERVER_CONFTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"

/*
 * The text of SGConfiguration.conf to values.  Stricter than libconfig, which
 * lets "SSL.Enabled = true" pass and then finds no integer there, wraps numbers
 * over 31 bits and opens what @include names: here every key is in the schema
 * and has its type, and everything else is refused with its line.
 *
 * Starts from conf_defaults(); conf_finish() is the caller's.  RC_CONFIG with
 * the line (0: none) and one sentence in err.
 */
int	conftext_parse(const char *text, size_t len, struct conf *c,
	    uint32_t *line, char *err, size_t errsize);

/* What libconfig must never see, found in the text itself: NUL and other
 * control bytes, @include, numbers that would wrap. */
int	conftext_scan(const char *text, size_t len, uint32_t *line, char *err,
	    size_t errsize);

/* "500G" to bytes; K, M, G, T are powers of 1024. */
int	conftext_size(const char *s, uint64_t *v);

#endif
