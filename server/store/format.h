#ifndef STORE_FORMAT_H
#define STORE_FORMAT_H

/*
 * Numbers of the files of a vault; doc/VAULT-FORMAT.md is the specification.
 */
#define VAULT_VERSION		1
#define VAULT_MAGIC		0x53475641554c540aull	/* "SGVAULT\n" */
#define VAULT_FILE_LEN		512
#define VAULT_NAME_LEN		130
#define VAULT_COMPAT_KNOWN	0ull
#define VAULT_RO_KNOWN		0ull
#define VAULT_INCOMPAT_KNOWN	0ull

#define PACK_MAGIC		0x53475041434b310aull	/* "SGPACK1\n" */
#define PACK_FOOT_MAGIC		0x5347464f4f54310aull	/* "SGFOOT1\n" */
#define PACK_END_MAGIC		0x5347504b454e440aull	/* "SGPKEND\n" */
#define PACK_HEADER_LEN		64
#define PACK_TRAILER_LEN	64
#define PACK_FOOT_HEAD_LEN	8
#define PACK_FOOT_ENTRY_LEN	48
#define PACK_TARGET		(64u << 20)
#define PACK_NUMBER_MAX		((1ull << 40) - 1)
#define PACK_F_COPY		0x0001	/* second copy of a journal record */
#define PACK_F_GAP		0x0002	/* bytes that a crash left torn */

#define JOURNAL_MAGIC		0x53474a524e4c310aull	/* "SGJRNL1\n" */
#define JOURNAL_HEADER_LEN	64
#define JOURNAL_RECORD_LEN	64
#define JOURNAL_BODY_MAX	(64u << 10)
#define JOURNAL_ROLL		(4u << 20)
#define JOURNAL_RESERVE		(128u << 10)
#define JOURNAL_F_STATE		0x0001	/* carried over from before */

#define INDEX_MAGIC		0x5347494e4458310aull	/* "SGINDX1\n" */
#define INDEX_MANIFEST_MAGIC	0x53474d414e49310aull	/* "SGMANI1\n" */
#define INDEX_PAGE		4096u
#define INDEX_PAGE_HEAD		16
#define INDEX_DATA_ENTRY	48
#define INDEX_NODE_ENTRY	64
#define INDEX_BLOOM_HEAD	64
#define INDEX_BLOOM_BLOCK	64
#define INDEX_BLOOM_BLOCKS	63	/* of one page */

#define RUN_MAGIC		0x534752554e310a00ull	/* "SGRUN1\n\0" */

#define ROUND8(n)		(((n) + 7) & ~(uint64_t)7)

enum journal_kind {
	JOURNAL_SNAPSHOT = 1,
	JOURNAL_KEY = 2,
	JOURNAL_SLOT = 3,
	JOURNAL_PARAMS = 4,
	JOURNAL_LOCK = 5,
	JOURNAL_EXPIRE = 6,
	JOURNAL_UNDO = 7,
	JOURNAL_PURGE = 8,
	JOURNAL_SEAL = 9,
	JOURNAL_RETIRE = 10,
	JOURNAL_DAMAGED = 11,
	JOURNAL_CLOCK = 12,
	JOURNAL_WRITER = 13,
};

#endif
