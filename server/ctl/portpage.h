#ifndef SERVER_CTL_PORTPAGE_H
#define SERVER_CTL_PORTPAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/conf.h"
#include "common/jsonread.h"
#include "server/addr.h"

/*
 * The port page of one installation: every port it may have, in a fixed order,
 * whether it is open here and why not, who is served, whether it must pass a
 * firewall and what it costs when it does not.  Numbers and state are those of
 * the running server (GET /api/v1/status), reasons and lists those of the
 * configuration.
 */
enum page_port {
	PAGE_SERVER, PAGE_SSL, PAGE_GUI, PAGE_WEB, PAGE_WEBSSL,
	PAGE_MCAST_REQ, PAGE_MCAST_ANS, PAGE_SCAN,
	PAGE_MAX
};

struct page_line {
	const char	*key, *protocol, *use;
	uint16_t	 port;
	enum { PAGE_OPEN, PAGE_CLOSED, PAGE_OFF } state;
	const char	*why;		/* of closed and off; "" */
	bool		 inherited;
	struct addr	 addr[CONF_LIST_MAX];	/* it is open on; port 0 */
	size_t		 naddr;
	const struct conf_list *access;	/* NULL: the link alone */
	const char	*pass;		/* must it pass a firewall or NAT? */
	const char	*cost;		/* what stops working when it is closed */
	char		 reach[16];	/* "" not asked, or as a peer sees it */
};

struct page {
	const struct conf *conf;
	struct page_line line[PAGE_MAX];
};

void	page_make(struct page *p, const struct conf *c,
	    const struct json_doc *status);
/* The answer of peers/X/reach into the lines. */
void	page_reach(struct page *p, const struct json_doc *reach);

void	page_print(const struct page *p, const char *from);
/* One line for each port that is open here and that the peer does not reach:
 * what is lost.  Returns how many. */
int	page_print_losses(const struct page *p, const char *from, FILE *f);

/* "any, 192.0.2.0/24" */
void	page_served(const struct page_line *l, char *out, size_t size);

#endif
