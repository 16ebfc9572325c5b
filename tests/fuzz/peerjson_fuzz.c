#include "config.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/rc.h"
#include "server/discovery/peerjson.h"
#include "tests/fuzz/fuzz.h"

/* What was taken is written, and must be taken again as the same. */
static void
entries(const struct json_doc *d)
{
	static struct peer_entry e[TASK_ENTRIES_MAX], f[TASK_ENTRIES_MAX];
	struct wbuf out = WBUF_INIT(1u << 17);
	struct json_doc *again;
	struct json j;
	size_t i, n, m;

	if (peerjson_get_entries(d, json_root(d), "peers", e, TASK_ENTRIES_MAX,
	    &n) != RC_OK)
		return;
	MUST(n <= TASK_ENTRIES_MAX);
	json_init(&j, &out);
	json_object(&j, NULL);
	json_array(&j, "peers");
	for (i = 0; i < n; i++) {
		MUST(peer_id_ok(e[i].info.id) && e[i].info.port_gui != 0);
		peerjson_put_entry(&j, &e[i]);
	}
	json_end_array(&j);
	json_end(&j);
	/* all of them fit into what an answer may hold */
	MUST(wbuf_rc(&out) == RC_OK && out.len <= 65536);
	MUST(json_parse((char *)out.data, out.len, PEERJSON_VALUES_MAX,
	    &again) == RC_OK);
	MUST(peerjson_get_entries(again, json_root(again), "peers", f,
	    TASK_ENTRIES_MAX, &m) == RC_OK && m == n);
	for (i = 0; i < n; i++) {
		MUST(memcmp(&e[i].info.identity, &f[i].info.identity, 64) == 0);
		MUST(strcmp(e[i].info.id, f[i].info.id) == 0);
		MUST(addr_equal(&e[i].addr, &f[i].addr));
	}
	json_free(again);
	wbuf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct peer_reach reach[TASK_PORTS_MAX];
	uint16_t ports[TASK_PORTS_MAX];
	struct peer_info info;
	struct json_doc *d;
	uint8_t hex[64];
	size_t n;

	if (json_parse((const char *)data, size, PEERJSON_VALUES_MAX, &d) !=
	    RC_OK)
		return 0;
	if (peerjson_get_info(d, json_root(d), &info) == RC_OK)
		MUST(peer_id_ok(info.id) && info.port_gui != 0 &&
		    info.interval != 0);
	(void)peerjson_get_hex(d, json_root(d), "binding", hex, sizeof(hex));
	if (peerjson_get_ports(d, json_root(d), "ports", ports, &n) == RC_OK)
		MUST(n >= 1 && n <= TASK_PORTS_MAX && ports[0] != 0);
	if (peerjson_get_reach(d, json_root(d), "ports", reach, &n) == RC_OK)
		MUST(n <= TASK_PORTS_MAX);
	entries(d);
	json_free(d);
	return 0;
}
