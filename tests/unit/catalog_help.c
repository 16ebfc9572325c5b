#include "config.h"

#include "tests/unit/catalog_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "server/auth/admin.h"

static void
no_log(enum log_level level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

void
place_make(struct place *p)
{
	log_set_sink(no_log, NULL);
	strcpy(p->dir, "/tmp/sg-catalog-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/catalog.db", p->dir);
}

void
place_clear(struct place *p)
{
	static const char *const files[] = { "", "-wal", "-shm", "-journal" };
	char path[96];

	for (size_t i = 0; i < NITEMS(files); i++) {
		snprintf(path, sizeof(path), "%s%s", p->path, files[i]);
		unlink(path);
	}
	rmdir(p->dir);
}

void
help_client(struct catalog *c, uint8_t id, uint8_t vault, const char *name,
    uint8_t state)
{
	struct client_row r = { .state = state, .created = NOW - 1000,
	    .seen = NOW };

	strcpy(r.account, "acme");
	snprintf(r.name, sizeof(r.name), "%s", name);
	memset(r.client, id, sizeof(r.client));
	memset(r.vault, vault, sizeof(r.vault));
	assert_int_equal(client_put(c, &r), RC_OK);
}

void
help_run(struct catalog *c, uint8_t client, uint8_t vault, uint8_t run,
    enum feed_run_state state)
{
	struct feed_run f = { .state = (uint8_t)state, .started = c->now,
	    .now = c->now, .objects = 7, .received = 700 };
	uint8_t v[16];

	memset(v, vault, sizeof(v));
	memset(f.run, run, sizeof(f.run));
	memset(f.client, client, sizeof(f.client));
	assert_int_equal(run_feed(c, v, &f), RC_OK);
}

void
help_snapshot(struct catalog *c, uint8_t client, uint8_t vault, uint8_t run,
    uint64_t seq, int64_t at, uint16_t flags)
{
	struct feed_snapshot f = { .flags = flags, .vault_seq = seq,
	    .wall_ns = at * 1000000000, .new_bytes = 11, .closure_bytes = 99 };
	uint8_t v[16];

	memset(v, vault, sizeof(v));
	memset(f.run, run, sizeof(f.run));
	memset(f.client, client, sizeof(f.client));
	memset(f.id.b, 0x40, sizeof(f.id.b));
	memcpy(f.id.b, &seq, sizeof(seq));
	strcpy(f.label, "home");
	assert_int_equal(run_snapshot(c, v, &f), RC_OK);
}

int64_t
help_column(struct catalog *c, uint8_t client, const char *column)
{
	char sql[128];
	uint8_t id[16];

	memset(id, client, sizeof(id));
	snprintf(sql, sizeof(sql), "SELECT %s FROM client WHERE client = ?",
	    column);
	return cat_number(c, -1, sql, "b", id);
}

int64_t
help_status(struct catalog *c, uint8_t client)
{
	return help_column(c, client, "status");
}

int64_t
help_alerts(struct catalog *c, enum alert_kind kind)
{
	return cat_number(c, -1, "SELECT count(*) FROM alert WHERE kind = ?",
	    "i", (int64_t)kind);
}

struct addr
help_addr(const char *text, uint16_t port)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, text), RC_OK);
	a.port = port;
	return a;
}

struct peer_info
help_info(uint32_t number, const char *id)
{
	struct peer_info p = { .mode = CONF_MODE_BOTH, .port_server = 32004,
	    .port_gui = 32005, .interval = 60 };

	memset(p.identity, 0x77, sizeof(p.identity));
	memcpy(p.identity, &number, sizeof(number));
	memset(p.pin, 0x33, sizeof(p.pin));
	snprintf(p.id, sizeof(p.id), "%s", id);
	return p;
}
