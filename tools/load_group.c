// SPDX-License-Identifier: MIT
/* What may be sent to a group, what came out of it, what goes back into it? */
#include "load_group.h"

#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../lib/uapi.h"
#include "cmd.h"

#define NS_PER_S 1000000000ull

/* ---- opening */

static const char *memlock_hint(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		return "some kernels charge rings to RLIMIT_MEMLOCK: see ulimit -l";
	return NULL;
}

static int refused_pool(const struct load_group *g, int err, struct load_fault *fault)
{
	static const char *const kinds[] = {
		[BS_POOL_RING] = "buffer rings (Linux 5.19)",
		[BS_POOL_MMAP] = "buffer rings in kernel memory (Linux 6.4)",
		[BS_POOL_INC] = "incremental buffer rings (Linux 6.12)",
		[BS_POOL_LEGACY] = "buffers without a ring (Linux 5.17)",
	};

	if (err == EINVAL)
		return load_fault(fault, EXIT_UNSUPPORTED, NULL, "this kernel has no %s",
				  kinds[g->opts->kind]);
	return load_fault(fault, EXIT_FAILED, err == ENOMEM ? memlock_hint() : NULL,
			  "cannot open a pool for group %u: %s", g->bgid, strerror(err));
}

static int open_pool(struct load_group *g, struct io_uring *ring, struct load_fault *fault)
{
	const struct load_opts *opts = g->opts;
	struct bs_pool_opts wanted = {
		.size = sizeof(wanted),
		.kind = opts->kind,
		.buffers = opts->buffers,
		.buf_bytes = opts->buf_bytes,
		.bgid = g->bgid,
		.name = opts->name,
	};

	g->pool = bs_pool_open(ring, &wanted);
	if (!g->pool)
		return refused_pool(g, errno, fault);
	g->counts.returned = opts->buffers;
	return 0;
}

int load_group_open(struct load_group *g, struct io_uring *ring, struct load_fault *fault)
{
	const struct load_opts *opts = g->opts;

	g->max_bufs = opts->op->bundle ? opts->buffers : 1;
	g->per_buf = 1;
	if (opts->kind == BS_POOL_INC && !opts->op->bundle)
		g->per_buf = opts->buf_bytes / opts->message_bytes;
	if (opts->measure_hold && load_keep_measure(&g->keep) < 0)
		return load_fault(fault, EXIT_FAILED, NULL, "out of memory");
	if (load_source_open(&g->source, opts, fault) < 0 || open_pool(g, ring, fault) < 0)
		return -EIO;
	load_truth_publish(g->truth, &g->counts);
	return 0;
}

uint32_t load_group_slots(const struct load_group *g)
{
	struct bs_pool_stats stats;

	return bs_pool_read_stats(g->pool, &stats) == 0 ? stats.entries : 0;
}

void load_group_close(struct load_group *g)
{
	if (g->pool)
		bs_pool_close(g->pool);
	g->pool = NULL;
	load_source_close(&g->source);
	load_keep_done(&g->keep);
}

/* ---- sending */

bool load_group_is_done(const struct load_group *g)
{
	if (g->is_exhausted || g->opts->op->medium == MEDIUM_NONE)
		return true;
	return g->opts->count && g->counts.selected >= g->opts->count;
}

/*
 * Messages that may be on their way. Unless starving is wanted one buffer is left: a multishot
 * request may ask for the next one before it finds that there is no data.
 */
static uint64_t room(const struct load_group *g)
{
	uint64_t window = load_source_window(&g->source) / g->source.message_bytes;
	uint64_t available = g->counts.returned - g->counts.taken;
	uint64_t safe = available > 1 ? (available - 1) * g->per_buf : 1;

	return g->opts->starve || safe > window ? window : safe;
}

/* Messages that are due by the clock and not sent yet. */
static uint64_t overdue(const struct load_group *g, uint64_t elapsed_ns)
{
	uint64_t due;

	if (!g->opts->rate)
		return UINT64_MAX;
	due = (uint64_t)((unsigned __int128)elapsed_ns * g->opts->rate / NS_PER_S) + 1;
	return due > g->sent ? due - g->sent : 0;
}

uint64_t load_group_next_ns(const struct load_group *g)
{
	if (!g->opts->rate)
		return 0;
	/* Rounded up: at this moment it is due indeed. */
	return (uint64_t)(((unsigned __int128)g->sent * NS_PER_S + g->opts->rate - 1) /
			  g->opts->rate);
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * A bundle is one message of several buffers, and n buffers make at most n completions: so the
 * last messages before the wanted count are shorter. An incremental group may have begun its next
 * buffer, then a message touches one buffer more.
 */
static uint64_t bundle_bytes(const struct load_group *g, uint64_t buffers)
{
	if (g->source.queued)
		return 0;
	if (g->opts->kind == BS_POOL_INC && buffers)
		return buffers > 1
			       ? at_most((buffers - 1) * g->opts->buf_bytes, g->opts->message_bytes)
			       : 1;
	return at_most(buffers * g->opts->buf_bytes, g->opts->message_bytes);
}

uint64_t load_group_allowance(const struct load_group *g, uint64_t elapsed_ns,
			      uint64_t max_messages)
{
	uint64_t queued = load_source_messages(&g->source);
	uint64_t nr = room(g);

	if (load_group_is_done(g))
		return 0;
	/* Only part of a message found room: it arrives as a message of its own first. */
	if (g->source.is_stream && g->source.queued % g->source.message_bytes)
		return 0;
	if (g->opts->count)
		nr = at_most(nr, g->opts->count - g->counts.selected);
	nr = nr > queued ? at_most(nr - queued, max_messages) : 0;
	if (g->opts->op->bundle)
		return overdue(g, elapsed_ns) ? bundle_bytes(g, nr) : 0;
	return at_most(nr, overdue(g, elapsed_ns)) * g->source.message_bytes;
}

int64_t load_group_send(struct load_group *g, uint64_t bytes, struct load_fault *fault)
{
	int64_t sent = load_source_send(&g->source, bytes);

	if (sent == -EMSGSIZE || sent == -ENOBUFS)
		return load_fault(fault, EXIT_FAILED, "see sysctl net.core.wmem_max",
				  "a message of %u bytes does not fit a socket's memory",
				  g->opts->message_bytes);
	if (sent < 0)
		return load_fault(fault, EXIT_FAILED, NULL, "cannot send: %s",
				  strerror((int)-sent));
	if (g->opts->op->bundle)
		g->sent += sent > 0;
	else
		g->sent += (uint64_t)sent / g->source.message_bytes;
	return sent;
}

/* ---- requests */

uint32_t load_group_requests(const struct load_group *g, uint64_t bytes)
{
	uint64_t wanted = (bytes + g->source.message_bytes - 1) / g->source.message_bytes;

	if (g->is_exhausted)
		return 0;
	if (g->opts->op->multishot || g->opts->op->bundle)
		wanted = wanted > 0;
	return wanted > g->counts.armed ? (uint32_t)(wanted - g->counts.armed) : 0;
}

void load_group_arm(struct load_group *g, struct io_uring_sqe *sqe)
{
	static struct msghdr no_name; /* the kernel reads it at submission */
	const struct load_op *op = g->opts->op;
	bool is_file = op->medium == MEDIUM_FILE;

	io_uring_prep_rw(op->opcode, sqe, g->source.read_fd,
			 op->opcode == IORING_OP_RECVMSG ? &no_name : NULL,
			 is_file ? g->opts->message_bytes : op->opcode == IORING_OP_RECVMSG,
			 is_file ? load_source_next_offset(&g->source) : 0);
	sqe->ioprio = op->ioprio;
	if (g->opts->async)
		sqe->flags |= IOSQE_ASYNC;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = g->bgid;
	g->counts.armed++;
}

/* ---- completions */

static int refused_request(const struct load_group *g, int res, struct load_fault *fault)
{
	const struct load_op *op = g->opts->op;

	/* Only what no probe tells comes this far, and it shows at once. */
	if (res == -EINVAL && g->counts.selected == 0)
		return load_fault(fault, EXIT_UNSUPPORTED, NULL, "this kernel has no %s",
				  op->needs);
	if (res == 0)
		return load_fault(fault, EXIT_FAILED, NULL,
				  "group %u: %s found no data where %llu "
				  "bytes were on their way",
				  g->bgid, op->name, (unsigned long long)g->source.queued);
	return load_fault(fault, EXIT_FAILED, NULL, "group %u: %s failed: %s", g->bgid, op->name,
			  strerror(-res));
}

/*
 * The first buffers of a group are leaked, all pieces of each. Moves the others together, returns
 * their number.
 */
static uint32_t leak(struct load_group *g, struct bs_buf *bufs, uint32_t nr)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < nr; i++) {
		if (!g->in_piece)
			g->is_leaking = g->counts.leaked < g->opts->leak;
		g->in_piece = bufs[i].more;
		if (!g->is_leaking)
			bufs[kept++] = bufs[i];
		else if (!g->in_piece)
			g->truth->leaked_bids[g->counts.leaked++] = bufs[i].bid;
	}
	return kept;
}

/*
 * Some kernels (6.16 to 6.18 as first released) forget IORING_CQE_F_BUF_MORE where a request uses
 * its buffer up when it selects it, as on files: nobody can tell what they took. The first
 * completion of a group shows it.
 */
static bool forgets_more(const struct load_group *g, const struct io_uring_cqe *cqe)
{
	return g->opts->kind == BS_POOL_INC && g->counts.selected == 1 && cqe->res > 0 &&
	       (uint32_t)cqe->res < g->opts->buf_bytes && !(cqe->flags & IORING_CQE_F_BUF_MORE);
}

static int take(struct load_group *g, const struct io_uring_cqe *cqe, struct load_fault *fault)
{
	struct bs_buf *bufs = load_keep_reserve(&g->keep, g->max_bufs);
	int nr;

	if (forgets_more(g, cqe))
		return load_fault(
			fault, EXIT_UNSUPPORTED, NULL,
			"this kernel does not tell when %s has used up an incremental buffer",
			g->opts->op->name);
	if (!bufs)
		return load_fault(fault, EXIT_FAILED, NULL, "out of memory");
	nr = bs_pool_take(g->pool, cqe, bufs, g->max_bufs);
	if (nr < 0)
		return load_fault(fault, EXIT_FAILED, NULL,
				  "group %u: a completion (result %d, flags %#x) does not fit: %s",
				  g->bgid, cqe->res, cqe->flags, strerror(-nr));
	for (int i = 0; i < nr; i++)
		g->counts.taken += !bufs[i].more;
	load_keep_add(&g->keep, g->opts->leak ? leak(g, bufs, (uint32_t)nr) : (uint32_t)nr);
	return 0;
}

static void count(struct load_group *g, const struct io_uring_cqe *cqe)
{
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		g->counts.selected++;
		g->counts.partial += !!(cqe->flags & IORING_CQE_F_BUF_MORE);
		g->counts.bytes += cqe->res > 0 ? (uint64_t)cqe->res : 0;
	}
	if (cqe->res == -ENOBUFS) {
		g->counts.starved++;
		g->is_dry = true;
	}
	if (!g->opts->op->multishot) {
		g->counts.armed--;
	} else if (!(cqe->flags & IORING_CQE_F_MORE)) {
		g->counts.armed--;
		g->counts.mshot_ended++;
	}
}

int64_t load_group_complete(struct load_group *g, const struct io_uring_cqe *cqe,
			    struct load_fault *fault)
{
	count(g, cqe);
	if (take(g, cqe, fault) < 0)
		return -EIO;
	if (cqe->res > 0)
		return (int64_t)load_source_receive(&g->source, (uint32_t)cqe->res);
	if (cqe->res == -ENOBUFS || cqe->res == -ECANCELED)
		return 0;
	return refused_request(g, cqe->res, fault);
}

/* ---- returns */

static int give(struct load_group *g, uint32_t whole, struct load_fault *fault)
{
	uint32_t pieces = load_keep_pieces(&g->keep, whole);
	int err = bs_pool_give(g->pool, load_keep_oldest(&g->keep), pieces);

	if (err)
		return load_fault(fault, EXIT_FAILED, NULL, "group %u: cannot return buffers: %s",
				  g->bgid, strerror(-err));
	load_keep_drop(&g->keep, pieces, whole);
	g->counts.returned += whole;
	return 0;
}

int load_group_return(struct load_group *g, bool all, struct load_fault *fault)
{
	uint32_t spare = g->keep.whole > g->opts->hold ? g->keep.whole - g->opts->hold : 0;
	uint32_t batch = g->opts->batch ? g->opts->batch : spare;

	if (g->is_dry) {
		all = true;
		g->is_dry = false;
		g->is_exhausted = !spare && g->counts.taken == g->counts.returned;
	}
	if (g->opts->starve && !all)
		return 0;
	while (spare && (all || spare >= batch)) {
		uint32_t nr = spare < batch ? spare : batch;

		if (give(g, nr, fault) < 0)
			return -EIO;
		spare -= nr;
	}
	return 0;
}

/* ---- the end */

static int compare(const struct load_group *g, const char *what, uint64_t theirs, uint64_t ours,
		   struct load_fault *fault)
{
	if (theirs == ours)
		return 0;
	return load_fault(fault, EXIT_FAILED, NULL, "group %u: the pool's %s is %llu, counted %llu",
			  g->bgid, what, (unsigned long long)theirs, (unsigned long long)ours);
}

static int check_pool(const struct load_group *g, struct load_fault *fault)
{
	struct bs_pool_stats stats;
	int err = bs_pool_read_stats(g->pool, &stats);

	if (err)
		return load_fault(fault, EXIT_FAILED, NULL, "group %u: cannot read the pool: %s",
				  g->bgid, strerror(-err));
	if (compare(g, "selected", stats.selected, g->counts.selected, fault) < 0 ||
	    compare(g, "partial", stats.partial, g->counts.partial, fault) < 0 ||
	    compare(g, "taken", stats.taken, g->counts.taken, fault) < 0 ||
	    compare(g, "returned", stats.returned, g->counts.returned, fault) < 0 ||
	    compare(g, "starved", stats.starved, g->counts.starved, fault) < 0 ||
	    compare(g, "bytes", stats.bytes, g->counts.bytes, fault) < 0)
		return -EIO;
	return 0;
}

static int check_head(struct load_group *g, int ring_fd, struct load_fault *fault)
{
	struct bs_buf_status status = {.buf_group = g->bgid};

	if (g->opts->kind == BS_POOL_LEGACY) /* has no head */
		return 0;
	if (syscall(__NR_io_uring_register, ring_fd, IORING_REGISTER_PBUF_STATUS, &status, 1) < 0)
		return 0; /* kernels before 6.8 do not tell */
	g->truth->check =
		(uint16_t)status.head == (uint16_t)g->counts.taken ? CHECK_AGREES : CHECK_DIFFERS;
	if (g->truth->check == CHECK_AGREES)
		return 0;
	return load_fault(fault, EXIT_FAILED, NULL,
			  "group %u: the kernel's head is %u, counted %llu (%u in 16 bits)",
			  g->bgid, (uint16_t)status.head, (unsigned long long)g->counts.taken,
			  (uint16_t)g->counts.taken);
}

int load_group_check(struct load_group *g, int ring_fd, struct load_fault *fault)
{
	int err = check_head(g, ring_fd, fault);

	if (!err)
		err = check_pool(g, fault);
	g->truth->hold = load_keep_times(&g->keep);
	g->truth->is_exhausted = g->is_exhausted;
	load_truth_publish(g->truth, &g->counts);
	return err;
}
