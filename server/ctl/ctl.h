#ifndef SERVER_CTL_CTL_H
#define SERVER_CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/conf.h"
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
	long		 expires;	/* --expires in seconds, 0 not given */
};

enum ctl_exit { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_UNREACHABLE = 10 };

/*
 * One call.  body may be NULL.  On an answer of 200 the document is the
 * caller's; otherwise a sentence is printed on stderr and the exit code
 * returned.  With --json the text of a good answer is printed here.
 */
int	ctl_call(struct ctl *c, const char *method, const char *path,
	    const char *body, struct json_doc **doc);

/* Append %-encoded text to a path of `size` bytes; false when it does not fit. */
bool	ctl_path_add(char *path, size_t size, const char *segment);

/* Print text from the server, control characters escaped. */
void	ctl_print(const char *s, int width);
/* "2026-11-24 14:00", "never" for 0. */
void	ctl_time_text(long long t, char *out, size_t size);
void	ctl_print_time(long long t, int width);

typedef int ctl_verb(struct ctl *c, int argc, char **argv);
ctl_verb ctl_account_add, ctl_account_list, ctl_account_rm, ctl_client_add,
    ctl_client_list, ctl_client_disable, ctl_client_enable, ctl_client_rm,
    ctl_token_add, ctl_token_list, ctl_token_revoke, ctl_vault_list,
    ctl_status, ctl_ports, ctl_sandbox;

#endif
