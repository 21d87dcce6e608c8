// SPDX-License-Identifier: MIT
/*
 * Which ways to lend buffers does io_uring have here? Each is used once, on a ring of our own;
 * the kernel's refusal is the answer.
 */
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "caps_table.h"
#include "limits_kernel.h"
#include "uapi.h"

#define ENTRIES   4
#define BUF_BYTES 8
#define SENT      (BUF_BYTES + 4) /* one buffer and a half */

/* ---- io_uring itself */

/* The first number behind `label` in a small file of /proc; -1: none. */
static int read_number(const char *path, const char *label)
{
	char line[256];
	int number = -1;
	FILE *file = fopen(path, "re");

	if (!file)
		return -1;
	while (number < 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, label, strlen(label)) == 0)
			sscanf(line + strlen(label), "%d", &number);
	fclose(file);
	return number;
}

static void ask_io_uring(const struct ability *ability, struct caps_answer *answer)
{
	int disabled = read_number("/proc/sys/kernel/io_uring_disabled", "");
	struct io_uring ring;
	int err = io_uring_queue_init(1, &ring, 0);

	(void)ability;
	caps_settle(answer, err);
	if (!err)
		io_uring_queue_exit(&ring);
	if (disabled > 0)
		caps_remark(answer, "kernel.io_uring_disabled=%d", disabled);
	else if ((err == -EPERM || err == -EACCES || err == -ENOSYS) &&
		 read_number("/proc/self/status", "Seccomp:") > 0)
		caps_remark(answer, "perhaps by a seccomp filter");
	else if (err == -ENOSYS)
		caps_remark(answer, "built without io_uring");
}

/* A ring of our own may be charged to RLIMIT_MEMLOCK: no room for it answers no question. */
static void settle(struct caps_answer *answer, int result)
{
	caps_settle(answer, result);
	if (result != -ENOMEM)
		return;
	answer->state = CAPS_UNKNOWN;
	caps_remark(answer, "the memlock limit leaves no room to try");
}

/*
 * arg: flags of the setup. Memory for a ring is not offered: a kernel that knows the flag for it
 * finds no fault but that.
 */
static void ask_setup(const struct ability *ability, struct caps_answer *answer)
{
	struct io_uring_params params = {.flags = (unsigned int)ability->arg};
	long fd;

	if (!caps_can("io_uring")) {
		caps_remark(answer, "no io_uring to try it on");
		return;
	}
	fd = syscall(__NR_io_uring_setup, 4, &params);
	if (fd < 0 && errno == EFAULT)
		fd = 0;
	else if (fd < 0)
		fd = -errno;
	else
		close((int)fd);
	settle(answer, fd < 0 ? (int)fd : 0);
}

/* A kernel that has filters misses the argument. */
static void ask_filter(const struct ability *ability, struct caps_answer *answer)
{
	struct io_uring ring;
	int err;

	(void)ability;
	if (!caps_can("io_uring")) {
		caps_remark(answer, "no io_uring to try it on");
		return;
	}
	err = limits_ring_open(&ring);
	if (!err) {
		err = limits_register(ring.ring_fd, IORING_REGISTER_BPF_FILTER, NULL, 1);
		io_uring_queue_exit(&ring);
	}
	settle(answer, err == -EFAULT ? 0 : err);
}

/* ---- what a probe works with */

/* A ring, a group of ENTRIES buffers of BUF_BYTES in it, and a pair of connected ends. */
struct bench {
	struct io_uring ring;
	void *page; /* the group's ring */
	char data[ENTRIES][BUF_BYTES];
	int ends[2];
};

static bool bench_open(struct bench *bench, struct caps_answer *answer)
{
	int err;

	memset(bench, 0, sizeof(*bench));
	bench->ends[0] = bench->ends[1] = -1;
	if (!caps_can("io_uring")) {
		caps_remark(answer, "no io_uring to try it on");
		return false;
	}
	err = limits_ring_open(&bench->ring);
	if (err) {
		settle(answer, err);
		return false;
	}
	bench->page = limits_map(limits_page_size());
	if (bench->page)
		return true;
	io_uring_queue_exit(&bench->ring);
	settle(answer, -ENOMEM);
	return false;
}

static void bench_close(struct bench *bench)
{
	io_uring_queue_exit(&bench->ring);
	munmap(bench->page, limits_page_size());
	for (int i = 0; i < 2; i++)
		if (bench->ends[i] >= 0)
			close(bench->ends[i]);
}

static struct bs_buf_reg group_of(const struct bench *bench, unsigned int flags)
{
	return (struct bs_buf_reg){
		.ring_addr = flags & IOU_PBUF_RING_MMAP ? 0 : (uintptr_t)bench->page,
		.ring_entries = ENTRIES,
		.flags = (uint16_t)flags,
	};
}

static int add_group(struct bench *bench)
{
	struct bs_buf_reg reg = group_of(bench, 0);
	struct io_uring_buf_ring *ring = bench->page;
	int err = limits_register(bench->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);

	for (unsigned short i = 0; i < ENTRIES; i++)
		io_uring_buf_ring_add(ring, bench->data[i], BUF_BYTES, i,
				      io_uring_buf_ring_mask(ENTRIES), i);
	io_uring_buf_ring_advance(ring, ENTRIES);
	return err;
}

/* The group, and data to read at ends[0]. */
static int connect_ends(struct bench *bench, bool is_pipe)
{
	static const char data[SENT];
	int err = add_group(bench);

	if (err)
		return err;
	if (is_pipe ? pipe(bench->ends) : socketpair(AF_UNIX, SOCK_STREAM, 0, bench->ends))
		return -errno;
	return write(bench->ends[1], data, sizeof(data)) == sizeof(data) ? 0 : -errno;
}

/* ---- groups */

static void ask_legacy(const struct ability *ability, struct caps_answer *answer)
{
	struct bench bench;

	(void)ability;
	if (!bench_open(&bench, answer))
		return;
	io_uring_prep_provide_buffers(io_uring_get_sqe(&bench.ring), bench.data, BUF_BYTES, ENTRIES,
				      0, 0);
	settle(answer, limits_do_one(&bench.ring));
	bench_close(&bench);
}

/* arg: flags of the registration. */
static void ask_group(const struct ability *ability, struct caps_answer *answer)
{
	struct bench bench;
	struct bs_buf_reg reg;

	if (!bench_open(&bench, answer))
		return;
	reg = group_of(&bench, (unsigned int)ability->arg);
	settle(answer, limits_try_group(bench.ring.ring_fd, &reg));
	bench_close(&bench);
}

static int try_mapping(struct bench *bench)
{
	struct bs_buf_reg reg = group_of(bench, IOU_PBUF_RING_MMAP);
	size_t bytes = limits_page_size();
	int err = limits_register(bench->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
	void *at;

	if (err)
		return err;
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bench->ring.ring_fd,
		  (off_t)BS_OFF_PBUF_RING);
	if (at == MAP_FAILED)
		return -errno;
	munmap(at, bytes);
	return 0;
}

static void ask_mmap(const struct ability *ability, struct caps_answer *answer)
{
	struct bench bench;

	(void)ability;
	if (!bench_open(&bench, answer))
		return;
	settle(answer, try_mapping(&bench));
	bench_close(&bench);
}

static void ask_min_left(const struct ability *ability, struct caps_answer *answer)
{
	struct bench bench;
	struct bs_buf_reg reg;

	(void)ability;
	if (!bench_open(&bench, answer))
		return;
	reg = group_of(&bench, IOU_PBUF_RING_INC);
	reg.min_left = BUF_BYTES / 2;
	settle(answer, limits_try_group(bench.ring.ring_fd, &reg));
	bench_close(&bench);
}

static void ask_status(const struct ability *ability, struct caps_answer *answer)
{
	struct bs_buf_status status = {0};
	struct bench bench;
	int err;

	(void)ability;
	if (!bench_open(&bench, answer))
		return;
	err = add_group(&bench);
	err = err ? err
		  : limits_register(bench.ring.ring_fd, IORING_REGISTER_PBUF_STATUS, &status, 1);
	settle(answer, err);
	bench_close(&bench);
}

/* ---- requests that select a buffer */

enum request { RECV, RECV_MULTISHOT, READ_MULTISHOT, RECV_BUNDLE, RECV_BUNDLE_SEVERAL, SEND };

static void prepare(struct bench *bench, enum request request)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&bench->ring);

	switch (request) {
	case RECV:
		io_uring_prep_recv(sqe, bench->ends[0], NULL, 0, 0);
		break;
	case RECV_MULTISHOT:
		io_uring_prep_recv_multishot(sqe, bench->ends[0], NULL, 0, 0);
		break;
	case READ_MULTISHOT:
		io_uring_prep_rw(BS_OP_READ_MULTISHOT, sqe, bench->ends[0], NULL, 0, (__u64)-1);
		break;
	case RECV_BUNDLE:
	case RECV_BUNDLE_SEVERAL:
		io_uring_prep_recv(sqe, bench->ends[0], NULL, 0, 0);
		sqe->ioprio = IORING_RECVSEND_BUNDLE;
		break;
	case SEND:
		io_uring_prep_send(sqe, bench->ends[0], NULL, 0, 0);
		break;
	}
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
}

static void ask_request(const struct ability *ability, struct caps_answer *answer)
{
	enum request request = (enum request)ability->arg;
	struct bench bench;
	int result;

	if (!bench_open(&bench, answer))
		return;
	result = connect_ends(&bench, request == READ_MULTISHOT);
	if (!result) {
		prepare(&bench, request);
		result = limits_do_one(&bench.ring);
	}
	settle(answer, result);
	if (request == RECV_BUNDLE_SEVERAL && result >= 0 && result < SENT)
		answer->state = CAPS_NO;
	bench_close(&bench);
}

static int receive(struct bench *bench)
{
	prepare(bench, RECV);
	return limits_do_one(&bench->ring);
}

/*
 * Group 0 after it was unregistered: its ring is empty but for one buffer. A kernel that keeps the
 * old head, which is one by then, sees it where the new tail is: nothing there.
 */
static int try_again(struct bench *bench)
{
	struct bs_buf_reg reg = {0};
	struct io_uring_buf_ring *ring = bench->page;
	int err = connect_ends(bench, false);

	err = err ? err : receive(bench);
	if (err < 0)
		return err;
	err = limits_register(bench->ring.ring_fd, IORING_UNREGISTER_PBUF_RING, &reg, 1);
	if (err)
		return err;
	memset(ring, 0, limits_page_size());
	reg = group_of(bench, 0);
	err = limits_register(bench->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
	io_uring_buf_ring_add(ring, bench->data[0], BUF_BYTES, 0, io_uring_buf_ring_mask(ENTRIES),
			      0);
	io_uring_buf_ring_advance(ring, 1);
	return err ? err : receive(bench);
}

static void ask_again(const struct ability *ability, struct caps_answer *answer)
{
	struct bench bench;
	int result;

	(void)ability;
	if (!bench_open(&bench, answer))
		return;
	result = try_again(&bench);
	settle(answer, result);
	if (result == -ENOBUFS)
		answer->state = CAPS_NO;
	bench_close(&bench);
}

/* ---- registered buffers */

static void ask_fixed(const struct ability *ability, struct caps_answer *answer)
{
	struct bench bench;
	struct iovec iov;

	(void)ability;
	if (!bench_open(&bench, answer))
		return;
	iov = (struct iovec){bench.page, limits_page_size()};
	settle(answer, io_uring_register_buffers(&bench.ring, &iov, 1));
	bench_close(&bench);
}

static void ask_sparse(const struct ability *ability, struct caps_answer *answer)
{
	struct bench bench;

	(void)ability;
	if (!bench_open(&bench, answer))
		return;
	settle(answer, io_uring_register_buffers_sparse(&bench.ring, 1));
	bench_close(&bench);
}

static int try_clone(struct bench *bench, struct io_uring *target)
{
	struct bs_clone_buffers clone = {.src_fd = (uint32_t)bench->ring.ring_fd};
	struct iovec iov = {bench->page, limits_page_size()};
	int err = io_uring_register_buffers(&bench->ring, &iov, 1);

	return err ? err
		   : limits_register(target->ring_fd, IORING_REGISTER_CLONE_BUFFERS, &clone, 1);
}

static void ask_clone(const struct ability *ability, struct caps_answer *answer)
{
	struct io_uring target;
	struct bench bench;
	int err;

	(void)ability;
	if (!bench_open(&bench, answer))
		return;
	err = limits_ring_open(&target);
	if (!err) {
		err = try_clone(&bench, &target);
		io_uring_queue_exit(&target);
	}
	settle(answer, err);
	bench_close(&bench);
}

/* arg: READV_FIXED, or RECV with IORING_RECVSEND_FIXED_BUF. */
static int try_fixed_request(struct bench *bench, int opcode)
{
	struct iovec iov = {bench->page, limits_page_size()};
	struct io_uring_sqe *sqe = io_uring_get_sqe(&bench->ring);
	int err = io_uring_register_buffers(&bench->ring, &iov, 1);

	if (err)
		return err;
	iov.iov_len = SENT;
	if (opcode == IORING_OP_RECV) {
		io_uring_prep_recv(sqe, bench->ends[0], bench->page, SENT, 0);
		sqe->ioprio = IORING_RECVSEND_FIXED_BUF;
	} else {
		io_uring_prep_rw(opcode, sqe, bench->ends[0], &iov, 1, (__u64)-1);
	}
	sqe->buf_index = 0;
	return limits_do_one(&bench->ring);
}

static void ask_fixed_request(const struct ability *ability, struct caps_answer *answer)
{
	struct bench bench;
	int err;

	if (!bench_open(&bench, answer))
		return;
	err = connect_ends(&bench, false);
	settle(answer, err ? err : try_fixed_request(&bench, ability->arg));
	bench_close(&bench);
}

/*
 * Where one buffer may have more than 1 GiB, it may have up to 1 TiB, and what is larger is
 * invalid; where not, it is a bad address.
 */
static void ask_huge(const struct ability *ability, struct caps_answer *answer)
{
	struct iovec iov;
	struct bench bench;
	int err;

	(void)ability;
	if (!bench_open(&bench, answer))
		return;
	iov = (struct iovec){bench.page, (1UL << 40) + limits_page_size()};
	err = io_uring_register_buffers(&bench.ring, &iov, 1);
	settle(answer, err == -EINVAL ? 0 : err);
	bench_close(&bench);
}

static void ask_query(const struct ability *ability, struct caps_answer *answer)
{
	(void)ability;
	if (!caps_can("io_uring"))
		caps_remark(answer, "no io_uring to try it on");
	else
		settle(answer, limits_register(-1, IORING_REGISTER_QUERY, NULL, 0));
}

static const struct ability abilities[] = {
	{"io_uring", "make a ring", "limits, load and bench cannot run", ask_io_uring},
	{"pbuf_legacy", "lend buffers by PROVIDE_BUFFERS", "no pools of this kind", ask_legacy},
	{"pbuf_ring", "lend buffers by a ring in own memory", "no pools of this kind", ask_group},
	{"pbuf_ring.mmap", "lend by a ring in kernel memory", "no pools of this kind", ask_mmap},
	{"pbuf_ring.inc", "lend buffers piecewise", "no pools of this kind", ask_group, NULL,
	 IOU_PBUF_RING_INC},
	{"pbuf_ring.inc.min_left", "retire a piecewise buffer early", "small rests are filled, too",
	 ask_min_left},
	{"pbuf_ring.again", "use a group's number a second time",
	 "numbers below 64 keep their old head", ask_again},
	{"pbuf_status", "ask for the head of an own group", "programs cannot ask what is left",
	 ask_status},
	{"recv_multishot", "receive again and again by one request", "a request per receive",
	 ask_request, NULL, RECV_MULTISHOT},
	{"read_multishot", "the same for reads", "a request per read", ask_request, NULL,
	 READ_MULTISHOT},
	{"recv_bundle", "receive into bundles of buffers", "a completion per buffer", ask_request,
	 NULL, RECV_BUNDLE},
	{"recv_bundle.at_once", "fill several of them by the first receive",
	 "a bundle begins with a single buffer", ask_request, NULL, RECV_BUNDLE_SEVERAL},
	{"send_select", "send buffers of a group", "groups serve receiving alone", ask_request,
	 NULL, SEND},
	{"fixed", "register buffers", "no pools of registered buffers", ask_fixed},
	{"fixed.sparse", "register empty slots, to fill them later",
	 "all buffers must be registered at once", ask_sparse},
	{"fixed.clone", "share registered buffers with another ring",
	 "each ring must register its own", ask_clone},
	{"fixed.vectored", "read and write registered buffers by vectors",
	 "one registered buffer a request", ask_fixed_request, NULL, BS_OP_READV_FIXED},
	{"fixed.recv", "receive into registered buffers", "received data goes elsewhere",
	 ask_fixed_request, NULL, IORING_OP_RECV},
	{"fixed.over_1g", "register more than 1 GiB as one buffer", "it takes several buffers",
	 ask_huge},
	{"ring.no_fd", "make a ring that has no descriptor", "each ring shows in /proc/PID/fd",
	 ask_setup, NULL, IORING_SETUP_NO_MMAP | IORING_SETUP_REGISTERED_FD_ONLY},
	{"ring.cqe_mixed", "mix short and long completions", "one size for a whole ring", ask_setup,
	 NULL, IORING_SETUP_CQE_MIXED},
	{"ring.sqe_mixed", "mix short and long requests", "one size for a whole ring", ask_setup,
	 NULL, IORING_SETUP_SQE_MIXED},
	{"ring.sq_rewind", "submit from the queue's start each time", "the queue is a ring",
	 ask_setup, NULL, IORING_SETUP_SQ_REWIND | IORING_SETUP_NO_SQARRAY},
	{"ring.filter", "let BPF filters refuse requests", "none are refused by their content",
	 ask_filter},
	{"query", "ask io_uring what it can do", "it is tried out instead", ask_query},
};

const struct caps_section caps_uring_section = {"io_uring", abilities, CAPS_NR(abilities)};
