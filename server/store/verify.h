#ifndef STORE_VERIFY_H
#define STORE_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/store/vault.h"

/*
 * Reads everything that is in the vault's files and says what is not as it was
 * written: objects, prefixes, zeros, footers, trailers, second copies, the
 * journal's chain, both identity files, the index, and edges that lead nowhere.
 * Done in steps, so that other work goes on between them.
 */
#define VERIFY_FINDINGS_MAX	4096

struct verifier;

int	verify_new(struct verifier **vr, struct vault *v, uint8_t percent);
void	verify_free(struct verifier *vr);
/* RC_AGAIN: go on; RC_EOF: done; others: it could not be finished. */
int	verify_step(struct verifier *vr);
/* Findings not yet taken, oldest first; false: none. */
bool	verify_take(struct verifier *vr, struct finding *f);
void	verify_totals(const struct verifier *vr, struct verify_end *e);

#endif
