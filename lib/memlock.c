// SPDX-License-Identifier: MIT
/* Whose rings charge this user with what, and what is left that no ring explains? */
#include <string.h>

#include "memlock.h"

static void add(struct memlock_ledger *ledger, enum memlock_part part, uint64_t bytes)
{
	if (ledger->part[part] != COUNT_UNKNOWN)
		ledger->part[part] = bytes == COUNT_UNKNOWN ? bytes : ledger->part[part] + bytes;
}

static void add_ring(const struct memlock_account *account, const struct ring_rec *ring,
		     struct memlock_ledger *ledger)
{
	ledger->nr_rings++;
	if (account->charging.queues)
		add(ledger, MEMLOCK_QUEUES, ring->queue_bytes);
	add(ledger, MEMLOCK_TABLES, ring->table_locked_bytes);
	add(ledger, MEMLOCK_REGIONS, ring->region_bytes);
}

static bool is_counted(const struct memlock_account *account, const struct ring_rec *ring)
{
	if (ring->charged_uid != account->uid ||
	    (account->witness && ring->tgid == account->witness))
		return false;
	return !account->only_tgid || ring->tgid == account->only_tgid;
}

/* Groups are in the order of their rings. */
static void add_groups(const struct sample *sample, const struct memlock_account *account,
		       struct memlock_ledger *ledger)
{
	size_t r = 0;

	for (size_t i = 0; account->charging.groups && i < sample->nr_groups; i++) {
		const struct group_rec *group = &sample->groups[i];

		while (r < sample->nr_rings && sample->rings[r].ring_id != group->ring_id)
			r++;
		if (r < sample->nr_rings && is_counted(account, &sample->rings[r]))
			add(ledger, MEMLOCK_GROUPS, group->mem_bytes);
	}
}

/* The counter was read once per ring while it moved: the last reading is as good as any. */
static void read_locked(const struct sample *sample, const struct memlock_account *account,
			struct memlock_ledger *ledger)
{
	uint64_t witness = 0;

	for (size_t i = 0; i < sample->nr_rings; i++) {
		const struct ring_rec *ring = &sample->rings[i];

		if (ring->charged_uid != account->uid)
			continue;
		ledger->locked_bytes = ring->locked_bytes;
		if (account->witness && ring->tgid == account->witness && account->charging.queues)
			witness = ring->queue_bytes;
	}
	if (ledger->locked_bytes != COUNT_UNKNOWN)
		ledger->locked_bytes -= witness <= ledger->locked_bytes ? witness : 0;
}

static void find_rest(struct memlock_ledger *ledger)
{
	uint64_t known = 0;

	if (ledger->locked_bytes == COUNT_UNKNOWN)
		return;
	for (int part = 0; part < MEMLOCK_PARTS; part++) {
		if (ledger->part[part] == COUNT_UNKNOWN)
			return;
		known += ledger->part[part];
	}
	ledger->rest_bytes = known < ledger->locked_bytes ? ledger->locked_bytes - known : 0;
}

/* Buffers in several tables are told in fractions; what is charged is whole pages. */
static void round_tables(struct memlock_ledger *ledger)
{
	uint64_t *bytes = &ledger->part[MEMLOCK_TABLES];

	if (*bytes != COUNT_UNKNOWN)
		*bytes = (*bytes + 2048) / 4096 * 4096;
}

void memlock_count(const struct sample *sample, const struct memlock_account *account,
		   struct memlock_ledger *ledger)
{
	*ledger = (struct memlock_ledger){
		.uid = account->uid, .locked_bytes = COUNT_UNKNOWN, .rest_bytes = COUNT_UNKNOWN};
	if (!account->charging.known)
		ledger->part[MEMLOCK_QUEUES] = ledger->part[MEMLOCK_GROUPS] = COUNT_UNKNOWN;
	for (size_t i = 0; i < sample->nr_rings; i++) {
		const struct ring_rec *ring = &sample->rings[i];

		if (is_counted(account, ring))
			add_ring(account, ring, ledger);
		else if (ring->charged_uid == REC_UNKNOWN_U32 && ring->uid == account->uid &&
			 (!account->only_tgid || ring->tgid == account->only_tgid))
			ledger->nr_free++;
	}
	add_groups(sample, account, ledger);
	round_tables(ledger);
	read_locked(sample, account, ledger);
	if (!account->only_tgid)
		find_rest(ledger);
}

const char *memlock_part_name(enum memlock_part part)
{
	static const char *const names[MEMLOCK_PARTS] = {"queues", "groups", "tables", "regions"};

	return part < MEMLOCK_PARTS ? names[part] : NULL;
}
