"""The limits and times that more than one package needs."""

from __future__ import annotations

MIB = 1 << 20
PART_SIZE_BYTES = 16 * MIB
MAX_PARTS = 9600
MAX_UPLOAD_BYTES = PART_SIZE_BYTES * MAX_PARTS  # 150 GiB; S3 allows 10,000 parts
UPLOAD_LIFE_S = 7 * 86400
TRASH_LIFE_S = 30 * 86400
LEASE_S = 180
HEARTBEAT_S = 60
FINISHING_LEASE_S = 30  # renewed by a thread of its own; short, so that uploads of a killed gateway continue soon
FINISHING_HEARTBEAT_S = 8
MAX_FAILURES = 3
MAX_REJECTIONS = 2  # chunks whose codec header differs from the others; then all are made again, in software
MAX_RESTARTS = 2
ENCODER_GONE_S = 600  # a node that is silent for this long is gone: films bound to its hardware start again
KEEP_CHUNKS_S = 86400  # for a job that failed or was cancelled: a retry continues with its chunks
MAX_INTERRUPTIONS = 5  # attempts that died without a report; that is not the film's fault, but the retries must end

VIEWERS_NOTE_S = 5.0  # how often the gateway reports who is watching
VIEWERS_COUNT_S = 30.0  # how long its report is valid: the gateway may have been killed
POWER_CHANGES_KEPT = 1000  # for each node
OPERATIONS_KEPT = 200
BACKUP_OVERDUE_S = 48 * 3600
PURGE_HOLD_S = 900  # a running backup renews this every few minutes; a killed one does not block purges for long

STREAMS = 160
BODIES = 48  # small request bodies that may arrive slowly at the same time
UPLOADS = 24
HASHES = 2
TURNS = 72  # requests that have a thread but no place in the gates of streams and uploads
CONNECTIONS = 2000
STALL_S = 60.0
HEADER_S = 10.0  # for the whole head of a request, and again for a small body that is received before it gets a thread
SMALL_BODY_S = 10.0  # in total for any other JSON body, however steadily it arrives
ANSWER_S = 10.0  # until the client has read a small answer; longer answers get more time, by LEAST_BYTES_PER_S
LEAST_BYTES_PER_S = 2048  # a transfer below this in STALL_S has stalled: 16 kbit/s, less than any film or music
MAX_UNSENT_BYTES = 32 * MIB  # of small answers that wait for their clients to read them
CHECK_S = 10.0  # how often a running transfer asks whether it may continue
