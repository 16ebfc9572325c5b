#ifndef CLIENT_CLI_CLI_H
#define CLIENT_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/engine/engine.h"
#include "client/engine/verbs.h"
#include "common/conf.h"
#include "common/wbuf.h"

/*
 * storegrid, the command.  It reads options and configuration, opens the
 * client's directories, starts engine, resolve and net, passes descriptors
 * between them and shows what the engine tells.  It keeps no key and parses
 * nothing that came from a network.
 */
struct cli {
	struct verb_args args;		/* what the engine gets */
	struct conf	 conf;
	const char	*conf_path;	/* -f, or NULL */
	bool		 json, help, version;
	/* options that the command itself uses */
	const char	*to;		/* restore --to */
	const char	*token_file, *recovery_file, *passphrase_file;
	bool		 dry_run;
	/* what is left after the options */
	char		**rest;
	int		 nrest;
	const struct verb_spec *spec;
};

/* --- options.c: one table of verbs, which parses and gives --help --- */

struct verb_spec {
	const char	*name;		/* "key export-recovery" */
	enum verb	 verb;		/* VERB_NONE: needs no engine */
	const char	*args;		/* for the usage line */
	const char	*summary;
	uint32_t	 options;	/* bits 1u << enum option_id */
	int		 min, max;	/* arguments; max -1: any number */
	/* After parsing: arguments into c->args.  Exit code, err on failure.
	 * For VERB_NONE the whole of it; NULL is help. */
	int		(*prepare)(struct cli *c, char *err, size_t size);
};

/* EXIT_DONE, or EXIT_USAGE with a sentence in err. */
int	options_parse(struct cli *c, int argc, char **argv, char *err,
	    size_t size);
/* spec NULL: the list of verbs. */
void	options_help(struct wbuf *out, const struct verb_spec *spec);
const struct verb_spec *options_verb(const char *name);
/* The nearest of the verbs to a word, or NULL when none is near. */
const char *options_nearest_verb(const char *word);
/* Steps (insert, remove, change, swap of neighbours) from a to b. */
size_t	word_distance(const char *a, const char *b);

/* --- prepare.c: arguments of the verbs --- */

int	prepare_enrol(struct cli *c, char *err, size_t size);
int	prepare_backup(struct cli *c, char *err, size_t size);
int	prepare_snapshots(struct cli *c, char *err, size_t size);
int	prepare_ls(struct cli *c, char *err, size_t size);
int	prepare_restore(struct cli *c, char *err, size_t size);
int	prepare_check(struct cli *c, char *err, size_t size);
int	prepare_passwd(struct cli *c, char *err, size_t size);
int	prepare_recover(struct cli *c, char *err, size_t size);
int	prepare_pair(struct cli *c, char *err, size_t size);	/* pair.c */
/* Split HOST[:PORT] or [ADDRESS][:PORT]; port 0: none was named. */
int	split_host(const char *text, char *host, size_t size, uint16_t *port);
/* Split SNAP[:PATH]; path is "" when there is none.  Caller frees *path. */
int	split_snapshot(const char *text, char *snap, size_t size, char **path);
/* An absolute path without ".", ".." and doubled slashes; caller frees. */
char	*path_absolute(const char *path);
/* Lines of an --exclude-from file into the list. */
int	excludes_read(const char *file, char ***list, size_t *n, char *err,
	    size_t size);

/* --- ask.c: secrets, never from the command line --- */

/* From the file, or a prompt with echo off, or a line of standard input. */
int	ask_secret(const char *file, const char *prompt, char *out,
	    size_t outsize, char *err, size_t size);

/* --- home.c: configuration and the client's own directories --- */

int	home_conf(struct cli *c, char *err, size_t size);
/* Where the two are; nothing is made or looked at. */
void	home_paths(char *config, char *state, size_t size);
/* Opens both, made and owned as they must be; *state may be another
 * descriptor of the same directory. */
int	home_open(const struct cli *c, int *config, int *state, char *err,
	    size_t size);
/* The restore target, made if needed; -1 for a dry run into nothing. */
int	target_open(const struct cli *c, int *fd, char *err, size_t size);

/* --- run.c --- */

/* Runs c->args in an engine; the exit code. */
int	run_verb(struct cli *c);

#endif
