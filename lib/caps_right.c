// SPDX-License-Identifier: MIT
/* What is this process permitted? Capabilities, limits, and what the kernel forbids to everyone. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <sys/vfs.h>

#include "caps_table.h"

#define SECURITYFS 0x73636673

/* CAP_SYS_ADMIN may do what the newer, narrower ones may: those count as had with it. */
static void ask_capability(const struct ability *ability, struct caps_answer *answer)
{
	cap_t own = cap_get_proc();
	cap_flag_value_t have = CAP_CLEAR;

	if (!own || cap_get_flag(own, ability->arg, CAP_EFFECTIVE, &have))
		answer->error = errno;
	else
		answer->state = have == CAP_SET ? CAPS_YES : CAPS_NO;
	cap_free(own);
	if (answer->state == CAPS_NO && (ability->arg == CAP_BPF || ability->arg == CAP_PERFMON) &&
	    caps_can("cap.sys_admin")) {
		answer->state = CAPS_YES;
		caps_remark(answer, "by cap_sys_admin");
	}
}

static void ask_memlock(const struct ability *ability, struct caps_answer *answer)
{
	struct rlimit limit;

	(void)ability;
	if (getrlimit(RLIMIT_MEMLOCK, &limit)) {
		answer->error = errno;
		return;
	}
	answer->state = CAPS_YES;
	if (limit.rlim_cur == RLIM_INFINITY)
		return;
	caps_remark(answer, "limit %llu KiB", (unsigned long long)limit.rlim_cur >> 10);
	if (caps_can("cap.ipc_lock"))
		caps_remark(answer, "by cap_ipc_lock");
	else
		answer->state = CAPS_NO;
}

/* The word in brackets is the mode: "none [integrity] confidentiality". */
static void ask_lockdown(const struct ability *ability, struct caps_answer *answer)
{
	FILE *file = fopen("/sys/kernel/security/lockdown", "re");
	char mode[32] = "";
	struct statfs fs;

	(void)ability;
	if (!file) {
		bool is_mounted =
			statfs("/sys/kernel/security", &fs) == 0 && fs.f_type == SECURITYFS;

		answer->state = errno == ENOENT && is_mounted ? CAPS_YES : CAPS_UNKNOWN;
		if (!is_mounted)
			caps_remark(answer, "securityfs is not mounted");
		return;
	}
	if (fscanf(file, "%*[^[][%31[^]]", mode) == 1 || fscanf(file, "[%31[^]]", mode) == 1) {
		answer->state = strcmp(mode, "none") == 0 ? CAPS_YES : CAPS_NO;
		caps_remark(answer, "%s", mode);
	}
	fclose(file);
}

static const struct ability abilities[] = {
	{"cap.sys_admin", "CAP_SYS_ADMIN", "none, with cap_bpf and cap_perfmon", ask_capability,
	 NULL, CAP_SYS_ADMIN},
	{"cap.bpf", "CAP_BPF: load BPF programs", "nothing can be watched", ask_capability, NULL,
	 CAP_BPF},
	{"cap.perfmon", "CAP_PERFMON: let them read the kernel", "nothing can be watched",
	 ask_capability, NULL, CAP_PERFMON},
	{"cap.ipc_lock", "CAP_IPC_LOCK: lock memory beyond the limit",
	 "limits, load, bench meet the limit", ask_capability, NULL, CAP_IPC_LOCK},
	{"memlock", "lock memory without limit", "limits, load, bench meet the limit", ask_memlock},
	{"no_lockdown", "the kernel is not locked down", "no watching in mode confidentiality",
	 ask_lockdown},
};

const struct caps_section caps_right_section = {"rights", abilities, CAPS_NR(abilities)};
