"""The page where a customer approves a payment, instead of the app: two buttons, no script, any width."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs

from simulator.vipps.world import Payment, World

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430 }
button { font: inherit; width: 100%; padding: .8rem; margin: .35rem 0; border: 0; border-radius: 2rem }
.yes { background: #d8400f; color: #fff } .no { background: #eceff4 } strong { font-size: 1.6rem }
"""


def answer(world: World, method: str, page: str, body: bytes) -> tuple[int, str | None, str]:
    """Return status, where to go instead (or None), and the page."""
    with world.lock:
        one = world.of_page(page)
        if one is None:
            return 404, None, _page("<p>There is no such payment.</p>")
        if method != "POST" or one.state != "CREATED":
            return (200, None, _page(_form(one))) if one.state == "CREATED" else (200, None, _page(_over(one)))
        do = parse_qs(body.decode("ascii", "replace")).get("do", [""])[0]
        if do == "approve":
            world.approve(one)
        elif do == "abort":
            world.abort(one)
        else:
            return 400, None, _page(_form(one))
        world.save()
        return 303, one.return_url, ""


def _kroner(ore: int) -> str:
    return f"{ore // 100},{ore % 100:02d} kr"


def _form(one: Payment) -> str:
    return (
        f"<p>{escape(one.description)}</p><p><strong>{_kroner(one.amount)}</strong></p><form method='post'>"
        "<button class='yes' name='do' value='approve'>Betal / Pay</button>"
        "<button class='no' name='do' value='abort'>Avbryt / Cancel</button></form>"
        "<p><small>Dette er en øveversjon. / This is for practice.</small></p>"
    )


def _over(one: Payment) -> str:
    return f"<p>Ferdig / Over.</p><p><a href='{escape(one.return_url)}'>Tilbake / Back</a></p>"


def _page(content: str) -> str:
    return (
        '<!doctype html><html lang="nb"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Vipps (øving)</title>'
        f"<style>{_STYLE}</style></head><body><h1>Vipps (øving)</h1>{content}</body></html>"
    )
