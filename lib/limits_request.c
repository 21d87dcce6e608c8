// SPDX-License-Identifier: MIT
/* Which requests may select a buffer or name a registered one, and what are the others told? */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "limits_stage.h"
#include "limits_table.h"
#include "limits_target.h"

enum op {
	OP_RECV,
	OP_RECVMSG,
	OP_SEND,
	OP_READ,
	OP_READV,
	OP_READ_MULTISHOT,
	OP_READ_FIXED,
	OP_WRITE,
	OP_ACCEPT,
	OP_NOP,
};

enum entry { ENTRY_GOOD, ENTRY_EMPTY, ENTRY_UNMAPPED, ENTRY_KERNEL, ENTRY_UNPUBLISHED };

/* One request, with data waiting; what is not set here is as it should be. */
struct request_case {
	struct limits_stage_opts stage;
	enum op op;
	enum entry entry; /* of the one that would be selected */
	unsigned int ioprio;
	unsigned int msg_flags;
	unsigned int len;
	uint16_t other_bgid; /* select from there */
	bool no_select;
	bool two_iovecs;
	bool regular_file;
	/* READ_FIXED: of a table of one page */
	bool no_table;
	bool empty_slot;
	unsigned int index;
	unsigned int past; /* bytes past the end of the buffer */
};

static void add_entry(struct limits_stage *s, enum entry entry)
{
	size_t page = limits_page_size();
	void *hole;

	switch (entry) {
	case ENTRY_GOOD:
		return;
	case ENTRY_EMPTY:
		limits_stage_add(s, 0, s->memory, 0);
		break;
	case ENTRY_UNMAPPED:
		hole = limits_map(page);
		if (hole)
			munmap(hole, page);
		limits_stage_add(s, 0, hole, 64);
		break;
	case ENTRY_KERNEL:
		limits_stage_add(s, 0, limits_kernel_address(), 64);
		break;
	case ENTRY_UNPUBLISHED:
		limits_stage_put(s, 0);
		return;
	}
	limits_stage_publish(s);
}

static int register_page(struct limits_stage *s, const struct request_case *c)
{
	struct iovec iov = {limits_map(limits_page_size()), limits_page_size()};

	if (c->no_table)
		return 0;
	if (c->empty_slot)
		iov = (struct iovec){0};
	s->memory = iov.iov_base;
	return limits_register(s->ring.ring_fd, IORING_REGISTER_BUFFERS, &iov, 1);
}

static void prepare(struct limits_stage *s, const struct request_case *c, struct io_uring_sqe *sqe)
{
	static struct iovec iov[2];
	static struct msghdr msg = {.msg_iov = iov};

	msg.msg_iovlen = c->two_iovecs ? 2 : 1;
	switch (c->op) {
	case OP_RECV:
		io_uring_prep_recv(sqe, s->in, NULL, c->len, (int)c->msg_flags);
		break;
	case OP_RECVMSG:
		io_uring_prep_recvmsg(sqe, s->in, &msg, c->msg_flags);
		break;
	case OP_SEND:
		io_uring_prep_send(sqe, s->in, NULL, c->len, (int)c->msg_flags);
		break;
	case OP_READ:
		io_uring_prep_read(sqe, s->in, NULL, c->len, (uint64_t)-1);
		break;
	case OP_READV:
		io_uring_prep_readv(sqe, s->in, iov, msg.msg_iovlen, (uint64_t)-1);
		break;
	case OP_READ_MULTISHOT:
		io_uring_prep_rw(BS_OP_READ_MULTISHOT, sqe, s->in, NULL, c->len, (uint64_t)-1);
		break;
	case OP_READ_FIXED:
		io_uring_prep_read_fixed(sqe, s->in, s->memory + c->past,
					 (unsigned int)limits_page_size(), (uint64_t)-1,
					 (int)c->index);
		break;
	case OP_WRITE:
		io_uring_prep_write(sqe, s->in, s->memory, 1, (uint64_t)-1);
		break;
	case OP_ACCEPT:
		io_uring_prep_accept(sqe, s->in, NULL, NULL, 0);
		break;
	case OP_NOP:
		io_uring_prep_nop(sqe);
		break;
	}
}

static void answer_event(struct limits_answer *answer, const struct limits_event *e)
{
	limits_answer_refusal(answer, e->res);
	if (e->res >= 0)
		snprintf(answer->note, sizeof(answer->note), "result %d%s%s", e->res,
			 e->flags & IORING_CQE_F_BUFFER ? ", with a buffer" : ", without a buffer",
			 e->flags & IORING_CQE_F_SOCK_NONEMPTY ? ", more data waits" : "");
	else if (e->flags & IORING_CQE_F_BUFFER)
		snprintf(answer->note, sizeof(answer->note), "the buffer is consumed nevertheless");
}

static int play(struct limits_stage *s, const struct request_case *c, struct limits_event *event)
{
	struct io_uring_sqe *sqe;
	int err = 0;

	add_entry(s, c->entry);
	if (c->regular_file)
		s->in = memfd_create("bufscope", MFD_CLOEXEC);
	else if (s->out >= 0)
		err = limits_stage_send(s, 100, 0);
	if (!err && c->op == OP_READ_FIXED)
		err = register_page(s, c);
	if (err)
		return err;
	sqe = io_uring_get_sqe(&s->ring);
	prepare(s, c, sqe);
	sqe->ioprio = (uint16_t)c->ioprio;
	if (!c->no_select) {
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = c->other_bgid ? c->other_bgid : STAGE_BGID;
	}
	err = limits_stage_submit(s);
	return err ? err : limits_stage_next(s, event);
}

static int ask_request_case(const struct limits_env *env, struct limits_answer *answer)
{
	const struct request_case *c = env->arg;
	struct limits_event event;
	struct limits_stage s;
	int err = limits_stage_open(&s, &c->stage);

	if (!err)
		err = play(&s, c, &event);
	if (err == -ETIME) {
		answer->how = LIMITS_TRIED;
		answer->verdict = LIMITS_ACCEPTED;
		snprintf(answer->note, sizeof(answer->note), "waits");
		return 0;
	}
	if (!err)
		answer_event(answer, &event);
	return err;
}

static const char call_select[] = "select";

#define ONE   .stage.provided = 1
#define FIXED .op = OP_READ_FIXED, .stage.ends = ENDS_PIPE
#define CASE(...)                                                                                  \
	.ask = ask_request_case, .arg = &(const struct request_case)                               \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define SELECT(...)     CASE(__VA_ARGS__), .call = call_select
#define READ_FIXED(...) CASE(FIXED, .no_select = true, __VA_ARGS__), .call = "read-fixed"

static const struct limits_probe probes[] = {
	{"request.unknown_group", "recv: unknown group", SELECT(ONE, .other_bgid = 999),
	 .detail = "no group has this id"},
	{"request.empty_group", "recv: empty group", SELECT(.entry = ENTRY_GOOD),
	 .detail = "the group holds no buffers"},
	{"request.unpublished", "recv: tail not advanced", SELECT(.entry = ENTRY_UNPUBLISHED),
	 .detail = "buffers were written into the ring, but its tail was not advanced"},
	{"request.zero_entry", "recv: entry of length 0", SELECT(.entry = ENTRY_EMPTY),
	 .detail = "none, but no data: the entry has length 0, which looks like the end of file"},
	{"request.unmapped_entry", "recv: entry not mapped", SELECT(.entry = ENTRY_UNMAPPED),
	 .detail = "the entry's address is not mapped"},
	{"request.kernel_entry", "recv: a kernel address", SELECT(.entry = ENTRY_KERNEL),
	 .detail = "the entry's address is a kernel address"},
	{"request.waitall", "recv with MSG_WAITALL", SELECT(ONE, .msg_flags = MSG_WAITALL),
	 .detail = "none: one-shot recv may wait for all"},
	{"request.mshot", "multishot recv", SELECT(ONE, .ioprio = IORING_RECV_MULTISHOT),
	 .detail = "none: a multishot recv"},
	{"request.mshot_no_select", "multishot without select",
	 SELECT(ONE, .ioprio = IORING_RECV_MULTISHOT, .no_select = true),
	 .detail = "multishot recv without IOSQE_BUFFER_SELECT"},
	{"request.mshot_waitall", "multishot, MSG_WAITALL",
	 SELECT(ONE, .ioprio = IORING_RECV_MULTISHOT, .msg_flags = MSG_WAITALL),
	 .detail = "multishot recv with MSG_WAITALL"},
	{"request.mshot_length", "multishot with a length",
	 SELECT(ONE, .ioprio = IORING_RECV_MULTISHOT, .len = 10),
	 .detail = "multishot recv with a length"},
	{"request.unknown_ioprio", "recv: unknown ioprio bits", SELECT(ONE, .ioprio = 1 << 14),
	 .detail = "ioprio bits that the kernel does not know"},
	{"request.bundle", "recv bundle", SELECT(ONE, .ioprio = IORING_RECVSEND_BUNDLE),
	 .detail = "none: a bundle (before 6.10 the bit is unknown)"},
	{"request.bundle_unknown", "bundle: unknown group",
	 SELECT(ONE, .ioprio = IORING_RECVSEND_BUNDLE, .other_bgid = 999),
	 .detail = "a bundle, and no group has this id"},
	{"request.bundle_empty", "bundle: empty group", SELECT(.ioprio = IORING_RECVSEND_BUNDLE),
	 .detail = "a bundle, and the group holds no buffers"},
	{"request.bundle_no_select", "bundle without select",
	 SELECT(ONE, .ioprio = IORING_RECVSEND_BUNDLE, .no_select = true),
	 .detail = "a bundle without IOSQE_BUFFER_SELECT"},
	{"request.bundle_recvmsg", "bundle with recvmsg",
	 SELECT(ONE, .op = OP_RECVMSG, .ioprio = IORING_RECVSEND_BUNDLE),
	 .detail = "recvmsg cannot be a bundle"},
	{"request.recvmsg_two", "recvmsg, two iovecs",
	 SELECT(ONE, .op = OP_RECVMSG, .two_iovecs = true),
	 .detail = "recvmsg with buffer select and two iovecs"},
	{"request.readv_two", "readv, two iovecs",
	 SELECT(ONE, .op = OP_READV, .two_iovecs = true, .stage.ends = ENDS_PIPE),
	 .detail = "readv with buffer select and two iovecs"},
	{"request.read", "read with select", SELECT(ONE, .op = OP_READ, .stage.ends = ENDS_PIPE),
	 .detail = "none: a read with buffer select"},
	{"request.read_mshot", "multishot read",
	 SELECT(ONE, .op = OP_READ_MULTISHOT, .stage.ends = ENDS_PIPE),
	 .detail = "none: a multishot read (before 6.7 the opcode is unknown)"},
	{"request.read_mshot_no_select", "multishot read, no select",
	 SELECT(ONE, .op = OP_READ_MULTISHOT, .stage.ends = ENDS_PIPE, .no_select = true),
	 .detail = "multishot read without IOSQE_BUFFER_SELECT"},
	{"request.read_mshot_file", "multishot read of a file",
	 SELECT(ONE, .op = OP_READ_MULTISHOT, .regular_file = true),
	 .detail = "multishot read of a file that cannot be polled"},
	{"request.send", "send with select", SELECT(ONE, .op = OP_SEND),
	 .detail = "none: a send with buffer select (since 6.10)"},
	{"request.send_unknown", "send: unknown group",
	 SELECT(ONE, .op = OP_SEND, .other_bgid = 999), .detail = "send, and no group has this id"},
	{"request.write", "write with select", SELECT(ONE, .op = OP_WRITE),
	 .detail = "write does not select buffers"},
	{"request.accept", "accept with select", SELECT(ONE, .op = OP_ACCEPT),
	 .detail = "accept does not select buffers"},
	{"request.nop", "nop with select", SELECT(ONE, .op = OP_NOP),
	 .detail = "nop does not select buffers"},
	{"request.read_fixed_select", "read_fixed with select", CASE(ONE, FIXED),
	 .call = call_select, .detail = "read_fixed does not select buffers"},

	{"request.fixed", "read_fixed", READ_FIXED(.index = 0),
	 .detail = "none: within the buffer"},
	{"request.fixed_no_table", "read_fixed: no table", READ_FIXED(.no_table = true),
	 .detail = "the ring has no table of buffers"},
	{"request.fixed_index", "read_fixed: bad index", READ_FIXED(.index = 1),
	 .detail = "buf_index is past the end of the table"},
	{"request.fixed_past_end", "read_fixed: past the end", READ_FIXED(.past = 1),
	 .detail = "the range reaches past the end of the registered buffer"},
	{"request.fixed_empty_slot", "read_fixed: empty slot", READ_FIXED(.empty_slot = true),
	 .detail = "the slot is empty"},
};

const struct limits_section limits_request_section = {
	.name = "request",
	.title = "requests",
	.probes = probes,
	.nr = LIMITS_NR(probes),
};
