"""A mail server to practise on: takes mail by SMTP, keeps it, fails when told to, and sends notices of what came back.

Owns: an SMTP sink (with STARTTLS when it has a certificate), what it kept, a Maildir that notices are put in, an IMAP
server over that Maildir, and the faults it was told to make. Does not own: anything of the product; the two meet by
SMTP, IMAP and the Maildir only. Nothing is ever relayed to anybody.
Words: fault (something that shall go wrong for a recipient, so many times), notice (a mail that tells of a mail).

Run it with `python -m simulator.mailserver --port 2525 --maildir var/bounces`, or in a test with `MailServer`. What it
can be told is in `control.py`.
"""

from simulator.mailserver.server import MailServer

__all__ = ["MailServer"]
