/* SPDX-License-Identifier: MIT */
/*
 * Probes for bpftrace, perf and their like (USDT): what happens in a pool, told to whoever attaches
 * from outside.
 *
 * A probe is one nop, and a note beside the program that says where it is and in which registers or
 * memory its arguments lie at that moment. Nothing is computed for it. The format of the notes is
 * that of SystemTap (.note.stapsdt, version 3), which all tools read; it is written here, since the
 * header that Debian has for it is a package of its own.
 *
 * Provider: bufscope. The first two arguments are always the pool's serial number and its name.
 *
 *     acquire   bid        a buffer, or a piece of one, was lent to the program
 *     release   bid        and given back
 *     starve    in_use     a completion with ENOBUFS, or a pool that had too few to lend; so many
 *                          buffers were lent then
 *     evict     bid, slot  a registered buffer lost its slot to another one
 *     register  bid, nr    so many buffers, from bid on, were put into their group or table
 *
 * CFLAGS=-DBUFSCOPE_NO_PROBES leaves them out, to measure what they cost.
 */
#ifndef BUFSCOPE_POOL_PROBE_H
#define BUFSCOPE_POOL_PROBE_H

#if defined(__LP64__) && !defined(BUFSCOPE_NO_PROBES)

/*
 * The section of the base exists once in a program. Its address tells a tool by how much one that
 * was moved after linking has moved.
 */
#define PROBE_NOTE(what, arguments)                                                                \
	"990: nop\n"                                                                               \
	".pushsection .note.stapsdt,\"?\",\"note\"\n"                                              \
	".balign 4\n"                                                                              \
	".4byte 992f-991f, 994f-993f, 3\n"                                                         \
	"991: .asciz \"stapsdt\"\n"                                                                \
	"992: .balign 4\n"                                                                         \
	"993: .8byte 990b, _.stapsdt.base, 0\n"                                                    \
	".asciz \"bufscope\"\n"                                                                    \
	".asciz \"" #what "\"\n"                                                                   \
	".asciz \"" arguments "\"\n"                                                               \
	"994: .balign 4\n"                                                                         \
	".popsection\n"                                                                            \
	".ifndef _.stapsdt.base\n"                                                                 \
	".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"                    \
	".weak _.stapsdt.base\n"                                                                   \
	".hidden _.stapsdt.base\n"                                                                 \
	"_.stapsdt.base: .space 1\n"                                                               \
	".size _.stapsdt.base, 1\n"                                                                \
	".popsection\n"                                                                            \
	".endif\n"

/* An argument wherever the compiler has it: "SIZE@WHERE". Unsigned, or a pointer. */
#define PROBE_ARG(tag)            "%c[" #tag "_size]@%[" #tag "]"
#define PROBE_OPERAND(tag, value) [tag##_size] "n"(sizeof(value)), [tag] "nor"(value)
#define PROBE_POOL                PROBE_ARG(one) " " PROBE_ARG(two) " " PROBE_ARG(three)

#define PROBE(what, of, x)                                                                         \
	__asm__ volatile(PROBE_NOTE(what, PROBE_POOL)                                              \
			 :                                                                         \
			 : PROBE_OPERAND(one, (of)->serial), PROBE_OPERAND(two, (of)->name),       \
			   PROBE_OPERAND(three, x))

#define PROBE2(what, of, x, y)                                                                     \
	__asm__ volatile(PROBE_NOTE(what, PROBE_POOL " " PROBE_ARG(four))                          \
			 :                                                                         \
			 : PROBE_OPERAND(one, (of)->serial), PROBE_OPERAND(two, (of)->name),       \
			   PROBE_OPERAND(three, x), PROBE_OPERAND(four, y))

#else

#define PROBE(what, of, x)     ((void)(of), (void)(x))
#define PROBE2(what, of, x, y) ((void)(of), (void)(x), (void)(y))

#endif
#endif
