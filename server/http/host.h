#ifndef SERVER_HTTP_HOST_H
#define SERVER_HTTP_HOST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/conf.h"

/*
 * The Host header and who may send us requests.  A page of a foreign name that
 * was made to point here (DNS rebinding) is refused by its Host; a page of
 * another origin by Origin and Sec-Fetch-Site.
 */

/* NAME, IPv4 or [IPv6], and a port or none; name gets it without port and
 * brackets.  RC_PROTO. */
int	http_host_split(const char *host, size_t len, char name[256]);
/* Is it ours: an IP literal, "localhost", the StoreGrid ID, Advertise, an entry
 * of Web.Hosts; on the control socket also "storegrid".  Letters' case does not
 * matter, nor does the port: a router may have changed it. */
bool	http_host_ok(const char *host, const struct conf *conf, bool control);
/* RFC 6454: is this origin https:// and the same Host? */
bool	http_origin_ok(const char *origin, const char *host);

#endif
