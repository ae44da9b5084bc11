"""The figures of design.md sections 5 and 6 that more than one room needs."""

from __future__ import annotations

MIB = 1 << 20
PART_SIZE_BYTES = 16 * MIB
MAX_PARTS = 9600
MAX_UPLOAD_BYTES = PART_SIZE_BYTES * MAX_PARTS  # 150 GiB; S3 takes 10,000 parts
UPLOAD_LIFE_S = 7 * 86400
TRASH_LIFE_S = 30 * 86400
LEASE_S = 180
HEARTBEAT_S = 60
FINISHING_LEASE_S = 30  # a thread of its own renews it: short, so that a killed gateway's uploads go on soon
FINISHING_HEARTBEAT_S = 8
MAX_FAILURES = 3
MAX_REJECTIONS = 2  # chunks unlike the others; then all of them are made again, in software
MAX_RESTARTS = 2
ENCODER_GONE_S = 600  # a node that says nothing for so long has left: films bound to its hardware begin again
KEEP_CHUNKS_S = 86400  # of a job that failed or was cancelled: a retry goes on with them
MAX_INTERRUPTIONS = 5  # attempts that died without a word; that is not the film's fault, but it must end

VIEWERS_NOTE_S = 5.0  # how often the gateway says who is watching
VIEWERS_COUNT_S = 30.0  # for how long its word counts: it may have been killed
POWER_CHANGES_KEPT = 1000  # of each node
OPERATIONS_KEPT = 200
BACKUP_OVERDUE_S = 48 * 3600
PURGE_HOLD_S = 900  # a backup that runs holds anew every few minutes; one that was killed holds nothing up for long

STREAMS = 160
BODIES = 48  # small bodies that may be slow at once
UPLOADS = 24
HASHES = 2
TURNS = 72  # requests that have a thread and no place in the gates of streams and uploads
CONNECTIONS = 2000
STALL_S = 60.0
HEADER_S = 10.0  # for a whole head, and again for a small body that is received before it gets a thread
SMALL_BODY_S = 10.0  # for any other JSON body in all, however steadily it trickles
ANSWER_S = 10.0  # until a small answer is read; longer ones get more time, by LEAST_BYTES_PER_S
LEAST_BYTES_PER_S = 2048  # what moves less in STALL_S counts as stalled: 16 kbit/s, less than any film or music
MAX_UNSENT_BYTES = 32 * MIB  # of small answers that wait for their readers
CHECK_S = 10.0  # how often a running body asks whether it may go on
