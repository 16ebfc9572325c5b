#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/rbuf.h"
#include "common/wbuf.h"

/*
 * SGConfiguration.conf as checked values.  Every key has a default, so an empty
 * file is valid.  The text is parsed by the confparse process alone; the result
 * crosses a channel in this form.  The schema (key, type, range, default,
 * whether a reload changes it) is one table in common/conf.c.
 */
#define CONF_FILE_MAX	(256u << 10)
#define CONF_LIST_MAX	16
#define CONF_STR_MAX	256

enum conf_mode {
	CONF_MODE_SERVER,
	CONF_MODE_CLIENT,
	CONF_MODE_BOTH,
	CONF_MODE_REPLICATION,
};

struct conf_list {
	uint8_t	n;
	char	s[CONF_LIST_MAX][64];
};

struct conf {
	char		 id[64];
	uint8_t		 mode;			/* enum conf_mode */
	uint16_t	 port_server, port_ssl, port_gui, port_web, port_webssl;
	uint16_t	 port_mcast_req, port_mcast_ans, port_scan;
	bool		 ssl_enabled;
	char		 ssl_cert[CONF_STR_MAX], ssl_key[CONF_STR_MAX];
	char		 web_cert[CONF_STR_MAX], web_key[CONF_STR_MAX];
	struct conf_list listen_server, listen_gui, listen_web;
	struct conf_list access_server, access_gui, access_web;
	struct conf_list plaintext_from;
	bool		 plaintext_client;
	bool		 mcast_enabled, scan_enabled, scan_answer, exchange_enabled;
	uint32_t	 mcast_interval, scan_interval, exchange_interval;
	uint32_t	 exchange_max;
	struct conf_list switch_from;
	char		 switch_role[16];
	uint32_t	 pool_min, pool_max;
	char		 state[CONF_STR_MAX], vaults[CONF_STR_MAX];
	char		 run[CONF_STR_MAX], programs[CONF_STR_MAX];
	char		 advertise[CONF_STR_MAX];
	uint32_t	 users_base;
	struct conf_list web_hosts;
	struct conf_list sandbox_allow;
	/* Limits */
	uint32_t	 silent_max, silent_ms;		/* before the first byte */
	uint32_t	 halfopen_max;
	uint32_t	 per_address, per_network;
	struct conf_list exempt;
	/* Retention, Quota */
	uint32_t	 lock_days;			/* minimum lock */
	uint64_t	 reserve_bytes;			/* disk that uploads may not touch */
};

/* Is this a server for others' backups? */
bool	conf_serves(const struct conf *c);
void	conf_defaults(struct conf *c);
/* Fill in what depends on other keys (Vaults, Advertise, ID). */
void	conf_finish(struct conf *c);
void	conf_put(struct wbuf *out, const struct conf *c);
int	conf_get(struct rbuf *in, struct conf *c);

/* Schema, for confparse, -T and the nearest-name hint. */
enum conf_type { CONF_BOOL, CONF_INT, CONF_PORT, CONF_STRING, CONF_SIZE,
	CONF_LIST, CONF_PORT_PAIR, CONF_MODE };
struct conf_key {
	const char	*path;		/* "Ports.Server" */
	enum conf_type	 type;
	size_t		 offset;
	int64_t		 min, max;	/* of numbers */
	bool		 reload;	/* SIGHUP changes it */
	const char	*hint;		/* what it may be, for errors */
};
extern const struct conf_key conf_keys[];
extern const size_t conf_keys_n;
/* Print one value as the file would spell it. */
void	conf_print(const struct conf *c, const struct conf_key *k,
	    char *out, size_t size);

#endif
