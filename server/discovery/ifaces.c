#include "config.h"

#include "server/discovery/ifaces.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "common/rc.h"

/* --- the table --- */

struct iface *
ifaces_find(struct ifaces *t, uint32_t index)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->v[i].index == index)
			return &t->v[i];
	return NULL;
}

/* An address may be told of before its link. */
static struct iface *
find_or_add(struct ifaces *t, uint32_t index)
{
	struct iface *i = ifaces_find(t, index);

	if (i != NULL)
		return i;
	if (t->n == IFACES_MAX) {
		t->left_out++;
		return NULL;
	}
	i = &t->v[t->n++];
	memset(i, 0, sizeof(*i));
	i->index = index;
	i->round = t->round;
	snprintf(i->name, sizeof(i->name), "%u", index);
	return i;
}

static void
iface_drop(struct ifaces *t, struct iface *i)
{
	*i = t->v[--t->n];
}

static struct iface_addr *
addr_find(struct iface *i, const struct addr *a)
{
	size_t k;

	for (k = 0; k < i->naddr; k++)
		if (addr_equal(&i->addr[k].a, a))
			return &i->addr[k];
	return NULL;
}

static void
addr_drop(struct iface *i, struct iface_addr *a)
{
	*a = i->addr[--i->naddr];
}

/* --- the messages --- */

/* The next attribute; false at the end.  *bad when the rest is none. */
static bool
next_attr(const uint8_t **p, size_t *left, uint16_t *type, const uint8_t **v,
    size_t *n, bool *bad)
{
	struct rtattr a;
	size_t step;

	if (*left == 0)
		return false;
	if (*left < sizeof(a)) {
		*bad = true;
		return false;
	}
	memcpy(&a, *p, sizeof(a));
	if (a.rta_len < sizeof(a) || a.rta_len > *left) {
		*bad = true;
		return false;
	}
	*type = a.rta_type & NLA_TYPE_MASK;
	*v = *p + sizeof(a);
	*n = a.rta_len - sizeof(a);
	step = RTA_ALIGN(a.rta_len);
	if (step > *left)
		step = *left;
	*p += step;
	*left -= step;
	return true;
}

static void
set_name(struct iface *i, const uint8_t *v, size_t n)
{
	size_t k;

	if (n > 0 && v[n - 1] == '\0')
		n--;
	if (n >= sizeof(i->name))
		n = sizeof(i->name) - 1;
	/* it goes into log lines */
	for (k = 0; k < n; k++)
		i->name[k] = v[k] > ' ' && v[k] < 0x7f ? (char)v[k] : '?';
	i->name[n] = '\0';
}

static int
on_link(struct ifaces *t, bool gone, const uint8_t *p, size_t n,
    unsigned int *what)
{
	struct ifinfomsg m;
	const uint8_t *name = NULL, *v;
	size_t name_len = 0, len;
	struct iface *i, before;
	bool bad = false;
	uint16_t type;

	if (n < sizeof(m))
		return RC_PROTO;
	memcpy(&m, p, sizeof(m));
	/* a bridge tells of its ports in the same kind of message */
	if (m.ifi_family != AF_UNSPEC)
		return RC_OK;
	if (m.ifi_index <= 0)
		return RC_PROTO;
	p += sizeof(m);
	n -= sizeof(m);
	while (next_attr(&p, &n, &type, &v, &len, &bad))
		if (type == IFLA_IFNAME) {
			name = v;
			name_len = len;
		}
	if (bad)
		return RC_PROTO;
	if (gone) {
		if ((i = ifaces_find(t, (uint32_t)m.ifi_index)) != NULL) {
			iface_drop(t, i);
			*what |= IFACES_CHANGED;
		}
		return RC_OK;
	}
	if ((i = find_or_add(t, (uint32_t)m.ifi_index)) == NULL)
		return RC_OK;
	before = *i;
	i->round = t->round;
	i->up = (m.ifi_flags & IFF_UP) != 0 &&
	    (m.ifi_flags & IFF_RUNNING) != 0;
	i->loopback = (m.ifi_flags & IFF_LOOPBACK) != 0;
	i->multicast = (m.ifi_flags & IFF_MULTICAST) != 0;
	if (name != NULL)
		set_name(i, name, name_len);
	if (i->up != before.up || i->loopback != before.loopback ||
	    i->multicast != before.multicast)
		*what |= IFACES_CHANGED;
	return RC_OK;
}

static bool
take_addr(struct addr *a, uint8_t family, const uint8_t *v, size_t n)
{
	memset(a, 0, sizeof(*a));
	a->family = family == AF_INET ? 4 : 6;
	if (n != (family == AF_INET ? 4u : 16u))
		return false;
	memcpy(a->b, v, n);
	return true;
}

static int
on_addr(struct ifaces *t, bool gone, const uint8_t *p, size_t n,
    unsigned int *what)
{
	bool bad = false, have = false, local = false, ready;
	struct iface_addr *old;
	struct ifaddrmsg m;
	struct iface *i;
	struct addr a;
	const uint8_t *v;
	uint32_t flags;
	uint16_t type;
	size_t len;

	if (n < sizeof(m))
		return RC_PROTO;
	memcpy(&m, p, sizeof(m));
	if (m.ifa_family != AF_INET && m.ifa_family != AF_INET6)
		return RC_OK;
	if (m.ifa_index == 0 || m.ifa_index > INT32_MAX ||
	    m.ifa_prefixlen > (m.ifa_family == AF_INET ? 32 : 128))
		return RC_PROTO;
	flags = m.ifa_flags;
	p += sizeof(m);
	n -= sizeof(m);
	while (next_attr(&p, &n, &type, &v, &len, &bad)) {
		/* on point-to-point links IFA_ADDRESS is the far end */
		if (type == IFA_LOCAL || (type == IFA_ADDRESS && !local)) {
			if (!take_addr(&a, m.ifa_family, v, len))
				return RC_PROTO;
			have = true;
			local = local || type == IFA_LOCAL;
		} else if (type == IFA_FLAGS) {
			if (len != sizeof(flags))
				return RC_PROTO;
			memcpy(&flags, v, sizeof(flags));
		}
	}
	if (bad || !have)
		return RC_PROTO;
	if (gone) {
		if ((i = ifaces_find(t, m.ifa_index)) != NULL &&
		    (old = addr_find(i, &a)) != NULL) {
			addr_drop(i, old);
			*what |= IFACES_CHANGED;
		}
		return RC_OK;
	}
	if ((i = find_or_add(t, m.ifa_index)) == NULL)
		return RC_OK;
	ready = (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) == 0 ||
	    (flags & IFA_F_OPTIMISTIC) != 0;
	if ((old = addr_find(i, &a)) == NULL) {
		if (i->naddr == IFACES_ADDRS_MAX) {
			t->left_out++;
			return RC_OK;
		}
		old = &i->addr[i->naddr++];
		memset(old, 0, sizeof(*old));
		*what |= IFACES_CHANGED;
	}
	if (old->ready != ready || old->bits != m.ifa_prefixlen)
		*what |= IFACES_CHANGED;
	*old = (struct iface_addr){ a, m.ifa_prefixlen, ready, t->round };
	return RC_OK;
}

/* What the dump did not name is not there any more. */
static void
sweep(struct ifaces *t, unsigned int *what)
{
	struct iface *i;
	size_t k, j;

	for (k = t->n; k-- > 0;) {
		i = &t->v[k];
		if (t->dumping == RTM_GETLINK && i->round != t->round) {
			iface_drop(t, i);
			*what |= IFACES_CHANGED;
			continue;
		}
		for (j = i->naddr; t->dumping == RTM_GETADDR && j-- > 0;)
			if (i->addr[j].round != t->round) {
				addr_drop(i, &i->addr[j]);
				*what |= IFACES_CHANGED;
			}
	}
}

static void
on_end(struct ifaces *t, const struct nlmsghdr *h, unsigned int *what)
{
	if (t->dumping == 0 || h->nlmsg_seq != t->seq)
		return;
	if (h->nlmsg_type == NLMSG_ERROR ||
	    (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0) {
		*what |= IFACES_AGAIN;
	} else {
		sweep(t, what);
		*what |= IFACES_DONE;
	}
	t->dumping = 0;
}

static int
on_message(struct ifaces *t, const struct nlmsghdr *h, const uint8_t *p,
    size_t n, unsigned int *what)
{
	if ((h->nlmsg_flags & NLM_F_DUMP_INTR) != 0)
		*what |= IFACES_AGAIN;
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return on_link(t, h->nlmsg_type == RTM_DELLINK, p, n, what);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return on_addr(t, h->nlmsg_type == RTM_DELADDR, p, n, what);
	case NLMSG_DONE:
	case NLMSG_ERROR:
		on_end(t, h, what);
		return RC_OK;
	case NLMSG_OVERRUN:
		*what |= IFACES_AGAIN;
		return RC_OK;
	default:
		return RC_OK;
	}
}

int
ifaces_read(struct ifaces *t, const uint8_t *p, size_t n, unsigned int *what)
{
	struct nlmsghdr h;
	size_t step;
	int rc;

	*what = 0;
	while (n > 0) {
		if (n < sizeof(h))
			return RC_PROTO;
		memcpy(&h, p, sizeof(h));
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > n)
			return RC_PROTO;
		if ((rc = on_message(t, &h, p + sizeof(h),
		    h.nlmsg_len - sizeof(h), what)) != RC_OK)
			return rc;
		step = NLMSG_ALIGN((size_t)h.nlmsg_len);
		if (step > n)
			step = n;
		p += step;
		n -= step;
	}
	return RC_OK;
}

void
ifaces_dump(struct ifaces *t, uint16_t type, struct wbuf *out)
{
	struct {
		struct nlmsghdr		h;
		union {
			struct ifinfomsg	link;
			struct ifaddrmsg	addr;
		}			m;
	} req;
	const size_t len = NLMSG_LENGTH(type == RTM_GETLINK ?
	    sizeof(req.m.link) : sizeof(req.m.addr));

	memset(&req, 0, sizeof(req));
	t->dumping = type;
	t->round++;
	req.h.nlmsg_len = (uint32_t)len;
	req.h.nlmsg_type = type;
	req.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	req.h.nlmsg_seq = ++t->seq;
	wbuf_bytes(out, &req, len);
}

/* --- what is asked of it --- */

static bool
in_prefix(const struct addr *a, uint32_t net, unsigned int bits)
{
	uint32_t v = (uint32_t)a->b[0] << 24 | (uint32_t)a->b[1] << 16 |
	    (uint32_t)a->b[2] << 8 | a->b[3];

	return (v ^ net) >> (32 - bits) == 0;
}

bool
iface_addr_private4(const struct addr *a)
{
	return a->family == 4 && (in_prefix(a, 0x0a000000, 8) ||
	    in_prefix(a, 0xac100000, 12) || in_prefix(a, 0xc0a80000, 16) ||
	    in_prefix(a, 0xa9fe0000, 16));
}

static bool
is_link6(const struct addr *a)
{
	return a->family == 6 && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

static bool
is_unique6(const struct addr *a)
{
	return a->family == 6 && (a->b[0] & 0xfe) == 0xfc;
}

static bool
can_talk(const struct iface *i)
{
	return i->up && i->multicast && !i->loopback;
}

const struct iface_addr *
iface_private4(const struct iface *i)
{
	size_t k;

	for (k = 0; can_talk(i) && k < i->naddr; k++)
		if (i->addr[k].ready && iface_addr_private4(&i->addr[k].a))
			return &i->addr[k];
	return NULL;
}

const struct iface_addr *
iface_link6(const struct iface *i)
{
	const struct iface_addr *link = NULL;
	bool private = false, public = false;
	const struct addr *a;
	size_t k;

	for (k = 0; can_talk(i) && k < i->naddr; k++) {
		a = &i->addr[k].a;
		if (is_link6(a)) {
			if (i->addr[k].ready && link == NULL)
				link = &i->addr[k];
		} else if (iface_addr_private4(a) || is_unique6(a)) {
			private = true;
		} else {
			public = true;
		}
	}
	return private || !public ? link : NULL;
}

bool
iface_only_public(const struct iface *i)
{
	return can_talk(i) && i->naddr > 0 && iface_private4(i) == NULL &&
	    iface_link6(i) == NULL;
}

static bool
on_link4(const struct iface_addr *own, const struct addr *a)
{
	uint32_t mine, v, host;

	mine = (uint32_t)own->a.b[0] << 24 | (uint32_t)own->a.b[1] << 16 |
	    (uint32_t)own->a.b[2] << 8 | own->a.b[3];
	v = (uint32_t)a->b[0] << 24 | (uint32_t)a->b[1] << 16 |
	    (uint32_t)a->b[2] << 8 | a->b[3];
	if (own->bits == 0 || own->bits >= 32)
		return own->bits == 32 && v == mine;
	host = UINT32_MAX >> own->bits;
	if (((v ^ mine) & ~host) != 0)
		return false;
	/* RFC 3021: a prefix of 31 bits has two hosts and nothing else */
	return own->bits == 31 || ((v & host) != 0 && (v & host) != host);
}

bool
iface_on_link(const struct iface *i, const struct addr *a)
{
	size_t k;

	if (a->family == 6)
		return is_link6(a);
	for (k = 0; a->family == 4 && k < i->naddr; k++)
		if (iface_addr_private4(&i->addr[k].a) &&
		    on_link4(&i->addr[k], a))
			return true;
	return false;
}

bool
iface_is_own(const struct iface *i, const struct addr *a)
{
	size_t k;

	for (k = 0; k < i->naddr; k++)
		if (i->addr[k].a.family == a->family &&
		    memcmp(i->addr[k].a.b, a->b, sizeof(a->b)) == 0)
			return true;
	return false;
}
