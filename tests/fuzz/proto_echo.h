#ifndef TESTS_FUZZ_PROTO_ECHO_H
#define TESTS_FUZZ_PROTO_ECHO_H

#include "common/rbuf.h"
#include "common/wbuf.h"

/*
 * Parse a frame's payload and write again what was understood.  Every payload
 * has one form only, so what was accepted must come out byte for byte: the unit
 * test and the fuzz target both hold the parsers to that.  RC_PROTO for a type
 * that is none.
 */
int	proto_echo(uint16_t type, struct rbuf *in, struct wbuf *out);

#endif
