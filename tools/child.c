// SPDX-License-Identifier: MIT
/* How is a command started, held back, and its end learned? */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_MS 3000

static int close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
	return -1;
}

/* In the child. */
static void wait_and_exec(int go, int failed, char *const *argv)
{
	ssize_t n;
	char byte;
	int err;

	do {
		n = read(go, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(1);
	execvp(argv[0], argv);
	err = errno;
	if (write(failed, &err, sizeof(err)) < 0)
		_exit(1);
	_exit(127);
}

int child_fork(struct child *child, char *const *argv)
{
	int go[2] = {-1, -1}, failed[2] = {-1, -1};
	int err = 0;

	*child = (struct child)CHILD_NONE;
	if (pipe2(go, O_CLOEXEC) || pipe2(failed, O_CLOEXEC))
		err = -errno;
	else
		child->pid = fork();
	if (child->pid == 0 && !err) {
		close(go[1]);
		wait_and_exec(go[0], failed[1], argv);
	}
	if (child->pid < 0) {
		err = -errno;
		child->pid = 0;
	}
	close_fd(go[0]);
	close_fd(failed[1]);
	child->go = go[1];
	child->failed = failed[0];
	if (!err) {
		child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
		err = child->pidfd < 0 ? -errno : 0;
	}
	if (err)
		child_done(child);
	return err;
}

int child_start(struct child *child)
{
	int err = 0;
	ssize_t n;

	if (write(child->go, "", 1) != 1)
		return -errno;
	child->go = close_fd(child->go);
	/* the end of file is the exec's */
	do {
		n = read(child->failed, &err, sizeof(err));
	} while (n < 0 && errno == EINTR);
	child->failed = close_fd(child->failed);
	return n == sizeof(err) ? -err : 0;
}

char *child_wait(struct child *child, char *out, size_t size)
{
	const char *name;
	int status;

	while (waitpid(child->pid, &status, 0) < 0) {
		if (errno == EINTR)
			continue;
		snprintf(out, size, "ended");
		return out;
	}
	child->pid = 0;
	if (WIFEXITED(status)) {
		snprintf(out, size, "ended with %d", WEXITSTATUS(status));
		return out;
	}
	name = sigabbrev_np(WTERMSIG(status));
	snprintf(out, size, "was killed by %s%s", name ? "SIG" : "signal ", name ? name : "");
	if (!name)
		snprintf(out + strlen(out), size - strlen(out), "%d", WTERMSIG(status));
	return out;
}

int child_stop(struct child *child)
{
	struct pollfd ended = {.fd = child->pidfd, .events = POLLIN};

	kill(child->pid, SIGTERM);
	return poll(&ended, 1, STOP_MS) == 1 ? 0 : -EBUSY;
}

void child_done(struct child *child)
{
	bool is_held = child->go >= 0;

	child->go = close_fd(child->go);
	child->failed = close_fd(child->failed);
	child->pidfd = close_fd(child->pidfd);
	if (is_held && child->pid)
		waitpid(child->pid, NULL, 0);
	child->pid = 0;
}
