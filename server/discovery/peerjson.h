#ifndef SERVER_DISCOVERY_PEERJSON_H
#define SERVER_DISCOVERY_PEERJSON_H

#include <stddef.h>
#include <stdint.h>

#include "common/json.h"
#include "common/jsonread.h"
#include "common/peerinfo.h"
#include "server/addr.h"
#include "server/discovery/task.h"

/*
 * What installations say to each other over 32005, as JSON; doc/DISCOVERY.md
 * "Exchange over 32005".  Used by both ends: sg-peer and the api worker.  The
 * readers answer RC_PROTO for a member that is missing or of the wrong type,
 * RC_RANGE for a value that cannot be, RC_LIMIT for too many; members that they
 * do not know are passed over, so that a later version may have more.
 */

/* Values in a body or answer: what 60 entries take, and room for later members;
 * for json_parse(). */
#define PEERJSON_VALUES_MAX	2048

struct peer_entry {
	struct peer_info	info;
	struct addr		addr;	/* its port is the GUI port */
};

/* A result of a probe: one of our ports as another sees it. */
struct peer_reach {
	uint16_t	port;
	uint8_t		code;		/* -RC_*: 0 open, REFUSED, TIMEOUT, else */
	uint32_t	ms;
};

/* Lower-case hexadecimal of exactly n bytes. */
int	peerjson_get_hex(const struct json_doc *doc, const struct json_value *v,
	    const char *name, uint8_t *out, size_t n);

/* The members of the object that is open; v is the object. */
void	peerjson_put_info(struct json *j, const struct peer_info *p);
int	peerjson_get_info(const struct json_doc *doc,
	    const struct json_value *v, struct peer_info *p);

/* An array of objects: INFO and "address".  At most `max`, which is
 * TASK_ENTRIES_MAX or less. */
void	peerjson_put_entry(struct json *j, const struct peer_entry *e);
int	peerjson_get_entries(const struct json_doc *doc,
	    const struct json_value *v, const char *name,
	    struct peer_entry *out, size_t max, size_t *n);

/* An array of 1 to TASK_PORTS_MAX port numbers. */
void	peerjson_put_ports(struct json *j, const char *name,
	    const uint16_t *ports, size_t n);
int	peerjson_get_ports(const struct json_doc *doc,
	    const struct json_value *v, const char *name,
	    uint16_t ports[TASK_PORTS_MAX], size_t *n);

/* {"port":n,"result":"open","ms":n}, and an array of them. */
void	peerjson_put_reach(struct json *j, const struct peer_reach *r);
int	peerjson_get_reach(const struct json_doc *doc,
	    const struct json_value *v, const char *name,
	    struct peer_reach out[TASK_PORTS_MAX], size_t *n);

#endif
