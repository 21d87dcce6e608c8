// SPDX-License-Identifier: MIT
/* Scenarios with mistaken calls, and at limits. */
#include "load_scenario.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/uapi.h"

#define MSG_PASSES_FLAGS 2 /* IORING_MSG_RING_FLAGS_PASS, since 6.3 */

static void legacy_on_ring(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_group(stage, &group, 16);
	for (int i = 0; i < 4; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);

		io_uring_prep_provide_buffers(sqe, group.buffers, STAGE_BYTES, 1, 0, 0);
		io_uring_submit(&stage->ring);
		stage_reap(stage, 50);
	}
	stage_sleep(300);
}

static void registration_refused(struct stage *stage)
{
	struct stage_group group = {.entries = 16};
	struct io_uring_buf_reg reg = {.ring_entries = 3, .bgid = 1};

	stage_group(stage, &group, 16);
	reg.ring_addr = (uintptr_t)group.ring;
	io_uring_register_buf_ring(&stage->ring, &reg, 0);
	stage_sleep(300);
}

/* The queue has room for eight. */
static void cq_overflow(struct stage *stage)
{
	struct stage_group group = {.entries = 64};
	unsigned int nr;

	stage_pairs(stage, 16, SOCK_SEQPACKET);
	stage_group(stage, &group, 64);
	for (int round = 0; round < 10; round++) {
		for (unsigned int pair = 0; pair < 16; pair++)
			stage_arm(stage, pair, 0, 0);
		for (unsigned int pair = 0; pair < 16; pair++)
			stage_send(stage, pair, 1);
		stage_sleep(20);
		while ((nr = stage_reap(stage, 20)) > 0) {
			for (unsigned int i = 0; i < nr; i++) {
				if (stage->got[i].flags & IORING_CQE_F_BUFFER)
					stage_return(&group, (uint16_t)(stage->got[i].flags >>
									IORING_CQE_BUFFER_SHIFT));
			}
		}
	}
	stage_sleep(300);
}

/*
 * A user whose other memory nobody knows: what is locked is this ring and these buffers. Registered
 * buffers are charged by every kernel, buffer rings by some.
 */
static void memlock_low(struct stage *stage)
{
	const struct rlimit limit = {128 << 10, 128 << 10};
	static char memory[32 * 4096] __attribute__((aligned(4096)));
	struct iovec all = {memory, sizeof(memory)};
	struct io_uring own;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || (geteuid() == 0 && setresuid(61234, 61234, 61234)))
		stage_fail(stage, "cannot become another user", errno);
	if (io_uring_queue_init(8, &own, 0))
		stage_fail(stage, "cannot open a ring", EPERM);
	while (all.iov_len && io_uring_register_buffers(&own, &all, 1))
		all.iov_len -= 4096;
	stage_linger();
	io_uring_queue_exit(&own);
}

/* Multishot receives without buffer selection: refused before they begin. */
static void multishot_alone(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	for (int i = 0; i < 3; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);

		io_uring_prep_recv(sqe, stage->near[0], NULL, 0, 0);
		sqe->ioprio |= IORING_RECV_MULTISHOT;
		io_uring_submit(&stage->ring);
		stage_reap(stage, 50);
	}
	stage_sleep(300);
}

static void not_selected(struct stage *stage)
{
	struct stage_group group = {.entries = 16, .bgid = 5};
	char own[STAGE_BYTES];

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	for (int i = 0; i < 8; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);

		io_uring_prep_recv(sqe, stage->near[0], own, sizeof(own), 0);
		sqe->buf_group = 5;
		io_uring_submit(&stage->ring);
		stage_send(stage, 0, 1);
		stage_reap(stage, 50);
	}
	stage_sleep(300);
}

/* Requests that shall say nothing when they succeed take their buffers all the same. */
static void skipped_completion(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	for (int i = 0; i < 8; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);
		unsigned int nr;

		io_uring_prep_recv(sqe, stage->near[0], NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT | (i % 2 ? IOSQE_CQE_SKIP_SUCCESS : 0);
		io_uring_submit(&stage->ring);
		stage_send(stage, 0, 1);
		nr = stage_reap(stage, 50);
		if (nr && stage->got[0].flags & IORING_CQE_F_BUFFER)
			stage_return(&group,
				     (uint16_t)(stage->got[0].flags >> IORING_CQE_BUFFER_SHIFT));
	}
	stage_linger();
}

/* Another ring sends completions that say they had buffers, from bid `first` on. */
static void forge(struct stage *stage, unsigned int first, unsigned int nr)
{
	struct io_uring_cqe *cqe;
	struct io_uring other;
	int res;

	if (io_uring_queue_init(8, &other, 0))
		stage_fail(stage, "cannot open a ring", EPERM);
	for (unsigned int bid = first; bid < first + nr; bid++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&other);

		io_uring_prep_msg_ring(sqe, stage->ring.ring_fd, 64, 0, MSG_PASSES_FLAGS);
		sqe->file_index =
			IORING_CQE_F_BUFFER | IORING_CQE_F_MORE | bid << IORING_CQE_BUFFER_SHIFT;
		io_uring_submit(&other);
		if (io_uring_wait_cqe(&other, &cqe))
			break;
		res = cqe->res;
		io_uring_cqe_seen(&other, cqe);
		if (res < 0)
			stage_fail(stage, "no flags can be passed", -res);
	}
	io_uring_queue_exit(&other);
}

static void forged_buffer(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	stage_arm(stage, 0, 0, STAGE_MULTISHOT);
	stage_send(stage, 0, 2);
	stage_reap(stage, 50);
	forge(stage, 8, 3);
	stage_linger();
}

/* What came to requests that say nothing is told by another ring, when no request is under way. */
static void after_last(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	for (uint16_t bid = 0; bid < 8; bid++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);

		stage_send(stage, 0, 1);
		io_uring_prep_recv(sqe, stage->near[0], NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;
		io_uring_submit(&stage->ring);
		stage_sleep(20);
		forge(stage, bid, 1);
		stage_reap(stage, 50);
		stage_return(&group, bid);
	}
	stage_sleep(300);
}

/* A socket that has lost messages says -ENOBUFS itself, as netlink's do. */
static void not_empty(struct stage *stage)
{
	static char message[STAGE_BYTES] = {[0] = sizeof(struct nlmsghdr)};
	struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = 1};
	struct stage_group group = {.entries = 16};
	int bytes = 1;

	stage->near[0] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK);
	stage->far[0] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK);
	if (stage->near[0] < 0 || stage->far[0] < 0 ||
	    bind(stage->near[0], (struct sockaddr *)&to, sizeof(to)) ||
	    setsockopt(stage->near[0], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)))
		stage_fail(stage, "no netlink", EPERM);
	stage_group(stage, &group, 16);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 64; i++)
			sendto(stage->far[0], message, sizeof(message), MSG_DONTWAIT,
			       (struct sockaddr *)&to, sizeof(to));
		stage_arm(stage, 0, 0, 0);
		if (stage_reap(stage, 100) && stage->got[0].res != -ENOBUFS)
			stage_return(&group,
				     (uint16_t)(stage->got[0].flags >> IORING_CQE_BUFFER_SHIFT));
	}
	stage_sleep(400);
}

/* A file gives less than was asked for; the kernel may count what was asked for. */
static void cursor_astray(struct stage *stage)
{
	struct stage_group group = {.entries = 8};
	int file = memfd_create("short", MFD_CLOEXEC);
	uint64_t before;

	if (file < 0 || write(file, "twelve bytes", 12) != 12)
		stage_fail(stage, "cannot make a file", errno);
	stage_register(stage, &group, IOU_PBUF_RING_INC);
	for (uint16_t bid = 0; bid < 8; bid++)
		stage_put(&group, bid, bid);
	stage_publish(&group, 8);
	stage_linger();
	before = group.ring->bufs[0].addr;
	for (int i = 0; i < 3; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);

		io_uring_prep_read(sqe, file, NULL, 16, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		io_uring_submit(&stage->ring);
		stage_reap(stage, 50);
	}
	close(file);
	if (group.ring->bufs[0].addr - before == 36)
		stage_fail(stage, "this kernel counts what it read", ENOSYS);
	stage_linger();
}

/* The last buffers are in use for long, and a request waits for one. */
static void armed_on_empty(struct stage *stage)
{
	struct stage_group group = {.entries = 8};
	uint16_t kept[8];

	stage_pairs(stage, 2, SOCK_SEQPACKET);
	stage_group(stage, &group, 8);
	stage_arm(stage, 1, 0, STAGE_MULTISHOT);
	for (unsigned int round = 0; round < 2; round++) {
		unsigned int nr = 0;

		while (nr < 8) {
			stage_arm(stage, 0, 0, 0);
			stage_send(stage, 0, 1);
			if (!stage_reap(stage, 50) || stage->got[0].res < 0)
				return;
			kept[nr++] = (uint16_t)(stage->got[0].flags >> IORING_CQE_BUFFER_SHIFT);
		}
		if (round)
			stage_linger();
		while (nr)
			stage_return(&group, kept[--nr]);
	}
	stage_sleep(300);
}

const struct scenario load_scenarios_call[] = {
	{"legacy-on-ring", "PROVIDE_BUFFERS is used on a buffer ring", "legacy-on-ring", NULL,
	 legacy_on_ring},
	{"registration-refused", "a ring of three entries is registered", "registration-refused",
	 NULL, registration_refused},
	{"multishot-alone", "multishot receives that do not select buffers", "request-refused",
	 NULL, multishot_alone},
	{"not-selected", "receives name a group and do not select from it", "not-selected", NULL,
	 not_selected},
	{"skipped-completion", "requests that say nothing when they succeed", "taken-untold", NULL,
	 skipped_completion},
	{"forged-buffer", "a message says that it had a buffer", "named-not-taken", NULL,
	 forged_buffer},
	{"after-last", "another ring completes what says nothing itself", "after-last", NULL,
	 after_last},
	{"not-empty", "a socket that says -ENOBUFS of itself", "not-empty", NULL, not_empty},
	{"cursor-astray", "short reads of a file into an incremental buffer", "cursor-astray", NULL,
	 cursor_astray},
	{"armed-on-empty", "a request waits while all buffers are kept", "armed-on-empty", NULL,
	 armed_on_empty},
	{"cq-overflow", "sixteen completions for a queue of eight", "cq-overflow", NULL,
	 cq_overflow, 4},
	{"memlock-low", "registered buffers take most of RLIMIT_MEMLOCK", "memlock-low", NULL,
	 memlock_low},
	{0},
};
