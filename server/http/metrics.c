#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/http/catask.h"
#include "server/http/om.h"
#include "server/http/status.h"

/*
 * /metrics.  Samples of one family stand together, and the catalog tells client
 * by client, so its rows are kept until all have come.
 */
#define CLIENTS_MAX	100000

struct metrics {
	struct cat_client	*clients;
	struct cat_space	*spaces;
	size_t			 nclients, nspaces;
	struct cat_totals	 totals;
	bool			 have_totals;
	unsigned int		 procs[ROLE_MAX];
	struct status_end	 end;
};

/* Room for one more of these. */
static int
grow(void *array, size_t n, size_t size)
{
	void **v = array, *p;

	if (n >= CLIENTS_MAX)
		return RC_LIMIT;
	if (n != 0 && (n < 64 || (n & (n - 1)) != 0))
		return RC_OK;
	if ((p = reallocarray(*v, n < 64 ? 64 : 2 * n, size)) == NULL)
		return RC_NOMEM;
	*v = p;
	return RC_OK;
}

static int
keep_row(struct api *a, void *arg, uint8_t kind, struct rbuf *in)
{
	struct metrics *m = arg;
	int rc;

	(void)a;
	switch (kind) {
	case CAT_ROW_CLIENT:
		if ((rc = grow(&m->clients, m->nclients,
		    sizeof(*m->clients))) != RC_OK)
			return rc;
		return cat_client_get(in, &m->clients[m->nclients++]);
	case CAT_ROW_SPACE:
		if ((rc = grow(&m->spaces, m->nspaces,
		    sizeof(*m->spaces))) != RC_OK)
			return rc;
		return cat_space_get(in, &m->spaces[m->nspaces++]);
	case CAT_ROW_TOTALS:
		m->have_totals = true;
		return cat_totals_get(in, &m->totals);
	default:
		return RC_PROTO;
	}
}

static int
keep_status(struct api *a, void *arg, uint16_t type, struct rbuf *in)
{
	struct metrics *m = arg;
	uint8_t role;
	int rc;

	(void)a;
	if (type == MSG_STATUS_END)
		return status_end_get(in, &m->end);
	if (type == MSG_STATUS_PROC) {
		if ((rc = rbuf_u8(in, &role)) != RC_OK)
			return rc;
		if (role < ROLE_MAX)
			m->procs[role]++;
	}
	return RC_OK;
}

static void
since(struct wbuf *out, const char *name, const struct om_label *labels,
    size_t n, int64_t then)
{
	int64_t now = (int64_t)time(NULL);

	if (then == 0)
		om_never(out, name, labels, n);
	else
		om_sample(out, name, labels, n,
		    then < now ? (uint64_t)(now - then) : 0);
}

static const struct {
	const char	*name, *unit, *help;
	size_t		 offset;
	enum { SINCE, U64, U32 } kind;
} client_values[] = {
#define AT(x) offsetof(struct cat_client, x)
	{ "storegrid_client_last_good_seconds", "seconds",
	    "Seconds since the last good backup; +Inf: there is none.",
	    AT(last_good), SINCE },
	{ "storegrid_client_last_run_seconds", "seconds",
	    "Seconds since the last run began; +Inf: there was none.",
	    AT(last_run), SINCE },
	{ "storegrid_client_seen_seconds", "seconds",
	    "Seconds since the client was connected; +Inf: never.",
	    AT(seen), SINCE },
	{ "storegrid_client_vault_bytes", "bytes",
	    "Bytes of the client's vault on disk.", AT(bytes), U64 },
	{ "storegrid_client_last_new_bytes", "bytes",
	    "Bytes that the last run added.", AT(new_bytes), U64 },
	{ "storegrid_client_snapshots", NULL,
	    "Snapshots in the client's vault.", AT(snapshots), U32 },
#undef AT
};

static void
put_client_value(struct wbuf *out, const struct cat_client *c, size_t i)
{
	const char *at = (const char *)c + client_values[i].offset;
	const struct om_label labels[] = {
		{ "account", c->account }, { "client", c->name },
	};
	uint64_t v64 = 0;
	uint32_t v32;
	int64_t t;

	switch (client_values[i].kind) {
	case SINCE:
		memcpy(&t, at, sizeof(t));
		since(out, client_values[i].name, labels, 2, t);
		return;
	case U64:
		memcpy(&v64, at, sizeof(v64));
		break;
	case U32:
		memcpy(&v32, at, sizeof(v32));
		v64 = v32;
		break;
	}
	om_sample(out, client_values[i].name, labels, 2, v64);
}

static void
put_states(struct wbuf *out, const struct metrics *m)
{
	static const char name[] = "storegrid_client_state";
	size_t i;
	uint8_t s;

	om_family(out, name, NULL,
	    "1 for the state that the client is in, 0 for the others.");
	for (i = 0; i < m->nclients; i++)
		for (s = 0; s < CAT_STATE_MAX; s++) {
			const struct om_label labels[] = {
				{ "account", m->clients[i].account },
				{ "client", m->clients[i].name },
				{ "state", cat_state_word(s) },
			};

			om_sample(out, name, labels, 3,
			    m->clients[i].status == s);
		}
}

static void
put_clients(struct wbuf *out, const struct metrics *m)
{
	size_t i, k;

	for (k = 0; k < NITEMS(client_values); k++) {
		om_family(out, client_values[k].name, client_values[k].unit,
		    client_values[k].help);
		for (i = 0; i < m->nclients; i++)
			put_client_value(out, &m->clients[i], k);
	}
	put_states(out, m);
}

static void
put_spaces(struct wbuf *out, const struct metrics *m)
{
	static const char free_[] = "storegrid_vault_fs_free_bytes";
	static const char size[] = "storegrid_vault_fs_size_bytes";
	size_t i;
	int pass;

	for (pass = 0; pass < 2; pass++) {
		om_family(out, pass == 0 ? free_ : size, "bytes", pass == 0 ?
		    "Free bytes of the file system that holds the vault." :
		    "Bytes of the file system that holds the vault.");
		for (i = 0; i < m->nspaces; i++) {
			const struct cat_space *s = &m->spaces[i];
			const struct om_label labels[] = {
				{ "account", s->account },
				{ "client", s->name },
			};

			om_sample(out, pass == 0 ? free_ : size, labels, 2,
			    pass == 0 ? s->fs_free : s->fs_total);
		}
	}
}

static void
put_one(struct wbuf *out, const char *name, const char *unit,
    const char *help, uint64_t v)
{
	om_family(out, name, unit, help);
	om_sample(out, name, NULL, 0, v);
}

static void
put_totals(struct wbuf *out, const struct cat_totals *t)
{
	put_one(out, "storegrid_clients", NULL, "Clients.", t->clients);
	put_one(out, "storegrid_clients_protected", NULL,
	    "Clients whose last good backup is not overdue.", t->protected_);
	put_one(out, "storegrid_runs_running", NULL, "Runs under way.",
	    t->running);
	put_one(out, "storegrid_alerts", NULL, "Open alerts.", t->alerts);
	put_one(out, "storegrid_vaults_bytes", "bytes",
	    "Bytes of all vaults on disk.", t->bytes);
	put_one(out, "storegrid_fs_free_bytes", "bytes",
	    "Free bytes of the fullest file system that holds vaults.",
	    t->free);
	put_one(out, "storegrid_fs_size_bytes", "bytes",
	    "Bytes of the fullest file system that holds vaults.", t->total);
}

static void
put_server(struct wbuf *out, const struct api *a, const struct metrics *m)
{
	const struct om_label info[] = {
		{ "version", m->end.version }, { "id", m->end.id },
		{ "mode", cat_mode_word(a->conf.mode) },
	};
	unsigned int r;

	om_family(out, "storegrid_server_info", NULL,
	    "Always 1; the labels tell what runs here.");
	om_sample(out, "storegrid_server_info", info, NITEMS(info), 1);
	om_family(out, "storegrid_server_up_seconds", "seconds",
	    "Seconds since the server was started.");
	since(out, "storegrid_server_up_seconds", NULL, 0, m->end.started);
	put_one(out, "storegrid_sessions", NULL, "Clients connected now.",
	    m->end.sessions);
	om_family(out, "storegrid_processes", NULL,
	    "Processes of the server by their role.");
	for (r = 0; r < ROLE_MAX; r++) {
		struct om_label role = { "role", role_name((enum role)r) };

		if (m->procs[r] > 0)
			om_sample(out, "storegrid_processes", &role, 1,
			    m->procs[r]);
	}
}

int
api_metrics(struct api *a)
{
	struct metrics m = { 0 };
	int status;

	if ((status = cat_ask(a, CAT_OP_METRICS, NULL, keep_row, &m)) ==
	    200 && (status = status_ask(a, keep_status, &m)) == 200) {
		wbuf_reset(&a->answer);
		put_clients(&a->answer, &m);
		put_spaces(&a->answer, &m);
		if (m.have_totals)
			put_totals(&a->answer, &m.totals);
		put_server(&a->answer, a, &m);
		om_end(&a->answer);
		a->type = ANSWER_METRICS;
	}
	free(m.clients);
	free(m.spaces);
	return status;
}
