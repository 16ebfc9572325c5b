#include "config.h"

#include "server/master/master.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"

/*
 * SIGHUP: whole or not at all.  confparse runs beside everything else; only
 * when its answer passed every check are values taken over.
 */
#define VALUE_MAX	(CONF_LIST_MAX * 72 + CONF_STR_MAX)

static void
finish(struct master *m)
{
	confload_free(m->reload);
	m->reload = NULL;
	notify_send(&m->notify, "READY=1\n");
	if (m->reload_again) {
		m->reload_again = false;
		reload_begin(m);
	}
}

void
reload_begin(struct master *m)
{
	struct conf_load l = {
		.path = m->conf_path,
		.self = ROLE_MASTER,
		.change_ids = true,
		.uid = m->uid[ROLE_CONFPARSE],
		.gid = m->gid[ROLE_CONFPARSE],
		.empty = m->empty,
		.spawner = m->spawner,
	};
	char err[CONFLOAD_ERR_MAX] = "";

	if (m->phase != PHASE_START && m->phase != PHASE_UP)
		return;
	if (m->reload != NULL) {
		m->reload_again = true;
		return;
	}
	notify_reloading(&m->notify);
	if (confload_start(&m->reload, &l, err, sizeof(err)) != RC_OK) {
		log_err("reload-refused reason=\"%.900s\"", err);
		finish(m);
		return;
	}
	m->reload_until = loop_now() + CONFLOAD_TIMEOUT_MS;
	reload_step(m);
}

static size_t
value_size(const struct conf_key *k)
{
	switch (k->type) {
	case CONF_BOOL:
		return sizeof(bool);
	case CONF_MODE:
		return sizeof(uint8_t);
	case CONF_INT:
		return sizeof(uint32_t);
	case CONF_PORT:
		return sizeof(uint16_t);
	case CONF_PORT_PAIR:
		return 2 * sizeof(uint16_t);
	case CONF_SIZE:
		return sizeof(uint64_t);
	case CONF_STRING:
		return (size_t)k->max + 1;
	case CONF_LIST:
		return sizeof(struct conf_list);
	}
	return 0;
}

/* Take over what may change; name what may not. */
static void
take_over(struct master *m, const struct conf *new)
{
	const struct conf_key *k;
	char before[VALUE_MAX], after[VALUE_MAX];
	unsigned int changed = 0;
	size_t i;

	for (i = 0; i < conf_keys_n; i++) {
		k = &conf_keys[i];
		conf_print(&m->conf, k, before, sizeof(before));
		conf_print(new, k, after, sizeof(after));
		if (strcmp(before, after) == 0)
			continue;
		if (!k->reload) {
			log_warn("reload key=%s needs a restart; still %.300s",
			    k->path, before);
			continue;
		}
		memcpy((char *)&m->conf + k->offset,
		    (const char *)new + k->offset, value_size(k));
		log_notice("reload key=%s value=%.600s", k->path, after);
		changed++;
	}
	log_notice("reloaded changed=%u", changed);
}

static void
tell_roles(struct master *m)
{
	static const struct {
		enum role	role;
		enum msg_type	type;
	} who[] = {
		{ ROLE_LISTENER, MSG_POLICY },
		{ ROLE_AUTH, MSG_AUTH_CONF },
		{ ROLE_CATALOG, MSG_CATALOG_CONF },
		{ ROLE_MCAST, MSG_CATALOG_CONF },
		{ ROLE_SCAN, MSG_CATALOG_CONF },
	};
	struct wbuf body = WBUF_INIT(65536);
	size_t i;

	for (i = 0; i < NITEMS(who); i++) {
		if (!svc_live(m, who[i].role))
			continue;
		wbuf_reset(&body);
		conf_put(&body, &m->conf);
		proc_send(svc_proc(m, who[i].role), who[i].type, &body, -1);
	}
	wbuf_free(&body);
	/* idle api workers have the old one */
	pool_replace_idle(m);
}

void
reload_step(struct master *m)
{
	struct conf new;
	char err[CONFLOAD_ERR_MAX] = "";
	int rc;

	if (m->reload == NULL)
		return;
	rc = confload_step(m->reload, &new, err, sizeof(err));
	if (rc == RC_AGAIN)
		return;
	if (rc == RC_OK) {
		/* Silence about it means what the start found. */
		if (new.programs[0] == '\0')
			memcpy(new.programs, m->conf.programs,
			    sizeof(new.programs));
		conf_finish(&new);
		rc = config_check(&new, err, sizeof(err));
	}
	if (rc == RC_OK) {
		take_over(m, &new);
		tell_roles(m);
		audit(m, "reload", m->conf.id, "");
	} else {
		log_err("reload-refused reason=\"%.900s\"", err);
	}
	finish(m);
}

void
reload_tick(struct master *m)
{
	if (m->reload == NULL)
		return;
	if (m->reload_until > loop_now()) {
		loop_due(m->reload_until);
		return;
	}
	kill(confload_pid(m->reload), SIGKILL);
	log_err("reload-refused reason=\"confparse took too long\"");
	finish(m);
}
