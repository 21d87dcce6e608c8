/* SPDX-License-Identifier: MIT */
/*
 * What the kernel's own buffer functions are seen to do with each group, where they can be seen.
 * Goes with the accounts, whose maps it shares and whose places it uses. Used by accounts.c alone.
 */
#ifndef BUFSCOPE_KBUF_H
#define BUFSCOPE_KBUF_H

#include "sample.h"

struct kbuf;

/* Of the event programs, which run already. */
struct kbuf_opts {
	int counts_fd;
	int positions_fd;
};

/* NULL with errno: EOPNOTSUPP where the functions cannot be seen, or why the kernel refused. */
struct kbuf *kbuf_open(const struct kbuf_opts *opts);

/* Fills in the KBUF counters of the account at this place. */
void kbuf_join(const struct kbuf *kbuf, uint32_t position, const struct account *account,
	       struct group_counts *counts);

/* Calls that were not seen, or not seen to return. */
uint64_t kbuf_missed(const struct kbuf *kbuf);

/* NULL is accepted. */
void kbuf_close(struct kbuf *kbuf);

#endif
