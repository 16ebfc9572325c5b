#include "config.h"

#include <linux/rtnetlink.h>
#include <string.h>

#include "common/rc.h"
#include "server/discovery/walk.h"
#include "tests/fuzz/fuzz.h"

/* Datagrams of a NETLINK_ROUTE socket: length u16 (of this machine), bytes. */

static void
skipped(const struct iface *i, const struct iface_addr *a)
{
	MUST(i->name[0] != '\0' || i->index != 0);
	MUST(a->bits < WALK_BITS_MIN);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wbuf b = WBUF_INIT(64);
	static struct ifaces t;
	struct walk w;
	struct addr a;
	unsigned int what;
	uint32_t index;
	uint16_t n;
	size_t i;

	memset(&t, 0, sizeof(t));
	ifaces_dump(&t, RTM_GETLINK, &b);
	while (size >= sizeof(n)) {
		memcpy(&n, data, sizeof(n));
		data += sizeof(n);
		size -= sizeof(n);
		if (n > size)
			n = (uint16_t)size;
		(void)ifaces_read(&t, data, n, &what);
		if ((what & IFACES_DONE) != 0) {
			wbuf_reset(&b);
			ifaces_dump(&t, RTM_GETADDR, &b);
		}
		data += n;
		size -= n;
	}
	MUST(t.n <= IFACES_MAX);
	for (i = 0; i < t.n; i++) {
		MUST(t.v[i].naddr <= IFACES_ADDRS_MAX);
		MUST(memchr(t.v[i].name, '\0', sizeof(t.v[i].name)) != NULL);
		(void)iface_private4(&t.v[i]);
		(void)iface_link6(&t.v[i]);
		(void)iface_only_public(&t.v[i]);
	}
	walk_begin(&w, &t, skipped);
	for (i = 0; walk_next(&w, &t, &a, &index); i++)
		MUST(i < (size_t)WALK_MAX * 1024);
	wbuf_free(&b);
	return 0;
}
