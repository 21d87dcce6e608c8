// SPDX-License-Identifier: MIT
/* What does it take to read a user's ledger? Knowing what the kernel charges, and a ring. */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "limits_kernel.h"
#include "limits_table.h"
#include "memlock.h"
#include "text.h"

/* Whether the kernel charges for what this question of the memlock section puts up. */
static int try_charge(const char *key, bool *known, bool *charged)
{
	const struct limits_section *section = &limits_memlock_section;
	const struct limits_opts opts = {.level = LIMITS_QUICK, .max_bytes = 1U << 20};
	struct limits_answer answer;
	int err;

	for (size_t i = 0; i < section->nr; i++) {
		if (strcmp(section->probes[i].key, key) != 0)
			continue;
		err = limits_ask(&section->probes[i], &opts, &answer);
		*known = !err && answer.has_value;
		*charged = *known && answer.value > 0;
		return err;
	}
	return -ENOENT;
}

int memlock_charging_learn(struct memlock_charging *charging)
{
	bool known_groups = false;
	int err;

	*charging = (struct memlock_charging){0};
	err = try_charge("memlock.ring", &charging->known, &charging->queues);
	err = err ? err : try_charge("memlock.group", &known_groups, &charging->groups);
	charging->known = charging->known && known_groups;
	return err;
}

/* prlimit() would take a privilege for what everyone may read. */
int memlock_limit_of(pid_t pid, uint64_t *bytes)
{
	char path[32], line[256], word[32];
	int err = -EBADMSG;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/limits", pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (err && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Max locked memory %31s", word) != 1)
			continue;
		if (text_parse_u64(word, 0, UINT64_MAX, bytes))
			*bytes = UINT64_MAX;
		err = 0;
	}
	fclose(file);
	return err;
}

/* ---- the witness */

/* Root itself is charged, too, once it may not lock what it likes. */
static int drop_capabilities(void)
{
	cap_t none = cap_init();
	int err = none && cap_set_proc(none) == 0 ? 0 : -EPERM;

	cap_free(none);
	return err;
}

static int become(uint32_t uid)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

	/* So that a limit which is used up does not keep the witness from seeing that. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	if (uid != geteuid() && (setgroups(0, NULL) < 0 || setresuid(uid, uid, uid) < 0))
		return -errno;
	return drop_capabilities();
}

static void stand_by(uint32_t uid, int ready, pid_t parent)
{
	struct io_uring ring;
	int err = become(uid);

	/* Changing the user forgets this. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	if (!err)
		err = limits_ring_open(&ring);
	if (write(ready, &err, sizeof(err)) != sizeof(err) || err)
		_exit(1);
	for (;;)
		pause();
}

pid_t memlock_witness(uint32_t uid)
{
	pid_t parent = getpid(), pid;
	int ready[2], err = -EIO;

	if (pipe(ready) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		stand_by(uid, ready[1], parent);
	close(ready[1]);
	if (pid < 0)
		err = -EAGAIN;
	else if (read(ready[0], &err, sizeof(err)) != sizeof(err))
		err = -EIO;
	close(ready[0]);
	if (!err)
		return pid;
	memlock_witness_end(pid);
	return err;
}

void memlock_witness_end(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
