#ifndef SERVER_CTL_PEERS_H
#define SERVER_CTL_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * "host", "host:port", "192.0.2.1:port", "2001:db8::1" or "[2001:db8::1]:port".
 * *port stays as it is when the text names none.  False: none of these.
 */
bool	peer_parse_address(const char *text, char *host, size_t size,
	    uint16_t *port);

#endif
