#ifndef SERVER_CTL_CTL_H
#define SERVER_CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/json.h"
#include "common/jsonread.h"

/*
 * storegridctl: the administrator's command.  It speaks HTTP and JSON to the api
 * workers over Run/control.sock, whose file mode is the permission; it needs no
 * other right (sandbox reads /proc, and wants root for that).
 */
struct ctl {
	struct conf	 conf;		/* of the installation named by -f */
	bool		 json;		/* print what came, as it came */
	const char	*host;		/* --host */
	const char	*right;		/* --right, one of the three words */
	const char	*fingerprint;	/* --fingerprint */
	const char	*label;		/* --name */
	const char	*from;		/* --from */
	long		 expires;	/* --expires in seconds, 0 not given */
	bool		 after_given;
	uint64_t	 after;		/* --after */
	uint32_t	 lines;		/* --lines, 0 not given */
};

enum ctl_exit { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_UNREACHABLE = 10 };

#define CTL_PATH_MAX	1024
#define CTL_LINES	50		/* of runs and audit without --lines */
#define CTL_LINES_MAX	1000		/* as the server has it */

/*
 * One call.  body may be NULL.  On a good answer the document is the caller's
 * (NULL when the answer had no body); otherwise a sentence is printed on stderr
 * and the exit code returned.  ctl_call() also prints the text of a good answer
 * with --json; ctl_ask() never does.
 */
int	ctl_call(struct ctl *c, const char *method, const char *path,
	    const char *body, struct json_doc **doc);
int	ctl_ask(struct ctl *c, const char *method, const char *path,
	    const char *body, struct json_doc **doc);

/* "/api/v1/BASE" and the segments up to NULL, %-encoded; CTL_USAGE and a
 * sentence when it does not fit or a segment is empty. */
int	ctl_path(char path[CTL_PATH_MAX], const char *base, ...)
	    __attribute__((sentinel));
/* "?name=value", or "&" for the next; the path is cut short if too long. */
void	ctl_query_str(char path[CTL_PATH_MAX], const char *name,
	    const char *value);
void	ctl_query_u64(char path[CTL_PATH_MAX], const char *name, uint64_t v);
/* The object being written in j ends: its text, valid until the wbuf is freed;
 * NULL and a sentence when something did not fit. */
const char *ctl_body_end(struct json *j);

/* Each element of the answer's array `rows` as a line, unless --json printed
 * it; `none` is what to say when there is no element. */
struct ctl_table {
	const char	*path, *rows, *none, *head;
	void		(*print)(const struct json_doc *d,
			    const struct json_value *v);
};
int	ctl_list(struct ctl *c, const struct ctl_table *t);
void	ctl_rows(const struct json_doc *d, const struct ctl_table *t);
/* A call that changes something and answers nothing worth a table. */
int	ctl_change(struct ctl *c, const char *method, const char *path,
	    const char *body, const char *said);

/* ACCOUNT/NAME, split in place; a sentence when it is none. */
bool	ctl_split_name(char *arg, char **name);

/* Print text from the server, fit for a terminal, in a column of `width`
 * (0: the last one); a longer text moves the rest of its line to the right. */
void	ctl_print(const char *s, int width);
void	ctl_print_num(long long n, int width);
/* "2026-11-24 14:00", "never" for 0. */
void	ctl_time_text(long long t, char *out, size_t size);
void	ctl_print_time(long long t, int width);
void	ctl_print_bytes(long long n, int width);
/* "acme/web1" of the members account and name; empty for the server itself. */
void	ctl_print_client(const struct json_doc *d, const struct json_value *v,
	    int width);

typedef int ctl_verb(struct ctl *c, int argc, char **argv);
ctl_verb ctl_account_add, ctl_account_list, ctl_account_rm, ctl_client_add,
    ctl_client_list, ctl_client_disable, ctl_client_enable, ctl_client_rm,
    ctl_token_add, ctl_token_list, ctl_token_revoke, ctl_vault_list,
    ctl_user_add, ctl_user_list, ctl_user_rm, ctl_user_right, ctl_user_reset,
    ctl_session_list, ctl_session_revoke, ctl_api_token_add,
    ctl_api_token_list, ctl_api_token_revoke, ctl_pair_list, ctl_pair_accept,
    ctl_pair_refuse, ctl_peer_list, ctl_peer_add, ctl_peer_rm,
    ctl_peer_forget, ctl_discover, ctl_audit_list, ctl_audit_verify,
    ctl_overview, ctl_runs, ctl_alerts, ctl_storage, ctl_status, ctl_ports,
    ctl_firewall, ctl_sandbox;

#endif
