#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/json.h"
#include "server/ctl/ctl.h"

/*
 * What is in force for each process, read from /proc and not from our own code.
 * Every thread is looked at: capabilities, no_new_privs and filters belong to a
 * thread.
 */
struct view {
	char		user[64], root[256];
	char		caps[4][20];		/* Inh Prm Eff Bnd Amb, without Bnd */
	int		seccomp, filters, no_new_privs;
	int		threads;
	bool		threads_agree;
	const char	*dumpable;		/* "no", "yes", "unknown" */
	unsigned	uid;
};

static const char *const cap_lines[4] = {
	"CapInh:", "CapPrm:", "CapEff:", "CapAmb:",
};

struct task {
	char	caps[4][20];
	int	seccomp, filters, no_new_privs;
	unsigned uid;
};

static bool
read_status(const char *path, struct task *t)
{
	char line[256];
	FILE *f;
	int i;

	memset(t, 0, sizeof(*t));
	t->seccomp = t->filters = t->no_new_privs = -1;
	if ((f = fopen(path, "re")) == NULL)
		return false;
	while (fgets(line, sizeof(line), f) != NULL) {
		for (i = 0; i < 4; i++)
			if (strncmp(line, cap_lines[i], 7) == 0)
				sscanf(line + 7, "%19s", t->caps[i]);
		sscanf(line, "Uid: %u", &t->uid);
		sscanf(line, "Seccomp: %d", &t->seccomp);
		sscanf(line, "Seccomp_filters: %d", &t->filters);
		sscanf(line, "NoNewPrivs: %d", &t->no_new_privs);
	}
	fclose(f);
	return true;
}

static bool
same_task(const struct task *a, const struct task *b)
{
	return memcmp(a->caps, b->caps, sizeof(a->caps)) == 0 &&
	    a->seccomp == b->seccomp && a->filters == b->filters &&
	    a->no_new_privs == b->no_new_privs && a->uid == b->uid;
}

/* The files below /proc/PID belong to root when a process is undumpable, so for
 * uid 0 they tell nothing (proc(5)). */
static const char *
dumpable(long pid, unsigned uid)
{
	char path[64];
	struct stat sb;

	snprintf(path, sizeof(path), "/proc/%ld/maps", pid);
	if (uid == 0 || stat(path, &sb) == -1)
		return "unknown";
	return sb.st_uid == 0 ? "no" : "yes";
}

static bool
look(long pid, struct view *v)
{
	char path[320];
	struct task first, t;
	struct passwd *pw;
	struct dirent *e;
	ssize_t n;
	DIR *d;

	memset(v, 0, sizeof(*v));
	snprintf(path, sizeof(path), "/proc/%ld/status", pid);
	if (!read_status(path, &first))
		return false;
	v->threads_agree = true;
	snprintf(path, sizeof(path), "/proc/%ld/task", pid);
	if ((d = opendir(path)) == NULL)
		return false;
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%ld/task/%.20s/status", pid,
		    e->d_name);
		if (!read_status(path, &t))
			continue;
		v->threads++;
		if (!same_task(&first, &t))
			v->threads_agree = false;
	}
	closedir(d);
	memcpy(v->caps, first.caps, sizeof(v->caps));
	v->seccomp = first.seccomp;
	v->filters = first.filters;
	v->no_new_privs = first.no_new_privs;
	v->uid = first.uid;
	v->dumpable = dumpable(pid, first.uid);
	if ((pw = getpwuid(first.uid)) != NULL)
		snprintf(v->user, sizeof(v->user), "%s", pw->pw_name);
	else
		snprintf(v->user, sizeof(v->user), "%u", first.uid);
	snprintf(path, sizeof(path), "/proc/%ld/root", pid);
	n = readlink(path, v->root, sizeof(v->root) - 1);
	if (n < 0)
		snprintf(v->root, sizeof(v->root), "?");
	return true;
}

static unsigned long long
caps_of(const struct view *v)
{
	unsigned long long all = 0;
	int i;

	for (i = 0; i < 4; i++)
		all |= strtoull(v->caps[i], NULL, 16);
	return all;
}

static void
print_text(const char *role, long pid, const struct view *v)
{
	ctl_print(role, 11);
	printf("%-8ld", pid);
	ctl_print(v->user, 24);
	if (caps_of(v) == 0)
		printf("none      ");
	else
		printf("%-10llx", caps_of(v));
	printf("%-9s%-8d%-5s%-10s%-8d", v->seccomp == 2 ? "filter" :
	    v->seccomp == 0 ? "OFF" : "?", v->filters,
	    v->no_new_privs == 1 ? "yes" : "NO", v->dumpable, v->threads);
	ctl_print(v->root, 0);
	printf("%s\n", v->threads_agree ? "" : "  THREADS DIFFER");
}

static void
print_json(struct json *j, const char *role, long pid, const struct view *v)
{
	json_object(j, NULL);
	json_put_str(j, "role", role);
	json_put_i64(j, "pid", pid);
	json_put_str(j, "user", v->user);
	json_put_u64(j, "uid", v->uid);
	json_put_str(j, "root", v->root);
	json_put_str(j, "cap_inheritable", v->caps[0]);
	json_put_str(j, "cap_permitted", v->caps[1]);
	json_put_str(j, "cap_effective", v->caps[2]);
	json_put_str(j, "cap_ambient", v->caps[3]);
	json_put_i64(j, "seccomp", v->seccomp);
	json_put_i64(j, "filters", v->filters);
	json_put_bool(j, "no_new_privs", v->no_new_privs == 1);
	json_put_str(j, "dumpable", v->dumpable);
	json_put_i64(j, "threads", v->threads);
	json_put_bool(j, "threads_agree", v->threads_agree);
	json_end(j);
}

int
ctl_sandbox(struct ctl *c, int argc, char **argv)
{
	struct wbuf out = WBUF_INIT(8u << 20);
	struct json_doc *doc;
	const struct json_value *v;
	struct view view;
	struct json j;
	bool json = c->json;
	int code;

	(void)argc;
	(void)argv;
	if (geteuid() != 0) {
		fprintf(stderr, "storegridctl: sandbox reads other users' "
		    "entries in /proc: run it as root\n");
		return CTL_FAILED;
	}
	c->json = false;	/* what we print is ours, not the server's text */
	if ((code = ctl_call(c, "GET", "/api/v1/status", NULL, &doc)) != CTL_OK)
		return code;
	json_init(&j, &out);
	json_object(&j, NULL);
	json_array(&j, "processes");
	if (!json)
		printf("ROLE       PID     USER                    CAPS      "
		    "SECCOMP  FILTERS NNP  DUMPABLE  THREADS ROOT\n");
	v = json_get(doc, json_root(doc), "processes");
	for (v = json_first(doc, v); v != NULL; v = json_next(doc, v)) {
		long pid = (long)json_int(doc, v, "pid", 0);

		if (!look(pid, &view))
			continue;	/* it ended meanwhile */
		if (json)
			print_json(&j, json_string(doc, v, "role", "?"), pid,
			    &view);
		else
			print_text(json_string(doc, v, "role", "?"), pid, &view);
	}
	json_end_array(&j);
	json_end(&j);
	if (json)
		printf("%.*s\n", (int)out.len, (const char *)out.data);
	wbuf_free(&out);
	json_free(doc);
	return CTL_OK;
}
