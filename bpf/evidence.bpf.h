/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which group did a completion draw from whose request nobody remembers? The rings' memory tells:
 * the slot that the kernel consumed last names the bid.
 */
#ifndef BUFSCOPE_EVIDENCE_BPF_H
#define BUFSCOPE_EVIDENCE_BPF_H

#include "kernel.bpf.h"
#include "compat.bpf.h"
#include "counts.bpf.h"

struct evidence {
	__u64 ring_id;
	__u32 flags; /* of the completion */
	__u32 found; /* 1 + position */
	__u32 fits;
	__u32 due; /* of these: groups that owe a completion */
	__u32 groups;
	__u32 met; /* of the others: not counted yet */
	__u32 sole;
	__s64 most_due;
};

static __always_inline int slot_names(const struct account *group, __u16 position, __u32 bid)
{
	__u32 slot = position & (group->entries - 1);
	__u16 named = 0;

	if (slot >= ring_slots_in_reach(group->kind))
		return 0;
	bpf_probe_read_kernel(&named, sizeof(named),
			      (void *)group->ring + slot * sizeof(struct io_uring_buf) +
				      bpf_core_field_offset(struct io_uring_buf, bid));
	return named == bid;
}

/*
 * Buffers that head has passed and no completion has named yet. A look may come in between: its
 * total is read once, and tells by itself which head it belongs to.
 */
static __always_inline __s64 unnamed(const struct account *group, __u16 head)
{
	__u64 taken = *(const volatile __u64 *)&group->taken;

	return (__s64)(taken + (__u16)(head - group->first_head - taken)) -
	       (__s64)(group->selected - group->partial);
}

/*
 * The buffer just consumed is the one before head, or a few before it when it was a bundle. A tick
 * may have looked since it was consumed: then it is one that nobody has named. Global: the verifier
 * looks at it once, not at each state of the loop that calls it.
 */
__noinline int fits(__u32 position, __u32 flags, __u32 head)
{
	const struct account *group = count_at(position);
	__s64 due;
	__u16 moved;

	if (!group)
		return 0;
	if (flags & CQE_BUF_MORE)
		return slot_names(group, head, flags >> 16);
	due = unnamed(group, head);
	moved = head - group->head;
	if (due > moved)
		moved = due < 8 ? due : 8;
	for (__u16 back = 1; back <= 8; back++) {
		if (back <= moved && slot_names(group, head - back, flags >> 16))
			return 1;
	}
	return 0;
}

static long evidence_step(__u32 i, struct evidence *evidence)
{
	struct account *group = count_at(i);
	struct io_buffer_list *bl;
	__u16 head = 0;
	__s64 due;

	if (!group)
		return 1;
	if (group->ring_id != evidence->ring_id)
		return 0;
	evidence->met += group->state == ACCOUNT_MET;
	if (group->state != ACCOUNT_LIVE)
		return 0;
	evidence->groups++;
	evidence->sole = i + 1;
	bl = (void *)group->bl;
	if (group->kind == GROUP_LEGACY || bpf_core_read(&head, sizeof(head), &bl->head) ||
	    !fits(i, evidence->flags, head))
		return 0;
	due = unnamed(group, head);
	evidence->fits++;
	evidence->due += due > 0;
	if (!evidence->found || due > evidence->most_due) {
		evidence->found = i + 1;
		evidence->most_due = due;
	}
	return 0;
}

/* With a code: more than one group fits. Right for the totals, but nothing to remember. */
#define CODE_GUESSED 0x40000000U

/*
 * Which group of the ring did this completion draw from? 1 + position; 0: none fits;
 * INDEX_IGNORED: the ring has no group that is counted.
 */
__noinline int find_by_evidence(__u64 ring_id, __u32 flags)
{
	struct evidence evidence = {
		.ring_id = ring_id,
		.flags = flags,
		.found = nothing,
		.fits = nothing,
		.due = nothing,
		.groups = nothing,
		.met = nothing,
		.sole = nothing,
		.most_due = nothing,
	};
	struct account *group;

	bpf_loop(nr_counts, evidence_step, &evidence, 0);
	if (evidence.fits > 1 && evidence.due != 1) {
		lose(EVENT_GUESSED);
		return evidence.found | CODE_GUESSED;
	}
	if (evidence.fits)
		return evidence.found;
	if (evidence.met || (!evidence.groups && (nr_tgids || only_bgid >= 0 || !is_ready)))
		return INDEX_IGNORED;
	/* a sole legacy group leaves no trace to compare */
	group = evidence.groups == 1 ? count_at(evidence.sole - 1) : NULL;
	return group && group->kind == GROUP_LEGACY ? evidence.sole : 0;
}

static __always_inline __u32 without_doubt(__u32 code)
{
	return code == INDEX_IGNORED ? code : code & ~CODE_GUESSED;
}

#endif
