// SPDX-License-Identifier: MIT
/* How is a user's locked memory shown: how much of which limit, by what, by whom? */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "../lib/text.h"
#include "json_write.h"
#include "memlock_view.h"

/* ---- who holds it */

static struct memlock_process *add_process(struct memlock_view *view, uint32_t tgid)
{
	size_t bytes = (view->nr + 1) * sizeof(*view->processes);
	struct memlock_process *grown = realloc(view->processes, bytes);

	if (!grown)
		return NULL;
	view->processes = grown;
	grown[view->nr] = (struct memlock_process){.tgid = tgid, .limit_bytes = COUNT_UNKNOWN};
	return &grown[view->nr++];
}

/* Rings are sorted by process. */
static int add_holders(struct memlock_view *view, const struct sample *sample)
{
	const struct memlock_account *account = &view->account;
	uint32_t last = 0;

	for (size_t i = 0; i < sample->nr_rings; i++) {
		const struct ring_rec *ring = &sample->rings[i];
		struct memlock_account one = *account;
		struct memlock_process *process;

		if (ring->charged_uid != account->uid || ring->tgid == last ||
		    (account->witness && ring->tgid == account->witness))
			continue;
		last = one.only_tgid = ring->tgid;
		process = add_process(view, ring->tgid);
		if (!process)
			return -ENOMEM;
		memcpy(process->comm, ring->comm, sizeof(process->comm));
		memlock_count(sample, &one, &process->ledger);
		process->has_limit =
			memlock_limit_of((pid_t)ring->tgid, &process->limit_bytes) == 0;
	}
	return 0;
}

/* Processes of the user without a ring have a limit, too: the next ring's. */
static void bound(struct memlock_view *view, uint64_t limit_bytes)
{
	if (!view->has_limit || limit_bytes < view->least_limit)
		view->least_limit = limit_bytes;
	if (!view->has_limit || limit_bytes > view->most_limit)
		view->most_limit = limit_bytes;
	view->has_limit = true;
}

static void find_limits(struct memlock_view *view)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc))) {
		uint64_t pid, limit;
		struct stat st;

		if (text_parse_u64(entry->d_name, 1, INT32_MAX, &pid) ||
		    pid == view->account.witness || fstatat(dirfd(proc), entry->d_name, &st, 0) ||
		    st.st_uid != view->account.uid || memlock_limit_of((pid_t)pid, &limit))
			continue;
		bound(view, limit);
	}
	if (proc)
		closedir(proc);
	for (size_t i = 0; i < view->nr; i++) {
		if (view->processes[i].has_limit)
			bound(view, view->processes[i].limit_bytes);
	}
}

int memlock_view_fill(struct memlock_view *view, const struct sample *sample)
{
	int err = add_holders(view, sample);

	if (err)
		return err;
	memlock_count(sample, &view->account, &view->ledger);
	find_limits(view);
	return 0;
}

void memlock_view_done(struct memlock_view *view)
{
	free(view->processes);
	*view = (struct memlock_view){0};
}

/* ---- text */

static const char *bytes_text(char out[16], uint64_t bytes)
{
	if (bytes == COUNT_UNKNOWN)
		return "-";
	return text_bytes(out, 16, bytes);
}

static const char *limit_text(char out[16], uint64_t bytes)
{
	return bytes == UINT64_MAX ? "unlimited" : text_bytes(out, 16, bytes);
}

static void print_head(const struct memlock_view *view, FILE *out)
{
	const struct memlock_ledger *l = &view->ledger;
	struct passwd *user = getpwuid(view->account.uid);
	char locked[16], least[16], most[16];

	fprintf(out, "user      %" PRIu32, l->uid);
	if (user)
		fprintf(out, " (%s)", user->pw_name);
	fprintf(out, "\nlocked    %s", bytes_text(locked, l->locked_bytes));
	if (view->has_limit) {
		fprintf(out, " of %s", limit_text(least, view->least_limit));
		if (view->most_limit != view->least_limit)
			fprintf(out, " ... %s, by process", limit_text(most, view->most_limit));
		if (l->locked_bytes != COUNT_UNKNOWN && view->least_limit != UINT64_MAX &&
		    view->least_limit)
			fprintf(out, " (%.0f%%)",
				100.0 * (double)l->locked_bytes / (double)view->least_limit);
	} else {
		fputs(", no process of this user", out);
	}
	fputc('\n', out);
}

static const char *part_text(const struct memlock_view *view, enum memlock_part part)
{
	const struct memlock_charging *c = &view->account.charging;
	bool is_free =
		(part == MEMLOCK_QUEUES && !c->queues) || (part == MEMLOCK_GROUPS && !c->groups);
	static const char *const words[MEMLOCK_PARTS] = {
		[MEMLOCK_QUEUES] = "SQ and CQ of rings",
		[MEMLOCK_GROUPS] = "rings of buffer groups",
		[MEMLOCK_TABLES] = "registered buffers",
		[MEMLOCK_REGIONS] = "other memory registered with rings",
	};

	if (!c->known && (part == MEMLOCK_QUEUES || part == MEMLOCK_GROUPS))
		return "could not find out whether rings and groups are charged";
	if (is_free)
		return part == MEMLOCK_QUEUES ? "SQ and CQ are not charged by this kernel"
					      : "rings of groups are not charged by this kernel";
	return words[part];
}

static void print_parts(const struct memlock_view *view, FILE *out)
{
	const struct memlock_ledger *l = &view->ledger;
	char bytes[16];

	for (int part = 0; part < MEMLOCK_PARTS; part++)
		fprintf(out, "  %-7s %8s  %s\n", memlock_part_name((enum memlock_part)part),
			bytes_text(bytes, l->part[part]), part_text(view, (enum memlock_part)part));
	fprintf(out, "  %-7s %8s  %s\n", "rest", bytes_text(bytes, l->rest_bytes),
		l->rest_bytes == 0 ? "everything is explained"
				   : "perf, AF_XDP, MSG_ZEROCOPY, zero-copy receive, rings just "
				     "closed");
	fprintf(out, "rings     %" PRIu32 " charge this user", l->nr_rings);
	if (l->nr_free)
		fprintf(out, ", %" PRIu32 " of its processes charge nobody", l->nr_free);
	fputc('\n', out);
}

void memlock_text(const struct memlock_view *view, FILE *out)
{
	char queues[16], groups[16], tables[16], regions[16], limit[16];
	char comm[REC_COMM_LEN * 4 + 1];

	print_head(view, out);
	print_parts(view, out);
	if (!view->nr)
		return;
	fprintf(out, "\n%8s %-16s %6s %8s %8s %8s %8s %9s\n", "PID", "COMM", "RINGS", "QUEUES",
		"GROUPS", "TABLES", "REGIONS", "LIMIT");
	for (size_t i = 0; i < view->nr; i++) {
		const struct memlock_process *p = &view->processes[i];
		const uint64_t *part = p->ledger.part;

		text_escape(comm, sizeof(comm), p->comm);
		fprintf(out, "%8" PRIu32 " %-16s %6" PRIu32 " %8s %8s %8s %8s %9s\n", p->tgid, comm,
			p->ledger.nr_rings, bytes_text(queues, part[MEMLOCK_QUEUES]),
			bytes_text(groups, part[MEMLOCK_GROUPS]),
			bytes_text(tables, part[MEMLOCK_TABLES]),
			bytes_text(regions, part[MEMLOCK_REGIONS]),
			p->has_limit ? limit_text(limit, p->limit_bytes) : "-");
	}
}

/* ---- JSON */

static void put_bytes(struct json *json, const char *key, uint64_t bytes)
{
	if (bytes == COUNT_UNKNOWN)
		json_null(json, key);
	else
		json_u64(json, key, bytes);
}

static void put_parts(struct json *json, const struct memlock_ledger *ledger)
{
	static const char *const keys[MEMLOCK_PARTS] = {
		[MEMLOCK_QUEUES] = "queues_bytes",
		[MEMLOCK_GROUPS] = "groups_bytes",
		[MEMLOCK_TABLES] = "tables_bytes",
		[MEMLOCK_REGIONS] = "regions_bytes",
	};

	json_u64(json, "rings", ledger->nr_rings);
	for (int part = 0; part < MEMLOCK_PARTS; part++)
		put_bytes(json, keys[part], ledger->part[part]);
}

/* Unlimited is null, as in a saved run. */
static void put_limits(struct json *json, const struct memlock_view *view)
{
	put_bytes(json, "limit_least_bytes", view->has_limit ? view->least_limit : COUNT_UNKNOWN);
	put_bytes(json, "limit_most_bytes", view->has_limit ? view->most_limit : COUNT_UNKNOWN);
}

static void put_charging(struct json *json, const char *key, bool known, bool charged)
{
	if (known)
		json_boolean(json, key, charged);
	else
		json_null(json, key);
}

static void put_ledger(struct json *json, const struct memlock_view *view)
{
	const struct memlock_charging *c = &view->account.charging;

	json_open(json, "ledger", '{');
	json_u64(json, "uid", view->account.uid);
	put_bytes(json, "locked_bytes", view->ledger.locked_bytes);
	put_limits(json, view);
	put_charging(json, "queues_charged", c->known, c->queues);
	put_charging(json, "groups_charged", c->known, c->groups);
	put_parts(json, &view->ledger);
	put_bytes(json, "rest_bytes", view->ledger.rest_bytes);
	json_u64(json, "rings_uncharged", view->ledger.nr_free);
	json_open(json, "processes", '[');
	for (size_t i = 0; i < view->nr; i++) {
		const struct memlock_process *p = &view->processes[i];

		json_open(json, NULL, '{');
		json_u64(json, "tgid", p->tgid);
		json_text(json, "comm", p->comm);
		put_parts(json, &p->ledger);
		put_bytes(json, "limit_bytes", p->has_limit ? p->limit_bytes : COUNT_UNKNOWN);
		json_close(json, '}');
	}
	json_close(json, ']');
	json_close(json, '}');
}

void memlock_json(const struct memlock_view *view, const struct sample *sample, FILE *out)
{
	struct json json = {.file = out};
	struct utsname uts;

	uname(&uts);
	json_open(&json, NULL, '{');
	json_text(&json, "schema", "bufscope.limits/1");
	json_text(&json, "kernel", uts.release);
	json_u64(&json, "at_ns", sample->at_ns);
	put_ledger(&json, view);
	json_close(&json, '}');
	fputc('\n', out);
}
