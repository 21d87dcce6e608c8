/* SPDX-License-Identifier: MIT */
/*
 * What is a user's locked memory made of? The kernel keeps one number per user, against which each
 * of the user's processes holds its own RLIMIT_MEMLOCK. A sample tells the number and what rings
 * may have put into it; which of that this kernel charges is found by trying.
 */
#ifndef BUFSCOPE_MEMLOCK_H
#define BUFSCOPE_MEMLOCK_H

#include <sys/types.h>

#include "sample.h"

/* Fixed buffers and other registered memory are charged on every kernel, these on some. */
struct memlock_charging {
	bool known; /* false: neither of these could be found out */
	bool queues;
	bool groups;
};

enum memlock_part {
	MEMLOCK_QUEUES,  /* SQ and CQ of rings */
	MEMLOCK_GROUPS,  /* rings of buffer groups, not the buffers behind them */
	MEMLOCK_TABLES,  /* registered (fixed) buffers */
	MEMLOCK_REGIONS, /* other memory registered with rings */
	MEMLOCK_PARTS
};

struct memlock_ledger {
	uint32_t uid;
	uint64_t locked_bytes; /* charged to the user, by whatever; COUNT_UNKNOWN: no ring shows it
				*/
	uint64_t part[MEMLOCK_PARTS]; /* bytes; COUNT_UNKNOWN */
	uint64_t rest_bytes; /* locked, but by nothing above; COUNT_UNKNOWN: not all is known */
	uint32_t nr_rings;   /* that charge this user */
	uint32_t nr_free;    /* of this user's tasks, but charging nobody */
};

/*
 * The ledger of the user `uid`; pure. `only_tgid`: the parts are those of this process' rings alone
 * and there is no rest; 0: of all the user's rings. `witness`: the process that memlock_witness()
 * started, which is left out; 0: none. The sample must be one of the whole system, taken with
 * tables and rings of all sizes read, or too little is explained.
 */
struct memlock_account {
	uint32_t uid;
	uint32_t only_tgid;
	uint32_t witness;
	struct memlock_charging charging;
};
void memlock_count(const struct sample *sample, const struct memlock_account *account,
		   struct memlock_ledger *ledger);

/* "queues", "groups", "tables", "regions" */
const char *memlock_part_name(enum memlock_part part);

/*
 * Tries what this kernel charges: in children, some milliseconds. As root, as a user that nobody
 * else is; otherwise as this one. 0 with charging->known possibly false, or -errno.
 */
int memlock_charging_learn(struct memlock_charging *charging);

/* Soft RLIMIT_MEMLOCK of a process, UINT64_MAX: unlimited. 0 or -errno. */
int memlock_limit_of(pid_t pid, uint64_t *bytes);

/*
 * Starts a process of that user with one small ring that is charged to the user, so that a sample
 * can show what the user has locked. Its pid, or -errno: -EPERM (the user cannot be changed to, or
 * may not have rings). memlock_witness_end() ends it; it goes with this process, too.
 */
pid_t memlock_witness(uint32_t uid);
void memlock_witness_end(pid_t pid);

#endif
