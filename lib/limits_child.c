// SPDX-License-Identifier: MIT
/*
 * How is something tried without risk? A child does it and leaves what it found in shared
 * memory; the parent waits, for so long.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "limits_child.h"
#include "limits_kernel.h"

struct mailbox {
	int result;
	int delivered; /* written last, by the child */
	_Alignas(16) char box[];
};

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0) {
		/* Only less polite, not wrong. */
	}
	close(fd);
}

/* Dies with the parent, yields to others, is the first to go when memory runs out. */
static void be_expendable(pid_t parent)
{
	const struct rlimit no_core = {0};
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_CORE, &no_core);
	setpriority(PRIO_PROCESS, 0, 10);
	write_file("/proc/self/oom_score_adj", "1000");
}

static void work(const struct limits_child *child, struct mailbox *mail)
{
	mail->result = child->run(mail->box);
	__atomic_store_n(&mail->delivered, 1, __ATOMIC_RELEASE);
	_exit(0);
}

/* True if the child ended by itself. */
static bool wait_for(pid_t pid, unsigned int patience_ms, int *status)
{
	int pidfd = pidfd_open(pid, 0);
	struct pollfd fd = {.fd = pidfd, .events = POLLIN};
	uint64_t deadline = clock_ns(CLOCK_MONOTONIC) + patience_ms * 1000000ULL;
	int ready = 1;

	while (pidfd >= 0) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC);

		ready = poll(&fd, 1, now < deadline ? (int)((deadline - now) / 1000000) : 0);
		if (ready >= 0 || errno != EINTR)
			break;
	}
	if (ready == 0)
		kill(pid, SIGKILL);
	if (pidfd >= 0)
		close(pidfd);
	*status = 0;
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	return ready != 0;
}

static void read_fate(struct limits_child *child, const struct mailbox *mail, int status)
{
	if (__atomic_load_n(&mail->delivered, __ATOMIC_ACQUIRE)) {
		child->fate = FATE_DONE;
		child->result = mail->result;
		memcpy(child->box, mail->box, child->box_bytes);
	} else if (WIFSIGNALED(status)) {
		child->fate = FATE_KILLED;
		child->result = WTERMSIG(status);
	} else {
		child->fate = FATE_LEFT;
		child->result = WEXITSTATUS(status);
	}
}

int limits_child_run(struct limits_child *child)
{
	size_t bytes = sizeof(struct mailbox) + child->box_bytes;
	struct mailbox *mail =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t parent = getpid(), pid;
	int err = 0, status;

	if (mail == MAP_FAILED)
		return -errno;
	memcpy(mail->box, child->box, child->box_bytes);
	pid = fork();
	if (pid == 0) {
		be_expendable(parent);
		work(child, mail);
	}
	if (pid < 0)
		err = -errno;
	else if (wait_for(pid, child->patience_ms, &status))
		read_fate(child, mail, status);
	else
		child->fate = FATE_LATE;
	munmap(mail, bytes);
	return err;
}
