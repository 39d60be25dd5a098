"""Exchange: the ways by which files of chargers come in and ours go out: a watched folder, or their SFTP server.

Owns: how each charger is reached (exchanges), what came (incoming_files) and what goes out (outgoing_files), each file
a row; pulling, taking in, pushing, trying again, saying so. Does not own: what is in files of records (roadside.receive
and its formats), status lists (roadside.lists has rows of its own; it borrows our way out), claims, complaints.
Words: coming (seen, not stored yet), taken (what it holds is stored, and the answer is a row), done (nothing of it
lies where it came from), left (too large, not touched), waiting, sent, failed (tried so often that somebody must look;
tried still).
Invariants: a file stays where it came until it is taken; every file that was taken has one answer or refusal; what is
sent again has the same bytes. A charger's exchange is done by one at a time (an advisory lock).

Order of things for a file, each effect a step of its own: row ``coming`` → (SFTP: fetched to a .part, checked, named)
→ booked → row ``taken`` and its answer's row, one commit → moved to ``done/`` or ``refused/`` → (SFTP: moved or removed
there) → row ``done``. For an answer: hash in its row → delivered under its name → row ``sent``. Who dies between two
of these is followed by one who goes on from the rows; only the delivery may happen twice, with the same name and bytes.
"""
