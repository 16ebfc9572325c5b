#ifndef CLIENT_ENGINE_EVENT_H
#define CLIENT_ENGINE_EVENT_H

/*
 * What the engine tells the command while it works (ENGINE_EVENT): kind u8, then
 * the fields.  path and name are raw bytes (blob16); the command escapes them.
 */
enum engine_event {
	/* files u64, bytes u64, new u64, stored u64, total files u64, total
	 * bytes u64, phase str, path blob16 */
	EVENT_PROGRESS = 1,
	/* path blob16, reason str: could not be saved or restored as it was */
	EVENT_SKIPPED,
	/* text str */
	EVENT_WARNING,
	/* snapshot id 32, files u64, dirs u64, bytes u64, new bytes u64,
	 * stored bytes u64, skipped u64, seconds (ms) u64: the summary line */
	EVENT_SUMMARY,
	/* id 32, label str, wall i64, host str, files u64, bytes u64, flags u16,
	 * vault seq u64, lock until u64, paths: n u16 then blob16 each */
	EVENT_SNAPSHOT,
	/* path blob16, mode u32, uid u32, gid u32, user str, group str, size u64,
	 * mtime i64, mtime ns u32, link target blob16 */
	EVENT_ENTRY,
	/* id 32 (zeros none), kind u8, text str, then paths touched: n u16, blob16 each */
	EVENT_FINDING,
	/* name str, value str: results of enrol, recover, export-recovery */
	EVENT_VALUE,
	/* code str, the server's StoreGrid ID str, its fingerprint str, host
	 * str: to be compared with what the server shows */
	EVENT_CODE,
	/* seconds u32 that are left for the administrator's word */
	EVENT_WAITING,
};

#endif
