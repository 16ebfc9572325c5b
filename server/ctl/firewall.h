#ifndef SERVER_CTL_FIREWALL_H
#define SERVER_CTL_FIREWALL_H

#include <stdio.h>

#include "server/ctl/portpage.h"

/*
 * Rules for the ports of a page, as text for somebody to read and then load;
 * nothing here changes anything.  `host` is the address of this machine that a
 * router forwards to.
 */
typedef void firewall_fn(FILE *f, const struct page *p, const char *host);

/* "nft", "ufw", "firewalld", "nat"; NULL for another. */
firewall_fn *firewall_kind(const char *name);

/*
 * Networks without overlap, of one family: from where (Access) or to where
 * (Listen) a port is to be let through.  `any` and an empty list: all; not any
 * and an empty list: none.
 */
#define NETSET_MAX	(2 * CONF_LIST_MAX)
struct netset {
	bool	any;
	size_t	n;
	char	text[NETSET_MAX][ADDR_TEXT_MAX + 4];
	struct addr_net v[NETSET_MAX];
};
/* Loopback is left out: no firewall is asked for it. */
void	netset_sources(struct netset *s, const struct page_line *l,
	    uint8_t family);
void	netset_targets(struct netset *s, const struct page_line *l,
	    uint8_t family);
/* The private and link-local networks of a family. */
void	netset_private(struct netset *s, uint8_t family);
/* "{ 10.0.0.0/8, 192.0.2.1 }" */
void	netset_print(FILE *f, const struct netset *s);

/* The multicast group of discovery. */
#define GROUP_4		"239.255.63.63"
#define GROUP_6		"ff02::5347:6363"

/* What is told above the rules of any kind. */
void	firewall_head(FILE *f, const struct page *p, const char *kind);
/* "# Ports.GUI, tcp 32005: management; served: private", and whether there is
 * anything to let in. */
bool	firewall_line(FILE *f, const struct page_line *l, const char *indent);

firewall_fn firewall_nft, firewall_ufw, firewall_firewalld, firewall_nat;

#endif
