// SPDX-License-Identifier: MIT
/* Which complaints are there, and what does each mean? */
#include <string.h>

#include "diagnose.h"

#define LIBURING "https://github.com/axboe/liburing/issues/"
#define NETTY    "https://github.com/netty/netty/pull/"

const struct complaint_text complaint_texts[COMPLAINTS] = {
	[NO_GROUP] = {"no-group", SEVERITY_CRIT, "requests name a group that is not there",
		      "The requests carry a buffer group id under which nothing was ever "
		      "registered on their ring, so each ends with -ENOBUFS.",
		      "starves of a (ring, bgid) for which the kernel has no group",
		      "Register the group on this very ring before the first request, or correct "
		      "buf_group; check the result of the registration.",
		      NULL},
	[NEVER_FILLED] = {"never-filled", SEVERITY_CRIT, "a group that was never given a buffer",
			  "The group is registered, but no buffer was ever put into it.",
			  "starves while head and tail both stand at nothing; slots may hold what "
			  "an earlier ring left in this memory",
			  "Add the buffers and move the tail (io_uring_buf_ring_add, then "
			  "io_uring_buf_ring_advance) before the first request.",
			  NULL},
	[UNPUBLISHED] = {"unpublished", SEVERITY_CRIT, "buffers are written but not published",
			 "The program wrote entries into the ring and did not move the tail over "
			 "them, so the kernel does not see them.",
			 "starves, and slots behind the tail that came to hold sane entries since "
			 "the registration, while the tail stands still and the group is empty",
			 "Call io_uring_buf_ring_advance() with the number of buffers added.",
			 LIBURING "1039"},
	[UNREGISTERED] = {"unregistered", SEVERITY_CRIT, "the group went away under its requests",
			  "The group was unregistered while requests still used it; the kernel "
			  "allows that, and they end with -ENOBUFS.",
			  "starves of a group after its unregistration",
			  "Cancel the requests and wait for their last completions before "
			  "unregistering the group.",
			  LIBURING "733"},
	[POOL_TOO_SMALL] = {"pool-too-small", SEVERITY_WARN, "bursts are larger than the pool",
			    "More data came in one burst than the group has buffers; they all "
			    "were out for a moment only and came back.",
			    "starves while all buffers were out, taken shortly before by "
			    "several streams or in one burst, and returned later",
			    "Give the group more buffers, or let each request take less at once.",
			    LIBURING "758"},
	[CONSUMER_SLOW] =
		{"consumer-slow", SEVERITY_WARN, "the program keeps buffers for long",
		 "When requests starved, the program had held most of the buffers for "
		 "long: it returns them more slowly than data comes.",
		 "starves while the median buffer had been out for 10 ms or more",
		 "Return buffers sooner (copy out, or process in smaller pieces), or give "
		 "the group as many as arrive while one is held.",
		 NETTY "14842"},
	[ONE_STREAM] = {"one-stream", SEVERITY_WARN, "one stream takes the buffers of all",
			"When requests starved, one file held nearly all buffers of a group that "
			"several share.",
			"starves while one of several files held three quarters of the buffers "
			"or more",
			"Give greedy streams a group of their own, stop arming them while they "
			"hold many buffers, or enlarge the group.",
			LIBURING "1043"},
	[LAZY_FILL] = {"lazy-fill", SEVERITY_WARN, "the ring has far more slots than buffers",
		       "The group ran dry although its ring has room: at most half of its slots "
		       "were ever given a buffer.",
		       "starves while the distinct buffers ever seen are at most half the entries",
		       "Provide more buffers: the ring needs no larger registration.",
		       NETTY "15474"},
	[NOT_EMPTY] =
		{"not-empty", SEVERITY_INFO, "-ENOBUFS though the group has buffers",
		 "Requests ended with -ENOBUFS, yet a moment later the group had buffers: "
		 "they came just then, the kernel would not use them, or the file itself said "
		 "so: a netlink socket that lost messages does.",
		 "starves with buffers between head and tail",
		 "Arm the request again (and read a netlink socket's state anew); if it "
		 "starves again, compare with 'bufscope "
		 "limits', which tries the kernel's behaviour.",
		 LIBURING "1275"},
	[LEAK] = {"leak", SEVERITY_CRIT, "buffers that do not come back",
		  "Some buffers have been out for long while the others of the group went round "
		  "many times.",
		  "buffers held for over a second and four rounds of the others",
		  "Find the path that forgets them: the evidence names buffers and who took them. "
		  "If several threads return buffers, let them do it under a lock: one may have "
		  "overwritten the entry of another.",
		  "https://github.com/frevib/io_uring-echo-server/issues/11"},
	[LEAK_ON_CLOSE] = {"leak-on-close", SEVERITY_CRIT, "buffers are lost when a stream ends",
			   "Buffers were taken by files whose stream has ended since, and never "
			   "came back.",
			   "buffers held for over a second whose taker's file reached its end or "
			   "failed, while others returned",
			   "Return what a connection holds when it is closed.",
			   "https://github.com/frevib/io_uring-echo-server/issues/11"},
	[LEAK_ON_ERROR] = {"leak-on-error", SEVERITY_CRIT, "buffers are lost with failed requests",
			   "Completions failed and carried a buffer all the same; the program did "
			   "not return it.",
			   "buffers held since a completion with a negative result and "
			   "IORING_CQE_F_BUFFER",
			   "Look at IORING_CQE_F_BUFFER in every completion, failed ones included.",
			   LIBURING "359"},
	[LEAK_BUNDLE] = {"leak-bundle", SEVERITY_CRIT, "bundles are returned in part",
			 "Completions of bundles took several buffers; the program returned the "
			 "named one and forgot the others.",
			 "buffers held that came in a bundle behind the one that its completion "
			 "named",
			 "Return all buffers that the result spans, in ring order from the named "
			 "one on, not one per completion.",
			 "https://github.com/axboe/liburing/pull/1328"},
	[NEVER_RETURNED] = {"never-returned", SEVERITY_CRIT, "no buffer was ever returned",
			    "The group was used up once; nothing was put back since.",
			    "all buffers held for over a second, no return after the fill, and "
			    "starves",
			    "Add buffers to the ring again when their data has been used.",
			    NETTY "14890"},
	[DRAINING] = {"draining", SEVERITY_INFO, "buffers are taken and none comes back",
		      "Buffers are being taken steadily and none was returned; the group will run "
		      "dry. A program that returns them all at once later does this, too.",
		      "sixteen buffers or more taken over two seconds, up to now, no return, and "
		      "less than an hour until the group is empty",
		      "Watch for longer. If none comes back, find the path that forgets them: the "
		      "evidence names who took most.",
		      "https://github.com/frevib/io_uring-echo-server/issues/11"},
	[LEAK_BEFORE] =
		{"leak-before", SEVERITY_INFO, "most buffers were not seen",
		 "The group was there before the watch. Few of its buffers go round, and with "
		 "the bids that are missing below theirs they would be as many as the ring has "
		 "entries: the others were lost before, or were never put in.",
		 "buffers with the highest bid that the entries allow, four rounds of them in "
		 "over a second, and more bids below that nobody took or returned",
		 "Watch the program from its start: then what it loses is seen as it happens.",
		 "https://github.com/frevib/io_uring-echo-server/issues/11"},
	[RETURNED_TWICE] = {"returned-twice", SEVERITY_CRIT, "a buffer is in the ring twice",
			    "The program returned a buffer that it did not hold; the kernel will "
			    "hand it to two requests, and one overwrites the other's data.",
			    "a bid was added while the ring had it, or stands twice between head "
			    "and tail",
			    "Return a buffer once per completion that named it; a completion "
			    "without IORING_CQE_F_BUFFER has no bid.",
			    "https://github.com/frevib/io_uring-echo-server/issues/23"},
	[FOREIGN_BID] = {"foreign-bid", SEVERITY_CRIT, "a bid that the group never had",
			 "The program returned, under a bid that is none of this group's, memory "
			 "that is another buffer's or nobody's.",
			 "a new bid in a ring that was whole, whose memory overlaps a buffer of "
			 "this or another group or is not mapped",
			 "Check the bid against the group that the request was made with.",
			 LIBURING "726"},
	[ADDRESS_CHANGED] =
		{"address-changed", SEVERITY_WARN, "a bid came back with another's memory",
		 "Nearly all buffers keep their memory from round to round, but this bid was put "
		 "in with memory that belonged to another: the program will look for the data in "
		 "the wrong place.",
		 "a bid whose address became that of another bid, in a group where most addresses "
		 "stand",
		 "Compute the address of an entry from its own bid.",
		 "https://lore.kernel.org/io-uring/CAKq9yRg1NkEOei-G8JKMMo-cTCp128aPPONeL"
		 "CGPFLqD5w+fkA@mail.gmail.com/"},
	[LENGTH_SHRUNK] =
		{"length-shrunk", SEVERITY_WARN, "a buffer became shorter",
		 "A buffer came back with the same address and less length: the result "
		 "of a receive was taken for its size, or the kernel cut it.",
		 "an entry shorter than the same bid at the same address had before",
		 "Return buffers with their full length.",
		 "https://github.com/axboe/liburing/blob/master/test/recv-bundle-buf-len.c"},
	[ZERO_LENGTH] = {"zero-length", SEVERITY_CRIT, "entries without length look like EOF",
			 "The ring has entries of length zero: the tail was moved over slots that "
			 "were not written. A receive from one ends with 0, like an end of file, "
			 "though data waits.",
			 "entries of length zero between head and tail",
			 "Write each entry before moving the tail over it, with the right count.",
			 LIBURING "1313"},
	[BAD_ADDRESS] = {"bad-address", SEVERITY_CRIT, "an entry points to no usable memory",
			 "An entry's memory is not mapped for writing. Each request that gets it "
			 "ends with -EFAULT, and it stays first in line.",
			 "an entry between head and tail outside the process's writable mappings, "
			 "at two looks",
			 "Keep buffers mapped while they are in the ring, and check the address "
			 "computed from the bid.",
			 LIBURING "726"},
	[SHARED_MEMORY] = {"shared-memory", SEVERITY_CRIT, "two buffers share memory",
			   "Two entries with different bids overlap: the data of one request "
			   "overwrites that of another.",
			   "entries between head and tail whose memory overlaps",
			   "Compute each buffer's address from its own bid and the right size.",
			   "https://lore.kernel.org/io-uring/CAKq9yRg1NkEOei-G8JKMMo-cTCp128aPPONeL"
			   "CGPFLqD5w+fkA@mail.gmail.com/"},
	[OVERFILLED] = {"overfilled", SEVERITY_CRIT, "more buffers were added than the ring holds",
			"The tail is further ahead of the head than the ring has slots: entries "
			"that were not used yet are overwritten, others are handed out twice.",
			"tail - head is greater than the number of entries",
			"Never have more buffers in the ring than its entries.", LIBURING "674"},
	[OVER_RING] = {"over-ring", SEVERITY_CRIT, "a buffer lies over the ring itself",
		       "An entry's memory overlaps the ring: a receive will overwrite the entries.",
		       "an entry between head and tail that intersects the ring's memory",
		       "Place ring and buffers apart; the ring takes 16 bytes per entry.",
		       "https://github.com/axboe/liburing/blob/master/test/ringbuf-loop.c"},
	[OVER_QUEUE] =
		{"over-queue", SEVERITY_CRIT, "buffers lie over the memory of a queue",
		 "A buffer, or the ring of the group, overlaps the SQ, the CQ or a mapped "
		 "buffer ring of the process: a receive overwrites requests and completions, "
		 "or they overwrite it.",
		 "an entry between head and tail, or the ring, that intersects memory of "
		 "io_uring's own, at two looks; where IORING_SETUP_NO_MMAP placed the queues "
		 "is known of rings that were made while the doctor looked",
		 "Leave the queues the room that the kernel tells in io_uring_params; "
		 "io_uring_queue_init_mem() of liburing 2.6 returns too little.",
		 LIBURING "1151"},
	[RING_UNMAPPED] = {"ring-unmapped", SEVERITY_CRIT, "the ring's memory was unmapped",
			   "The memory that was registered as a ring is no longer mapped in the "
			   "program: the kernel keeps the old pages, and whatever the program adds "
			   "goes elsewhere.",
			   "the registered address is not among the process's writable mappings, "
			   "at two looks",
			   "Unregister the group before freeing its ring.", LIBURING "733"},
	[RING_NOWHERE] =
		{"ring-not-mapped", SEVERITY_WARN, "the program cannot reach the ring",
		 "The ring lies in the kernel's memory (IOU_PBUF_RING_MMAP) and the program has no "
		 "mapping of it: mmap() failed, was never called, or was undone. The group stays "
		 "registered, and no buffer can be added to it.",
		 "no mapping of the group's offset in a process that alone has the ring, at five "
		 "looks in a row",
		 "Map it at IORING_OFF_PBUF_RING | bgid << IORING_OFF_PBUF_SHIFT, which works for "
		 "ids below 2048, and unregister the group if that fails.",
		 "https://github.com/axboe/liburing/pull/1494"},
	[SHARED_RING] = {"shared-ring", SEVERITY_CRIT, "two groups have one ring in common",
			 "Two groups are registered over the same memory: both heads run over the "
			 "same entries, so each buffer is handed out twice.",
			 "two living groups of a process with overlapping ring addresses",
			 "Give each group a ring of its own.", LIBURING "1151"},
	[TAIL_BACK] =
		{"tail-back", SEVERITY_CRIT, "the tail of the ring went back",
		 "The tail was stored lower than it had been: two threads add buffers without "
		 "a lock and one overwrites the other's tail, or the ring was set up anew "
		 "while in use. Buffers added in between are lost, or handed out twice.",
		 "a tail that is behind where an earlier look saw it",
		 "Let one thread add buffers, or hold a lock from reading the tail to storing "
		 "it; call io_uring_buf_ring_init() once.",
		 LIBURING "562"},
	[TAKEN_UNTOLD] =
		{"taken-untold", SEVERITY_CRIT, "buffers were taken that no completion names",
		 "The kernel's head moved over buffers of which no completion tells, so the "
		 "program "
		 "cannot return them: requests with IOSQE_CQE_SKIP_SUCCESS take a buffer and say "
		 "nothing, and some kernels lose one when they retry a request or take more for a "
		 "bundle than its result says.",
		 "head moved further than completions named buffers, after a second without any "
		 "event",
		 "Do not select buffers in requests with IOSQE_CQE_SKIP_SUCCESS; without such "
		 "requests it is the kernel: try a newer one.",
		 LIBURING "778"},
	[NAMED_NOT_TAKEN] =
		{"named-not-taken", SEVERITY_CRIT, "completions name buffers that were not taken",
		 "Completions carry IORING_CQE_F_BUFFER although the kernel took no buffer for "
		 "them: returning it puts it into the ring twice. Some kernels do so with failed "
		 "reads or without IORING_CQE_F_BUF_MORE, and a message from another ring can say "
		 "it, too.",
		 "completions named more buffers than head moved, after a second without any event",
		 "Do not pass completion flags on with IORING_MSG_RING_FLAGS_PASS; otherwise it is "
		 "the kernel: try a newer one.",
		 LIBURING "1530"},
	[CURSOR_ASTRAY] =
		{"cursor-astray", SEVERITY_CRIT, "an incremental buffer is filled with gaps",
		 "The kernel moved its position in an incremental buffer further than the results "
		 "say: what comes next does not lie where their sum points. Kernels do so when a "
		 "file gives less than was asked for, and when a datagram was truncated.",
		 "the address in the entry in use moved by more than the results between two quiet "
		 "moments",
		 "Use a group that is not incremental for files, and for datagrams that can be "
		 "larger than what is left of a buffer.",
		 LIBURING "1555"},
	[AFTER_LAST] =
		{"after-last", SEVERITY_WARN, "completions come after the last one",
		 "Completions with a buffer came when every request that selects from the "
		 "group had ended: the program may take them for another request's, or lose "
		 "their buffers.",
		 "completions with IORING_CQE_F_BUFFER while no request of the group was "
		 "under way",
		 "Keep what belongs to a request until no completion can come any more; look "
		 "for messages from another ring with the same user_data; else it is the "
		 "kernel.",
		 LIBURING "1246"},
	[DELIVERED_TWICE] =
		{"delivered-twice", SEVERITY_CRIT, "one buffer was given to two requests",
		 "Completions named a buffer that an earlier one had named, and it was not "
		 "returned in between: the data of one overwrote that of the other. Either the "
		 "program wrote over entries that were in the ring, or the kernel gave one buffer "
		 "to two requests.",
		 "a bid named again by a completion while it was held, and never a return told for "
		 "the first",
		 "Write only entries behind the tail, as io_uring_buf_ring_add() does. If the "
		 "program does so, try a newer kernel; until then do not let requests with "
		 "MSG_WAITALL, bundles or io-wq share the group with others.",
		 LIBURING "605"},
	[NOT_REARMED] = {"not-rearmed", SEVERITY_WARN, "multishot requests that ended for good",
			 "A multishot request ended because there was no buffer, and nothing "
			 "receives from its file any more, although buffers are back.",
			 "a last completion of a multishot request (no IORING_CQE_F_MORE) that was "
			 "not an end of file, no request after it, and buffers available",
			 "Arm the request again when a completion comes without "
			 "IORING_CQE_F_MORE.",
			 "https://github.com/PADL/IORingSwift/issues/10"},
	[BUNDLE_EXHAUSTED] = {"bundle-exhausted", SEVERITY_WARN,
			      "a bundle used up the group "
			      "silently",
			      "A bundle took the last buffer and ended its multishot request with "
			      "data, not with -ENOBUFS; the program did not notice and receives no "
			      "more.",
			      "a last completion with data that left the group empty, and no "
			      "request after it",
			      "Test IORING_CQE_F_MORE in every completion, not the result alone, "
			      "then refill and arm again.",
			      LIBURING "1320"},
	[REARM_SPIN] = {"rearm-spin", SEVERITY_WARN, "requests are armed again and again in vain",
			"After -ENOBUFS the program arms the request again though no buffer has "
			"come back, and it is refused again.",
			"ten or more requests on one file in a row that starved when issued, "
			"without a return in between",
			"Arm again after buffers were returned, not before.",
			"https://github.com/PADL/IORingSwift/pull/9"},
	[FALLBACK_STAYS] = {"fallback-stays", SEVERITY_WARN, "the fallback was never left",
			    "After a starve the program receives into buffers of its own, and went "
			    "on with that though the group has buffers again.",
			    "many requests without buffer selection on a file that starved, and "
			    "buffers available",
			    "Select buffers again once some were returned.", NETTY "14866"},
	[ARMED_ON_EMPTY] = {"armed-on-empty", SEVERITY_WARN,
			    "requests wait on a group without buffers",
			    "The group has been empty for long while requests wait on it. No error "
			    "tells: each "
			    "will end with -ENOBUFS when data comes.",
			    "armed requests, no buffer between head and tail for a second or more, "
			    "and buffers "
			    "that the program holds",
			    "Return buffers; do not wait for -ENOBUFS to do so.", LIBURING "688"},
	[CLOSED_ON_STARVE] =
		{"closed-on-starve", SEVERITY_WARN, "files are closed because there was no buffer",
		 "Requests ended with -ENOBUFS, and the next that happened to their files was that "
		 "they were closed: the program takes a negative result for the peer's end.",
		 "two or more files that were closed after a starve with no request in between, "
		 "while the group went on in use",
		 "Treat -ENOBUFS apart from other results: return buffers, then arm the request "
		 "again.",
		 "https://github.com/MDA2AV/ioxide/issues/93"},
	[REMAINDER_SMALL] =
		{"remainder-small", SEVERITY_WARN,
		 "what is left of a buffer is too little for recvmsg",
		 "A multishot recvmsg puts a header, the name and the control data before the "
		 "payload; what was left of the incremental buffer in use is shorter than that. "
		 "Each such request ends with -EFAULT, and the buffer stays first in line.",
		 "recvmsg requests that ended with -EFAULT while the entry at the head of an "
		 "incremental ring was partly used",
		 "Register the group with min_left set to the header's size where the kernel has "
		 "it, or use a group that is not incremental for recvmsg.",
		 LIBURING "1433"},
	[REMAINDER_REFUSED] =
		{"remainder-refused", SEVERITY_WARN,
		 "what is left of a buffer is too little for the file",
		 "Some files refuse to be read in less than a whole message (tun devices, "
		 "eventfd, inotify), and what was left of the incremental buffer in use is "
		 "shorter than that. Each read ends with -EINVAL, and the buffer stays first in "
		 "line.",
		 "requests that ended with -EINVAL while the entry at the head of an incremental "
		 "ring was partly used",
		 "Register the group with min_left set to the longest message where the kernel "
		 "has it, make buffers a multiple of it, or use a group that is not incremental.",
		 LIBURING "1548"},
	[BUNDLE_SINGLE] =
		{"bundle-single", SEVERITY_INFO, "bundles never take more than one buffer",
		 "Requests ask for bundles, more data than a buffer holds waits and there are "
		 "buffers, yet each completion brings one: some kernels begin each bundle with a "
		 "single buffer, or do not see how much waits. It works, but slowly.",
		 "eight or more completions of a bundle that filled one buffer with "
		 "IORING_CQE_F_SOCK_NONEMPTY and buffers available, and none of several",
		 "Arm multishot bundles, which continue with more than one on such kernels, use "
		 "larger buffers, or a newer kernel.",
		 LIBURING "1197"},
	[SEND_CUT] =
		{"send-cut", SEVERITY_WARN, "sends end before their buffer does",
		 "Sends select a buffer and set a length, too, which is shorter than the buffer "
		 "that they get: the rest of it is never sent, and the kernel takes the buffer "
		 "for used. Which buffer a request gets is not known when its length is written.",
		 "sends with buffer selection whose result is their own length, less than the "
		 "length of their buffer's entry",
		 "Leave the length of such sends 0, and write how much to send into the entry.",
		 "https://lore.kernel.org/io-uring/20240429181556.31828-1-krisman@suse.de/"},
	[REQUEST_REFUSED] =
		{"request-refused", SEVERITY_INFO, "requests are mistaken in themselves",
		 "Requests were refused before they began: their fields do not go together.",
		 "entries that failed when they were read, with the opcode, the IOSQE_ flags and "
		 "ioprio that they had",
		 "Correct the fields: a multishot receive needs IOSQE_BUFFER_SELECT and must not "
		 "have "
		 "MSG_WAITALL; few operations can select buffers.",
		 LIBURING "1331"},
	[NOT_SELECTED] =
		{"not-selected", SEVERITY_WARN, "requests name a group but do not select from it",
		 "Receives carry the group's id in buf_group but lack IOSQE_BUFFER_SELECT: they "
		 "receive into the address that they carry.",
		 "receives with the group's id and without the flag, and none with it",
		 "Set IOSQE_BUFFER_SELECT in the request's flags.",
		 "https://github.com/tokio-rs/io-uring/issues/202"},
	[LEGACY_ON_RING] = {"legacy-on-ring", SEVERITY_WARN, "PROVIDE or REMOVE on a buffer ring",
			    "IORING_OP_PROVIDE_BUFFERS or IORING_OP_REMOVE_BUFFERS was used on a "
			    "group that is a ring; the kernel refuses that.",
			    "such requests failed on a group that is a ring",
			    "Return buffers by writing into the ring; use another id for groups of "
			    "the old kind.",
			    LIBURING "1361"},
	[REGISTRATION_REFUSED] =
		{"registration-refused", SEVERITY_INFO, "the kernel refused a registration",
		 "IORING_REGISTER_PBUF_RING or its counterpart failed.",
		 "register calls with an error as result",
		 "Compare with 'bufscope limits': entries are a power of two up to "
		 "32768, memory is aligned to a page, and each id is used once.",
		 LIBURING "686"},
	[OUTSIDE_TABLE] =
		{"outside-table", SEVERITY_WARN, "requests point outside the registered buffers",
		 "READ_FIXED or WRITE_FIXED requests named a slot without a buffer, or memory that "
		 "does not lie within the slot's buffer; the kernel answers all of it with "
		 "-EFAULT.",
		 "such requests that ended with -EFAULT, and their index, address and length "
		 "against the ring's table at that moment",
		 "Register the buffers on this ring before, and keep address and length within the "
		 "one that buf_index names.",
		 "https://github.com/ad-freiburg/qlever/pull/3202"},
	[CQ_OVERFLOW] = {"cq-overflow", SEVERITY_WARN, "completions with buffers overflowed",
			 "The completion queue was full when completions with buffers came: their "
			 "buffers stay out until the program looks, and multishot requests end.",
			 "completions with IORING_CQE_F_BUFFER that found the queue full",
			 "Make the completion queue (IORING_SETUP_CQSIZE) at least as large as all "
			 "groups of the ring together, or reap more often.",
			 "https://github.com/tokio-rs/io-uring/issues/302"},
	[MEMLOCK_LOW] = {"memlock-low", SEVERITY_WARN, "locked memory is nearly used up",
			 "The user has nearly as many locked pages as RLIMIT_MEMLOCK allows; the "
			 "next registration will fail with ENOMEM. Rings and buffer rings count, "
			 "over all processes of the user.",
			 "locked pages of the user at nine tenths of the limit or more",
			 "Raise the limit (ulimit -l, LimitMEMLOCK=), or register less.",
			 LIBURING "157"},
};

int complaint_find(const char *code)
{
	for (int i = 0; i < COMPLAINTS; i++) {
		if (strcmp(complaint_texts[i].code, code) == 0)
			return i;
	}
	return -1;
}

const char *severity_name(enum severity severity)
{
	static const char *const names[] = {"info", "warn", "crit"};

	return names[severity];
}

const char *confidence_name(enum confidence confidence)
{
	static const char *const names[] = {"possible", "likely", "certain"};

	return names[confidence];
}
