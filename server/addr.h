#ifndef SERVER_ADDR_H
#define SERVER_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/conf.h"
#include "common/rbuf.h"
#include "common/wbuf.h"

/*
 * An address as channel messages carry it ("addr" of privsep/messages.h).
 * ::ffff:a.b.c.d is always held as IPv4, so that every list and limit sees
 * one form.  Family 0 is "none" (the control socket).
 */
struct addr {
	uint8_t		family;		/* 4, 6 or 0 */
	uint8_t		b[16];		/* IPv4 in the first 4, rest zero */
	uint16_t	port;
};

#define ADDR_WIRE_LEN	19
#define ADDR_TEXT_MAX	48		/* without the port */

void	addr_put(struct wbuf *out, const struct addr *a);
/* RC_RANGE for a family that is none. */
int	addr_get(struct rbuf *in, struct addr *a);
/* Family 0 for anything that is not IPv4 or IPv6. */
void	addr_from_sockaddr(struct addr *a, const struct sockaddr *sa,
	    socklen_t len);
socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ss);
/* A literal address, without port and zone; RC_RANGE. */
int	addr_parse(struct addr *a, const char *text);
/* "192.0.2.1", "2001:db8::1", "local".  Returns out. */
const char *addr_text(const struct addr *a, char *out, size_t size);
bool	addr_equal(const struct addr *a, const struct addr *b);
/* Keep only the first bits; the rest and the port become zero. */
void	addr_mask(struct addr *a, unsigned int bits);

/* One IPv4 address or IPv6 /64; one IPv4 /24 or IPv6 /48. */
void	addr_source(const struct addr *a, struct addr *out);
void	addr_network(const struct addr *a, struct addr *out);

/*
 * An entry of Access, Plaintext.AllowFrom or Limits.Exempt: "any", "private"
 * (loopback, private, link-local, unique local), an address, or CIDR.
 */
struct addr_net {
	enum { ADDR_ANY = 1, ADDR_PRIVATE, ADDR_CIDR } kind;
	struct addr	a;
	uint8_t		bits;
};
int	addr_net_parse(struct addr_net *n, const char *text);
bool	addr_is_private(const struct addr *a);

struct addr_list {
	size_t		n;
	struct addr_net	v[CONF_LIST_MAX];
};
/* RC_CONFIG at the first entry that is none (its index in *bad unless
 * that is NULL). */
int	addr_list_parse(struct addr_list *l, const struct conf_list *from,
	    size_t *bad);
bool	addr_list_has(const struct addr_list *l, const struct addr *a);

#endif
