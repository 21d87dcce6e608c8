// SPDX-License-Identifier: MIT
/*
 * How are the kernel's buffer functions watched on this kernel? Chooses for each the variant that
 * the kernel takes, and reads what the programs count.
 */
#include "kbuf.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "caps.h"
#include "kbtf.h"
#include "kbuf.skel.h"

struct kbuf {
	struct kbuf_bpf *skel;
	const struct kbuf_account *at; /* mapped */
	size_t bytes;
};

static uint64_t flag(const struct kbtf_constant *bit)
{
	return bit->value < 64 ? 1ULL << bit->value : 0;
}

static int set_knobs(struct kbuf_bpf *skel)
{
	struct kbtf_constant bits[] = {
		{"REQ_F_BUFFER_RING_BIT", 64},
		{"REQ_F_BUFFER_SELECTED_BIT", 64},
		{"REQ_F_PARTIAL_IO_BIT", 64},
	};
	struct btf *btf = kbtf_load();

	if (!btf)
		return -errno;
	kbtf_find_constants(btf, bits, sizeof(bits) / sizeof(bits[0]));
	skel->rodata->req_ring = flag(&bits[0]);
	skel->rodata->req_selected = flag(&bits[1]);
	skel->rodata->req_partial = flag(&bits[2]);
	skel->rodata->select_has_group = kbtf_function_args(btf, "io_buffer_select") == 4;
	skel->rodata->select_is_struct =
		kbtf_function_returns(btf, "io_buffer_select") == BTF_KIND_STRUCT;
	skel->rodata->has_commit = caps_way_into("io_kbuf_commit") != CAPS_NO_WAY;
	btf__free(btf);
	return 0;
}

/* Programs are named by the way in, x when they see the return, and the function. */
static int choose_programs(struct kbuf_bpf *skel)
{
	static const char *const ways[] = {[CAPS_BY_FENTRY] = "f", [CAPS_BY_KPROBE] = "k"};
	struct bpf_program *program;

	bpf_object__for_each_program(program, skel->obj)
	{
		const char *name = bpf_program__name(program);
		const char *function = strchr(name, '_') + 1;
		enum caps_way way;
		bool is_chosen;

		if (name[0] != 'f' && name[0] != 'k')
			continue;
		way = caps_way_into(function);
		is_chosen = way != CAPS_NO_WAY && ways[way][0] == name[0];
		if (bpf_program__set_autoload(program, is_chosen))
			return -EINVAL;
	}
	return 0;
}

static int share_maps(struct kbuf_bpf *skel, const struct kbuf_opts *opts)
{
	int err = bpf_map__reuse_fd(skel->maps.counts, opts->counts_fd);

	err = err ? err : bpf_map__reuse_fd(skel->maps.positions, opts->positions_fd);
	return err ? err : bpf_map__set_max_entries(skel->maps.kbufs, MAX_ACCOUNTS);
}

static int open_all(struct kbuf *kbuf, const struct kbuf_opts *opts)
{
	void *at;
	int err;

	kbuf->skel = kbuf_bpf__open();
	if (!kbuf->skel)
		return -errno;
	err = set_knobs(kbuf->skel);
	err = err ? err : choose_programs(kbuf->skel);
	err = err ? err : share_maps(kbuf->skel, opts);
	err = err ? err : kbuf_bpf__load(kbuf->skel);
	if (err)
		return err;
	kbuf->bytes = sizeof(*kbuf->at) * MAX_ACCOUNTS;
	at = mmap(NULL, kbuf->bytes, PROT_READ, MAP_SHARED, bpf_map__fd(kbuf->skel->maps.kbufs), 0);
	if (at == MAP_FAILED)
		return -errno;
	kbuf->at = at;
	return kbuf_bpf__attach(kbuf->skel);
}

struct kbuf *kbuf_open(const struct kbuf_opts *opts)
{
	struct kbuf *kbuf;
	int err;

	if (!caps_can_see_functions()) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	kbuf = calloc(1, sizeof(*kbuf));
	if (!kbuf)
		return NULL;
	err = open_all(kbuf, opts);
	if (!err)
		return kbuf;
	kbuf_close(kbuf);
	errno = -err;
	return NULL;
}

void kbuf_close(struct kbuf *kbuf)
{
	if (!kbuf)
		return;
	if (kbuf->at)
		munmap((void *)kbuf->at, kbuf->bytes);
	kbuf_bpf__destroy(kbuf->skel);
	free(kbuf);
}

void kbuf_join(const struct kbuf *kbuf, uint32_t position, const struct account *account,
	       struct group_counts *counts)
{
	static const struct kbuf_account nothing;
	const struct kbuf_account *seen = &kbuf->at[position];

	/* its functions were not called since it was met */
	if (seen->born_ns != account->born_ns)
		seen = &nothing;
	counts->total[COUNT_KBUF_PICKED] = seen->picked;
	counts->total[COUNT_KBUF_STARVED] = seen->starved;
	counts->total[COUNT_KBUF_TAKEN] = seen->taken;
	counts->total[COUNT_KBUF_SELECTED] = seen->selected;
	counts->total[COUNT_KBUF_RECYCLED] = seen->recycled;
	counts->total[COUNT_KBUF_DROPPED] = seen->dropped;
	counts->total[COUNT_KBUF_REGISTERED] = seen->registered;
	counts->total[COUNT_KBUF_UNREGISTERED] = seen->unregistered;
}

uint64_t kbuf_missed(const struct kbuf *kbuf)
{
	uint64_t missed = kbuf->skel->bss->missed;
	struct bpf_program *program;

	bpf_object__for_each_program(program, kbuf->skel->obj)
	{
		struct bpf_prog_info info = {0};
		uint32_t size = sizeof(info);
		int fd = bpf_program__fd(program);

		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0)
			missed += info.recursion_misses;
	}
	return missed;
}
