"""Words of the roadside: answers, states of files, why a record was decided anew."""

from __future__ import annotations

from collections.abc import Mapping

from web.words import pick

_ANSWERS: Mapping[str, tuple[str, str]] = {
    "accepted": ("Godtatt", "Accepted"),
    "other_agreement": ("Gjøres opp et annet sted", "Settled elsewhere"),
    "duplicate": ("Kom før", "Came before"),
    "conflict": ("Samme id, andre felt", "Same id, other fields"),
    "deferred_original_missing": ("Venter på det den retter", "Waits for what it corrects"),
    "superseded": ("Avløst av en senere rettelse", "Superseded by a later correction"),
    "unknown_vehicle": ("Ukjent kjøretøy", "Unknown vehicle"),
    "not_valid": ("Ikke gyldig avtale", "No valid agreement"),
    "too_old": ("For gammel", "Too old"),
    "invalid_amount": ("Ugyldig beløp", "Invalid amount"),
    "invalid_record": ("Ugyldig post", "Invalid record"),
    "unknown_station": ("Ukjent stasjon", "Unknown station"),
    "tag_plate_mismatch": ("Brikke og skilt stemmer ikke", "Tag and plate differ"),
    "wrong_class": ("Feil klasse", "Wrong class"),
    "double_read": ("Lest to ganger", "Read twice"),
}
_GOOD = ("accepted", "other_agreement", "duplicate")
_STATES: Mapping[str, tuple[tuple[str, str], str]] = {
    "receiving": (("Føres nå", "Being booked"), "warn"),
    "done": (("Ferdig", "Done"), "good"),
    "refused": (("Avvist i sin helhet", "Refused whole"), "bad"),
    "waiting": (("Venter", "Waits"), "warn"),
    "applied": (("Gjort", "Applied"), "good"),
    "superseded": (("Avløst", "Superseded"), ""),
}
_WAYS: Mapping[str, tuple[str, str]] = {
    "http": ("over nettet", "over HTTP"),
    "file": ("lest inn her", "read in here"),
    "inbox": ("i innboksen", "in the inbox"),
    "sftp": ("over SFTP", "over SFTP"),
}
_CAUSES: Mapping[str, tuple[str, str]] = {
    "original_came": ("Det den retter, kom", "What it corrects came"),
    "gave_up": ("Ventet for lenge", "Waited too long"),
    "read_taken_back": ("Den første lesingen ble trukket", "The first read was taken back"),
    "contested": ("Operatøren sto på sitt", "The operator contested it"),
    "moved": ("Flyttet til den som gjør den opp", "Moved to who settles it"),
}
_SORTS: Mapping[str, tuple[str, str]] = {
    "accepted": ("godtatt", "accepted"),
    "other_agreement": ("gjøres opp et annet sted", "settled elsewhere"),
    "rejected": ("avvist", "rejected"),
    "deferred": ("venter", "deferred"),
    "duplicates": ("kom før", "came before"),
    "conflicts": ("samme id, andre felt", "same id, other fields"),
    "broken": ("ugyldig", "invalid"),
}
_ACTIONS: Mapping[str, tuple[str, str]] = {
    "cancel": ("trekker tilbake", "cancels"),
    "adjust": ("retter", "adjusts"),
}


def answer_word(code: str) -> str:
    """Say an answer code."""
    return pick(_ANSWERS[code]) if code in _ANSWERS else code.replace("_", " ")


def answer_tone(code: str) -> str:
    """Return the tone of an answer: good, warn or bad."""
    if code in _GOOD:
        return "good"
    return "warn" if code in ("deferred_original_missing", "superseded") else "bad"


def state_word(state: str) -> tuple[str, str]:
    """Return how a file or correction stands, and its tone."""
    if state not in _STATES:
        return state, ""
    pair, tone = _STATES[state]
    return pick(pair), tone


def way_word(way: str) -> str:
    """Say by which way a file came."""
    return pick(_WAYS[way]) if way in _WAYS else way


def cause_word(cause: str) -> str:
    """Say why a record was decided anew."""
    return pick(_CAUSES[cause]) if cause in _CAUSES else cause


def action_of(action: str) -> str:
    """Say what a correction does."""
    return pick(_ACTIONS[action]) if action in _ACTIONS else action


def sort_word(name: str) -> str:
    """Say what a reconciled day's records come under."""
    return pick(_SORTS[name]) if name in _SORTS else name
