/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Completions that there are most of, apart from all else: little is done for one. What they do to
 * an account is what done.bpf.h would do.
 */
#ifndef BUFSCOPE_SHORT_BPF_H
#define BUFSCOPE_SHORT_BPF_H

#include "counts.bpf.h"
#include "requests.bpf.h"
#include "done.bpf.h"

static __always_inline void read_done(const __u64 *args, struct done *done)
{
	struct io_uring_cqe *cqe = (void *)args[2];

	if (old_complete) {
		done->user_data = args[2];
		done->res = args[3];
		done->flags = args[4];
	} else {
		done->user_data = cqe->user_data;
		done->res = cqe->res;
		done->flags = cqe->flags;
	}
}

/* done: a copy, so that the fields of what it is a copy of can stay in registers. */
static __always_inline int book_plainly(struct account *group, const struct req_slot *slot,
					struct done done)
{
	return select_briefly(group, &done, slot->fd, slot->nbufs);
}

/* A ring that gives one buffer at a time. */
static __always_inline int is_plain(const struct account *group)
{
	const struct {
		__u16 kind;
		__u8 has_bundles;
		__u8 wants_order;
	} matter = {.kind = GROUP_LEGACY, .has_bundles = 0xff}; /* no other kind has that bit */

	return !(as_word(&group->kind) & as_word(&matter));
}

/* The group of a slot, if it lives still. pair: flags and life of the slot; no flag is left. */
static __always_inline struct account *plain_group(const struct req_slot *slot, __u32 pair)
{
	struct account *group = count_at(slot->count - 1);

	return group && as_word(&group->state) == (pair | PAIR(ACCOUNT_LIVE, 0)) && is_plain(group)
		       ? group
		       : NULL;
}

/*
 * Most completions name one buffer that their group is known to have had, and it is not yet time to
 * look: nothing else is to be done then. 0: it is not such a one, and was not counted.
 */
static __always_inline int count_plainly(const __u64 *args, struct account *group,
					 const struct req_slot *slot, struct done *done)
{
	struct bid_state *state = bid_at(group, done->flags >> 16);
	__u32 since = group->since + 1;

	if (!state || since >= group->every ||
	    (since > group->available && !(state->flags & (BID_IN_RING | BID_DUE))))
		return 0;
	done->moment = moment_of(args);
	if (keeps_books && !book_plainly(group, slot, *done))
		return 0;
	group->since = since;
	group->selected++;
	group->bytes += (__u32)done->res;
	state->fd = slot->fd;
	state->flags = BID_HELD;
	state->since_ns = taken_ns(group, done->moment);
	return 1;
}

/* A slot may be left from a request of another ring, at the same address. */
static __always_inline int count_request_plainly(const __u64 *args, struct done *done)
{
	struct req_slot *slot = find_req((void *)args[1]);
	struct account *group;
	__u32 pair;

	if (!slot || slot->user_data != done->user_data)
		return 0;
	pair = as_word(&slot->flags) & ~PAIR(SLOT_ARMED, 0);
	group = pair & PAIR(0xffff, 0) ? NULL : plain_group(slot, pair);
	if (!group || group->ring_id != args[0] || !count_plainly(args, group, slot, done))
		return 0;
	slot->count = 0;
	return 1;
}

/* By the near slots alone: others are seldom in use. No group equals the pair of ambiguous ones. */
static __always_inline int count_stream_plainly(const __u64 *args, struct done *done)
{
	const struct req_slot *slot =
		(void *)stream_among(near_streams, (void *)args[0], done->user_data);
	struct account *group = slot ? plain_group(slot, as_word(&slot->flags)) : NULL;

	return group && count_plainly(args, group, slot, done);
}

static __always_inline int complete_plainly(const __u64 *args)
{
	struct done done;

	if (trace_kinds && !keeps_books)
		return 0;
	read_done(args, &done);
	if (done.res < 0 || (done.flags & (CQE_BUFFER | CQE_BUF_MORE)) != CQE_BUFFER)
		return 0;
	if (args[1])
		return count_request_plainly(args, &done);
	return done.flags & CQE_MORE && count_stream_plainly(args, &done);
}

#endif
