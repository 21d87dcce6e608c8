// SPDX-License-Identifier: MIT
/* When nothing happens: do the books agree with what the kernel has? */
#include "casebook_parts.h"

/*
 * After which what is under way in the kernel's threads is through, too: a time, for on a busy
 * machine looks are seldom, and three of them, so that it is not one pause of the looker's own.
 */
#define QUIET_NS    900000000ULL
#define QUIET_LOOKS 3
#define STILL_NS    200000000ULL

static bool is_incremental(const struct case_group *group)
{
	return group->sums.kind == GROUP_INC || group->sums.kind == GROUP_INC_MMAP;
}

/*
 * The kernel moves the address of the entry that it fills; by how much between two quiet moments
 * is compared with what was received meanwhile.
 */
static void compare_cursor(struct case_group *group)
{
	const struct ring_slot *slot = &group->lint.first;
	struct case_quiet *quiet = &group->quiet;
	const struct book_buffer *buffer;
	int64_t moved, received;

	if (!is_incremental(group) || !group->lint.has_first || slot->bid >= group->nr_buffers)
		return;
	buffer = &group->buffers[slot->bid];
	if (quiet->at.addr && quiet->at.bid == slot->bid && quiet->at_since == buffer->since_ns &&
	    buffer->place == BUFFER_IN && slot->addr >= quiet->at.addr) {
		moved = (int64_t)(slot->addr - quiet->at.addr);
		received =
			(int64_t)(buffer->bytes - quiet->at_bytes); /* modulo 2^32, as it is kept */
		if (moved != received) {
			quiet->astray = moved - received;
			quiet->astray_bid = slot->bid;
		}
	}
	quiet->at = *slot;
	quiet->at_bytes = buffer->bytes;
	quiet->at_since = buffer->since_ns;
}

/*
 * Head moves before a completion is told. So whatever was told by the time that head was read was
 * taken by then, whether or not more is told meanwhile. A look may be stopped between head and the
 * clock, for as long as its processor is taken away. How many a bundle took is inferred.
 */
static void compare_named(struct case_group *group, const struct group_counts *counts)
{
	const struct book_sums *sums = &group->sums;
	struct case_quiet *quiet = &group->quiet;
	uint64_t taken = counts->total[COUNT_TAKEN], named = 0;

	if (counts->looked_ns > sums->last_ns + QUIET_NS)
		named = sums->named;
	else if (counts->looked_ns > quiet->named_ns + QUIET_NS)
		named = quiet->named;
	quiet->named = sums->named;
	quiet->named_ns = sums->last_ns;
	if (named <= taken || !sums->is_whole || quiet->is_met_anew || is_incremental(group) ||
	    sums->bundles || sums->for_bundles)
		return;
	quiet->found.taken = taken;
	quiet->found.named = named;
}

void casebook_compare(struct case_group *group, const struct group_counts *counts, uint64_t at_ns)
{
	uint64_t taken = counts->total[COUNT_TAKEN], quiet_ns;
	struct case_quiet *quiet = &group->quiet;

	if (taken == COUNT_UNKNOWN || (counts->looked_ns && counts->looked_ns < quiet->from_ns)) {
		quiet->looks = 0;
		return;
	}
	if (taken != quiet->taken || group->sums.told != quiet->told)
		quiet->looks = 0;
	quiet->is_met_anew |= taken < quiet->taken;
	quiet->taken = taken;
	quiet->told = group->sums.told;
	compare_named(group, counts);
	if (!quiet->looks++)
		quiet->since_ns = at_ns;
	quiet_ns = at_ns - quiet->since_ns;
	if (quiet_ns >= STILL_NS) {
		quiet->owed = group->sums.owed;
		compare_cursor(group);
	}
	if (quiet->looks < QUIET_LOOKS || quiet_ns < QUIET_NS || !group->sums.is_whole ||
	    quiet->is_met_anew || (uint32_t)group->sums.most_res > group->lint.buf_bytes)
		return;
	/* how many buffers of such a group a completion took is not told */
	if (group->sums.for_bundles && is_incremental(group))
		return;
	quiet->found.taken = taken;
	quiet->found.named = group->sums.named;
}
