/* SPDX-License-Identifier: MIT */
/*
 * What is charged to RLIMIT_MEMLOCK? The counter is per user and nowhere to be read, but it can
 * be found by trying: the smallest limit under which one more page is accepted tells it.
 */
#ifndef BUFSCOPE_LIMITS_METER_H
#define BUFSCOPE_LIMITS_METER_H

#include "limits_kernel.h"

struct limits_meter {
	struct io_uring ring; /* its own, for the page that is tried */
	char *pages;
	uint64_t page_charge; /* what one registered page is charged with */
};

/*
 * Makes this process one that memlock limits bind, for good. With privileges: as a user that
 * nobody else is, with no hard limit. Without, or as root of a user namespace: nothing to do.
 * Only for children.
 */
int limits_drop_privileges(void);

/* Has this process become a user that nobody else is? Then nothing else is charged to it. */
bool limits_is_alone(void);

/*
 * 0; -EPERM if this process is not bound by the limit; -ENOSPC if the hard limit leaves no room
 * to measure; another -errno.
 */
int limits_meter_open(struct limits_meter *meter);

/* Bytes charged to this user now; the meter's own are included. -errno as above. */
int limits_meter_read(struct limits_meter *meter, uint64_t *bytes);

#endif
