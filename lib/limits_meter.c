// SPDX-License-Identifier: MIT
/* How much is charged to this user's memlock limit? Found by lowering the limit until it binds. */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "limits_meter.h"

/*
 * Past what people, services and containers have (systemd's ends at 0x6fffffff), below where a
 * uid turns negative; each process its own.
 */
#define FIRST_PRIVATE_UID 0x70000000U

static uid_t private_uid(void)
{
	return FIRST_PRIVATE_UID + (uid_t)getpid();
}

bool limits_is_alone(void)
{
	return geteuid() == private_uid();
}

/* Whether limits hold for this process, which may be called root. */
static bool is_bound(void)
{
	struct rlimit was, none;
	char byte;
	int err;

	if (getrlimit(RLIMIT_MEMLOCK, &was) < 0)
		return false;
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = was.rlim_max};
	if (setrlimit(RLIMIT_MEMLOCK, &none) < 0)
		return false;
	err = mlock(&byte, 1) < 0 ? errno : 0;
	munlock(&byte, 1);
	setrlimit(RLIMIT_MEMLOCK, &was);
	return err == EPERM;
}

int limits_drop_privileges(void)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	uid_t uid = private_uid();
	pid_t parent = getppid();

	if (geteuid() != 0)
		return 0;
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	/* Root of a user namespace knows no other user, nor may it exceed any limit: it will do. */
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		return is_bound() ? 0 : -errno;
	/* Changing the user forgets this; the parent may have died meanwhile. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	return 0;
}

/* Are nr distinct pages accepted under this soft limit? */
static bool fits(struct limits_meter *m, uint64_t limit, unsigned int nr)
{
	const struct iovec iov = {m->pages, nr * limits_page_size()};
	struct rlimit r;

	if (getrlimit(RLIMIT_MEMLOCK, &r) < 0)
		return false;
	r.rlim_cur = limit < r.rlim_max ? limit : r.rlim_max;
	if (setrlimit(RLIMIT_MEMLOCK, &r) < 0)
		return false;
	if (limits_register(m->ring.ring_fd, IORING_REGISTER_BUFFERS, &iov, 1) < 0)
		return false;
	limits_register(m->ring.ring_fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
	return true;
}

/* The smallest limit, in whole pages, under which nr pages are accepted. */
static int find_need(struct limits_meter *m, unsigned int nr, uint64_t *need)
{
	const uint64_t page = limits_page_size(), most = 1ULL << 45;
	uint64_t low = 0, high = page; /* refused at low, accepted at high */

	if (fits(m, 0, nr))
		return -EPERM;
	while (!fits(m, high, nr)) {
		if (high >= most)
			return -ENOSPC;
		low = high;
		high *= 2;
	}
	while (high - low > page) {
		uint64_t middle = (low + high) / 2 / page * page;

		if (fits(m, middle, nr))
			high = middle;
		else
			low = middle;
	}
	*need = high;
	return 0;
}

static int find_restoring(struct limits_meter *m, unsigned int nr, uint64_t *need)
{
	struct rlimit was;
	int err;

	if (getrlimit(RLIMIT_MEMLOCK, &was) < 0)
		return -errno;
	err = find_need(m, nr, need);
	setrlimit(RLIMIT_MEMLOCK, &was);
	return err;
}

int limits_meter_read(struct limits_meter *m, uint64_t *bytes)
{
	uint64_t need = 0;
	int err = find_restoring(m, 1, &need);

	if (!err)
		*bytes = need - m->page_charge;
	return err;
}

/* Other processes of the user, and rings that are closed but not freed, move the counter. */
static int wait_until_steady(struct limits_meter *m)
{
	uint64_t before = 0, now = 0;
	int err = limits_meter_read(m, &now);

	for (int i = 0; i < 8 && !err && now != before; i++) {
		before = now;
		limits_settle();
		err = limits_meter_read(m, &now);
	}
	return err;
}

int limits_meter_open(struct limits_meter *m)
{
	uint64_t one = 0, two = 0;
	int err;

	m->pages = limits_map_filled(2 * limits_page_size(), false);
	if (!m->pages)
		return -ENOMEM;
	err = limits_ring_open(&m->ring);
	if (!err)
		err = find_restoring(m, 1, &one);
	if (!err)
		err = find_restoring(m, 2, &two);
	if (err)
		return err;
	m->page_charge = two - one;
	return limits_is_alone() ? 0 : wait_until_steady(m);
}
