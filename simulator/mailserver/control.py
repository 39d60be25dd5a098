"""Telling the mail server what to do: JSON under `/_control`. Wrong input changes nothing and is answered 400.

| call | what |
|---|---|
| `POST /_control/faults` | something shall go wrong (`faults.py` has the table); `GET` lists, `DELETE` clears |
| `GET /_control/mails` | how many mails were kept, and the envelopes of the last hundred |
| `POST /_control/letters` | `{"words": "..."}`: a person writes into the mailbox that notices come to |
| `POST /_control/renumber` | the mailbox is numbered anew, as after a restore |
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from simulator.mailserver.faults import BadFault
from simulator.mailserver.notices import letter, put

if TYPE_CHECKING:
    from simulator.mailserver.server import MailServer

MAX_BODY = 64 * 1024


def answer(server: MailServer, request: Request) -> Response:
    """Answer one control call."""
    try:
        status, body = _do(server, request)
    except (BadFault, json.JSONDecodeError, UnicodeDecodeError) as error:
        status, body = 400, {"error": str(error)}
    except HTTPException as error:
        status, body = error.code or 500, {"error": error.description}
    return Response(json.dumps(body), status=status, content_type="application/json")


def _do(server: MailServer, request: Request) -> tuple[int, dict[str, Any]]:
    request.max_content_length = MAX_BODY
    call = (request.method, request.path.removeprefix("/_control/"))
    asked = json.loads(request.get_data() or b"{}")
    if not isinstance(asked, dict):
        raise BadFault("say a JSON object")
    if call == ("GET", "faults"):
        return 200, {"faults": [asdict(one) for one in server.faults.waiting()]}
    if call == ("POST", "faults"):
        return 200, asdict(server.faults.add(asked))
    if call == ("DELETE", "faults"):
        server.faults.clear()
        return 200, {"done": True}
    if call == ("GET", "mails"):
        kept = server.mails[-100:]
        return 200, {"kept": server.count, "last": [{"from": one.sender, "to": one.recipient} for one in kept]}
    if call == ("POST", "letters"):
        put(server.maildir, letter("kari@example.no", "us@example.no", "Hello", str(asked.get("words", ""))))
        return 200, {"done": True}
    if call == ("POST", "renumber"):
        server.box.renumber()
        return 200, {"done": True}
    return 404, {"error": f"no {request.method} {request.path} here"}
