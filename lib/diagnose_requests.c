// SPDX-License-Identifier: MIT
/* What went wrong with requests, and what was told of them that is not so? */
#include "diagnose_bench.h"

#include <errno.h>
#include <inttypes.h>

#include "shortage.h"
#include "text.h"

#define GRACE_NS     300000000ULL /* for a program to arm a request again */
#define SPINS        10
#define SURELY_AGAIN 4
#define UNSELECTED   4
#define MOST_ENTRIES 32768
#define FALLBACKS    16

static bool is_dead(const struct case_group *group, const struct book_stream *stream)
{
	return stream->ended_ns && casebook_known_ns(group) > stream->ended_ns + GRACE_NS;
}

/* Of one sort. */
struct dead {
	uint32_t nr;
	char names[EVIDENCE_BYTES];
};

static void list_dead(struct dead *dead, const struct case_group *group,
		      const struct book_stream *stream)
{
	if (++dead->nr > MOST_LISTED)
		return;
	bench_say(dead->names, dead->nr > 1 ? ", " : ": ");
	bench_say_file(dead->names, stream);
	bench_say(dead->names, " since ");
	bench_say_span(dead->names, casebook_known_ns(group) - stream->ended_ns);
}

static void find_dead(const struct case_group *group, struct dead *waiting, struct dead *silent)
{
	for (uint32_t i = 0; i < group->nr_streams; i++) {
		const struct book_stream *stream = &group->streams[i];
		bool is_silent = stream->ended_with_buffer && group->sums.bundles;

		if (is_dead(group, stream) && (is_silent || casebook_available(group)) &&
		    !casebook_is_known_elsewhere(group, stream))
			list_dead(is_silent ? silent : waiting, group, stream);
	}
	if (!group->laid.count)
		return;
	bench_say(waiting->names, "%s%sfd %d for ", waiting->nr ? ", " : ": ",
		  group->laid.count > 1 ? "the last " : "", group->laid.fd);
	bench_say_span(waiting->names, group->laid.ns);
	bench_say(waiting->names, ", then it was closed");
	waiting->nr += group->laid.count;
}

static void judge_dead(struct bench *bench)
{
	const struct case_group *group = bench->group;
	struct dead waiting = {0}, silent = {0};
	struct finding *finding;

	/* a request that was not told looks like none */
	if (bench_may_miss(bench))
		return;
	find_dead(group, &waiting, &silent);
	if (waiting.nr && (finding = bench_add(bench, NOT_REARMED, CONFIDENCE_LIKELY))) {
		bench_say_nr(finding->evidence, waiting.nr, "request");
		bench_say(finding->evidence, " ended%s; ", waiting.names);
		bench_say_nr(finding->evidence,
			     group->laid.count ? group->laid.available : casebook_available(group),
			     "buffer");
		bench_say(finding->evidence, " available");
	}
	if (silent.nr && (finding = bench_add(bench, BUNDLE_EXHAUSTED, CONFIDENCE_CERTAIN)))
		bench_say(finding->evidence, "ended with data and an empty group: %u%s", silent.nr,
			  silent.names);
}

static void judge_streams(struct bench *bench)
{
	const struct case_group *group = bench->group;
	const struct book_stream *spin = NULL, *fallback = NULL;
	struct finding *finding;

	for (uint32_t i = 0; i < group->nr_streams; i++) {
		const struct book_stream *stream = &group->streams[i];

		if (stream->most_spins >= SPINS && (!spin || stream->most_spins > spin->most_spins))
			spin = stream;
		if (stream->starved && stream->plain >= FALLBACKS && casebook_available(group) &&
		    casebook_known_ns(group) > stream->plain_ns + GRACE_NS)
			fallback = stream;
	}
	if (spin && (finding = bench_add(bench, REARM_SPIN, CONFIDENCE_CERTAIN))) {
		bench_say(finding->evidence, "%u requests in a row on ", spin->most_spins);
		bench_say_file(finding->evidence, spin);
		bench_say(finding->evidence, " starved when issued");
	}
	if (fallback && (finding = bench_add(bench, FALLBACK_STAYS, CONFIDENCE_LIKELY))) {
		bench_say(finding->evidence, "%" PRIu64 " requests with a buffer of their own on ",
			  fallback->plain);
		bench_say_file(finding->evidence, fallback);
		bench_say(finding->evidence, " since it starved; %u buffers are available",
			  casebook_available(group));
	}
}

/* ---- what the kernel says, and what it does */

/*
 * What the ring's entries would explain is the program's doing. A kernel that gives one buffer to
 * two requests (MSG_WAITALL, 6.4 to 6.16.1 and their stable series) is not to be had any more;
 * a program that writes over entries that it has published looks the same.
 */
static void judge_delivered(struct bench *bench)
{
	const struct case_group *group = bench->group;
	uint32_t nr = group->sums.owed < group->quiet.owed ? group->sums.owed : group->quiet.owed;
	struct finding *finding;

	/* a message that names them is no delivery; one whose return was not read is not held */
	if (group->sums.named > group->quiet.taken || group->unread)
		return;
	/* of one or two the returns may be on their way */
	if (nr < SURELY_AGAIN || bench_is_sure(bench, LINT_DUPLICATE) ||
	    bench_is_sure(bench, LINT_OVERFILLED) || group->sums.double_returns)
		return;
	finding = bench_add(bench, DELIVERED_TWICE, CONFIDENCE_POSSIBLE);
	if (!finding)
		return;
	bench_say(finding->evidence, "%u buffers, such as bid %u", nr, group->sums.owed_bid);
	if (group->sums.waitall)
		bench_say(finding->evidence, "; %" PRIu64 " requests with MSG_WAITALL",
			  group->sums.waitall);
}

/*
 * A request that fails may put its buffer back. Some kernels (6.1) say in any case which it was:
 * whether it still lies there is told by the entry at the head, but not where the next one has the
 * same number. So failures on entries that were never written look like no taking at all.
 */
static bool has_equal_entries(const struct bench *bench)
{
	return bench_is_sure(bench, LINT_ZERO_LENGTH) || bench_is_sure(bench, LINT_DUPLICATE);
}

static void judge_agreement(struct bench *bench)
{
	const struct case_group *group = bench->group;
	const struct case_quiet *quiet = &group->quiet;
	const struct casebook *book = bench->what->book;
	struct finding *finding;

	/* with records lost the books disagree with everything */
	if (bench_may_miss(bench))
		return;
	judge_delivered(bench);
	/* what is some group's, nobody knows whose, may be what is lacking here, or too much */
	if (quiet->found.taken > quiet->found.named + book->unattributed + book->guessed &&
	    !has_equal_entries(bench) &&
	    (finding = bench_add(bench, TAKEN_UNTOLD, CONFIDENCE_LIKELY)))
		bench_say(finding->evidence,
			  "%" PRIu64 " buffers taken, %" PRIu64 " of them named by completions",
			  quiet->found.taken, quiet->found.named);
	if (quiet->found.named > quiet->found.taken + book->guessed &&
	    (finding = bench_add(bench, NAMED_NOT_TAKEN, CONFIDENCE_LIKELY)))
		bench_say(finding->evidence,
			  "%" PRIu64 " buffers named by completions, %" PRIu64 " taken",
			  quiet->found.named, quiet->found.taken);
	if (quiet->astray && (finding = bench_add(bench, CURSOR_ASTRAY, CONFIDENCE_CERTAIN)))
		bench_say(finding->evidence,
			  "bid %u: its position moved %" PRId64 " bytes more than was received",
			  quiet->astray_bid, quiet->astray);
	if (group->sums.after_last > book->guessed &&
	    (finding = bench_add(bench, AFTER_LAST, CONFIDENCE_LIKELY)))
		bench_say(finding->evidence,
			  "completions with a buffer while no request was under way: %" PRIu64,
			  group->sums.after_last);
}

/* ---- requests that wait, or never began */

#define WAITING_NS 1000000000ULL

static void judge_armed(struct bench *bench)
{
	const struct case_group *group = bench->group;
	struct finding *finding;
	struct losses losses;

	/* one whose end was not told seems to be armed */
	if (!group->sums.provided || group->waited.ns < WAITING_NS || bench_may_miss(bench))
		return;
	/* said already: the buffers are lost */
	losses_of(group, UINT64_MAX, &losses);
	if (losses.all * 2 >= group->sums.provided)
		return;
	finding = bench_add(bench, ARMED_ON_EMPTY, CONFIDENCE_LIKELY);
	if (!finding)
		return;
	bench_say_nr(finding->evidence, group->waited.open, "request");
	bench_say(finding->evidence, " armed, no buffer for ");
	bench_say_span(finding->evidence, group->waited.ns);
	bench_say(finding->evidence, "; the program held %u of %u", group->waited.held,
		  group->sums.provided);
}

/* One file may be closed for any reason. */
#define SURELY_CLOSED 2

static void judge_closed(struct bench *bench)
{
	const struct case_group *group = bench->group;
	struct finding *finding;

	if (group->sums.closed.count < SURELY_CLOSED || !group->sums.closed.after ||
	    bench_may_miss(bench))
		return;
	finding = bench_add(bench, CLOSED_ON_STARVE, CONFIDENCE_LIKELY);
	if (finding)
		bench_say(finding->evidence,
			  "%" PRIu64 " files, the last fd %d; the group went on with %" PRIu64
			  " requests",
			  group->sums.closed.count, group->sums.closed.fd,
			  group->sums.closed.after);
}

static void judge_remainder(struct bench *bench)
{
	const struct case_group *group = bench->group;
	struct finding *finding;

	/* a whole buffer that fails is at a bad address */
	if (!group->sums.cut_short.count || group->sums.cut_short.left >= group->lint.buf_bytes ||
	    bench_is_sure(bench, LINT_BAD_ADDRESS))
		return;
	finding = bench_add(bench, REMAINDER_SMALL, CONFIDENCE_CERTAIN);
	if (!finding)
		return;
	bench_say_nr(finding->evidence, group->sums.cut_short.count, "request");
	bench_say(finding->evidence, " ended with -EFAULT, the last with %u of %u bytes left",
		  group->sums.cut_short.left, group->lint.buf_bytes);
}

static void judge_refused_rest(struct bench *bench)
{
	const struct case_group *group = bench->group;
	struct finding *finding;

	/* a whole buffer that is refused is no remainder */
	if (!group->sums.refused_rest.count ||
	    group->sums.refused_rest.left >= group->lint.buf_bytes)
		return;
	finding = bench_add(bench, REMAINDER_REFUSED, CONFIDENCE_LIKELY);
	if (!finding)
		return;
	bench_say_nr(finding->evidence, group->sums.refused_rest.count, "request");
	bench_say(finding->evidence, " ended with -EINVAL, the last with %u of %u bytes left",
		  group->sums.refused_rest.left, group->lint.buf_bytes);
}

/* ---- how much a request takes of what it could */

/*
 * Bundles of one buffer are of 6.10, and of AF_UNIX sockets before 6.17, which do not tell that
 * more waits. None of the kernels that one gets now, 6.1.0-56 to 7.3.4, shows them where that is
 * told: so no scenario plays them, and the test of this is one of records.
 */
#define SURELY_SINGLE 8
#define SURELY_CUT    2

static void judge_extents(struct bench *bench)
{
	const struct case_group *group = bench->group;
	struct finding *finding;

	if (group->sums.lone.count >= SURELY_SINGLE && !group->sums.bundles &&
	    !bench_may_miss(bench) &&
	    (finding = bench_add(bench, BUNDLE_SINGLE, CONFIDENCE_LIKELY)))
		bench_say(finding->evidence,
			  "%" PRIu64 " bundles of one full buffer (the last of %u bytes) though "
			  "more data waited and there were buffers, none of several",
			  group->sums.lone.count, group->sums.lone.bytes);
	if (group->sums.cut.count >= SURELY_CUT &&
	    (finding = bench_add(bench, SEND_CUT, CONFIDENCE_LIKELY)))
		bench_say(finding->evidence,
			  "%" PRIu64 " sends ended at the length in their request, the last after "
			  "%u of %u bytes",
			  group->sums.cut.count, group->sums.cut.bytes, group->sums.cut_from);
}

#define IOSQE_SELECT    32
#define RECV_MULTI      2
#define RECV_IN_BUNDLES 16
#define OP_RECVMSG      10
#define OP_RECV         27

/* NULL: no guess. */
static const char *mistake_of(const struct case_mistake *mistake)
{
	bool is_recv = mistake->opcode == OP_RECV || mistake->opcode == OP_RECVMSG;

	if (mistake->res == -EOPNOTSUPP && mistake->sqe_flags & IOSQE_SELECT)
		return "this operation cannot select buffers";
	if (is_recv && mistake->ioprio & RECV_MULTI && !(mistake->sqe_flags & IOSQE_SELECT))
		return "multishot without IOSQE_BUFFER_SELECT";
	if (is_recv && mistake->ioprio & RECV_IN_BUNDLES && !(mistake->sqe_flags & IOSQE_SELECT))
		return "a bundle without IOSQE_BUFFER_SELECT";
	if (mistake->opcode == OP_RECVMSG && mistake->ioprio & RECV_IN_BUNDLES)
		return "bundles are for recv, not for recvmsg";
	if (mistake->opcode == OP_RECV && mistake->ioprio & RECV_IN_BUNDLES)
		return "this kernel does not know bundles, which came with 6.10";
	if (is_recv && mistake->ioprio & RECV_MULTI)
		return "multishot with MSG_WAITALL, or with a flag that this kernel does not know";
	if (mistake->res == -EINVAL && mistake->sqe_flags & IOSQE_SELECT)
		return "selecting takes one buffer: not several iovecs";
	return NULL;
}

static void judge_mistakes(struct bench *bench)
{
	const struct case_group *group = bench->group;
	const struct case_mistake *mistake = &group->mistake;
	const char *guess = mistake_of(mistake);
	struct finding *finding;

	if (mistake->count && (finding = bench_add(bench, REQUEST_REFUSED, CONFIDENCE_CERTAIN))) {
		bench_say_nr(finding->evidence, mistake->count, "request");
		bench_say(finding->evidence,
			  ", the last (opcode %u, flags %#x, ioprio %#x) with -%s", mistake->opcode,
			  mistake->sqe_flags, mistake->ioprio, text_errno(-mistake->res));
		if (guess)
			bench_say(finding->evidence, ": %s", guess);
	}
	if (group->sums.unselected >= UNSELECTED && !group->nr_streams && !bench_may_miss(bench) &&
	    !group->sums.lost_streams &&
	    (finding = bench_add(bench, NOT_SELECTED, CONFIDENCE_LIKELY)))
		bench_say(finding->evidence,
			  "%" PRIu64 " receives that name the group and do not select, none that "
			  "does",
			  group->sums.unselected);
}

/* ---- calls */

static const char *refusal_of(const struct case_refusal *refusal)
{
	switch (-refusal->res) {
	case EEXIST:
		return "the id is in use on this ring, or the ring belongs to another thread "
		       "(IORING_SETUP_SINGLE_ISSUER)";
	case EINVAL:
		if (!refusal->entries || refusal->entries & (refusal->entries - 1))
			return "the entries are no power of two";
		if (refusal->entries > MOST_ENTRIES)
			return "more than 32768 entries";
		if (refusal->addr & 4095)
			return "the address is not that of a page";
		return "a flag that this kernel does not know, or a reserved field that is not "
		       "zero";
	case EFAULT:
		return "the memory is not mapped for writing";
	case ENOMEM:
		return "no memory, or RLIMIT_MEMLOCK is used up";
	case ENOENT:
		return "there is no such group";
	default:
		return NULL;
	}
}

static void judge_refusal(struct bench *bench)
{
	const struct case_refusal *refusal = &bench->group->refusal;
	const char *guess = refusal_of(refusal);
	struct finding *finding;

	if (!refusal->count)
		return;
	finding = bench_add(bench, REGISTRATION_REFUSED, CONFIDENCE_CERTAIN);
	if (!finding)
		return;
	bench_say_nr(finding->evidence, refusal->count, "call");
	bench_say(finding->evidence, ", the last (%u entries at 0x%" PRIx64 ") with -%s",
		  refusal->entries, refusal->addr, text_errno(-refusal->res));
	if (guess)
		bench_say(finding->evidence, ": %s", guess);
}

static void judge_calls(struct bench *bench)
{
	const struct case_group *group = bench->group;
	const struct ring_rec *ring = casebook_ring(bench->what->book, group->ring_id);
	struct finding *finding;

	judge_refusal(bench);
	if (group->sums.refused_legacy &&
	    (finding = bench_add(bench, LEGACY_ON_RING, CONFIDENCE_CERTAIN))) {
		bench_say_nr(finding->evidence, group->sums.refused_legacy, "request");
		bench_say(finding->evidence, " ended with -%s",
			  text_errno(-group->sums.refused_res));
	}
	if (group->sums.overflows &&
	    (finding = bench_add(bench, CQ_OVERFLOW, CONFIDENCE_CERTAIN))) {
		bench_say_nr(finding->evidence, group->sums.overflows, "completion");
		bench_say(finding->evidence, " with a buffer");
		if (ring && ring->cq_entries && group->sums.entries)
			bench_say(finding->evidence, "; the queue has %u entries, the group %u",
				  ring->cq_entries, group->sums.entries);
	}
}

/* ---- registered buffers */

static void say_table(char *text, const struct trace_rec *last)
{
	if (!last->available)
		bench_say(text, "the ring has no table of buffers");
	else if (last->bid >= last->available)
		bench_say(text, "index %u, the table has %u slots", last->bid, last->available);
	else if (!last->held_ns)
		bench_say(text, "index %u, an empty slot", last->bid);
	else
		bench_say(text, "%u bytes at 0x%" PRIx64 ", buffer %u has %u at 0x%" PRIx64,
			  last->nr, (uint64_t)last->user_data, last->bid, last->extra,
			  (uint64_t)last->held_ns);
}

void diagnose_tables(struct bench *bench)
{
	const struct casebook *book = bench->what->book;

	for (size_t i = 0; i < book->nr_tables && !bench->err; i++) {
		const struct case_table *table = &book->tables[i];
		struct finding *finding = bench_add(bench, OUTSIDE_TABLE, CONFIDENCE_CERTAIN);

		if (!finding)
			return;
		finding->ring_id = table->ring_id;
		finding->tgid = table->last.tgid;
		bench_say_nr(finding->evidence, table->count, "request");
		bench_say(finding->evidence, " failed with -EFAULT, the last: ");
		say_table(finding->evidence, &table->last);
	}
}

void diagnose_requests(struct bench *bench)
{
	judge_dead(bench);
	judge_streams(bench);
	judge_agreement(bench);
	judge_armed(bench);
	judge_closed(bench);
	judge_remainder(bench);
	judge_refused_rest(bench);
	judge_extents(bench);
	judge_mistakes(bench);
	judge_calls(bench);
}
