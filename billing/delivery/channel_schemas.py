"""The HTTP shapes of the choice of a channel."""

from __future__ import annotations

from accounts.customers.models import CHOICES
from accounts.customers.ways import LONGEST_TERM, SHORTEST_TERM
from billing.delivery.models import CHANNELS
from config import http


class StandingMandateSchema(http.Schema):
    """An AvtaleGiro mandate that stands. The payer made it in their bank, and ends it there."""

    agreement = http.agreement_number("The agreement it pays for.", dump_only=True)
    since = http.instant("When the bank told of it.", dump_only=True)
    notice = http.flag("Whether the payer wants to be told before each payment.", dump_only=True)


class WaySchema(http.Schema):
    """A way of getting invoices, for this kind of customer."""

    channel = http.choice("Its name.", CHOICES, "efaktura", dump_only=True)
    offered = http.flag("Whether it can be chosen here now.", dump_only=True)
    where = http.text("Where it is chosen.", "on My Page or by support", dump_only=True)
    needs = http.text("What it cannot do without.", "a mailbox at Digipost", dump_only=True)
    ends = http.list_of(http.text("A channel.", "email"), "What ends when it is chosen.", ["email"], dump_only=True)
    carries = http.list_of(
        http.text("invoice, receipt or credit_note.", "invoice"), "What goes by it.", ["invoice"], dump_only=True
    )


class LookedUpSchema(http.Schema):
    """What asking the partner said just now."""

    found = http.choice(
        "`unsure`: no answer; it is looked up before each sending.", ("yes", "no", "unsure"), dump_only=True
    )
    why = http.text("A code for it.", "no_mailbox", dump_only=True, allow_none=True)
    said = http.text("The code in words.", "the customer has no mailbox there", dump_only=True, allow_none=True)


class ChooseChannelSchema(http.Schema):
    """A choice."""

    channel = http.choice("How documents are to go out; `best_digital` leaves it to us.", CHOICES)
    efaktura_beside = http.flag(
        "Whether what AvtaleGiro pays is shown as an eFaktura too; null leaves it.", load_default=None, allow_none=True
    )
    details_in_copy = http.flag(
        "Whether the copy that is sent lists the passages; null leaves it.", load_default=None, allow_none=True
    )
    anyway = http.flag("Choose it also where it surely does not reach the customer now.", False, load_default=False)


class PaymentTermSchema(http.Schema):
    """Days to pay."""

    payment_term_days = http.whole(
        "Days from the invoice to its due date; null: the ordinary figure.",
        30,
        low=SHORTEST_TERM,
        high=LONGEST_TERM,
        allow_none=True,
    )


class ChannelSchema(http.Schema):
    """How a customer gets invoices, and what there is to choose."""

    channel = http.choice("How documents go out.", CHOICES, dump_only=True)
    efaktura_beside = http.flag("Whether what AvtaleGiro pays is shown as an eFaktura too.", False, dump_only=True)
    details_in_copy = http.flag("Whether the copy that is sent lists the passages.", dump_only=True)
    payment_term_days = http.whole(
        "Days to pay that were agreed; null: the ordinary figure.", 30, dump_only=True, allow_none=True
    )
    mandates = http.many(StandingMandateSchema, "AvtaleGiro mandates that stand.", dump_only=True)
    choices = http.many(WaySchema, "The ways for this kind of customer.", dump_only=True)
    looked_up = http.nested(
        LookedUpSchema, "What the look-up of this choice said; null without one.", dump_only=True, allow_none=True
    )


class ConsideredSchema(http.Schema):
    """A channel that was considered."""

    channel = http.choice("Its name.", CHANNELS, "efaktura", dump_only=True)
    verdict = http.choice(
        "`passed`: not looked up; `unsure`: its look-up had no answer.", ("yes", "no", "unsure", "passed"), "no",
        dump_only=True,
    )  # fmt: skip
    why = http.text("A code for it; empty where it was chosen.", "no_consent", dump_only=True)
    said = http.text("The code in words.", "the customer has not said yes to eFaktura", dump_only=True)


class ChannelChoiceSchema(http.Schema):
    """A decision by which channel a message about an invoice goes."""

    at = http.instant("When.", dump_only=True)
    template = http.text("The message.", "invoice", dump_only=True)
    cause = http.choice("What gave cause.", ("first", "fallback", "agent"), dump_only=True)
    channel = http.choice(
        "The channel; null: none reaches the customer, or not decided yet.", CHANNELS, "email", dump_only=True,
        allow_none=True,
    )  # fmt: skip
    considered = http.many(ConsideredSchema, "Each channel that was considered, in order.", dump_only=True)
    next_at = http.instant("When it is looked up again; null when decided.", dump_only=True, allow_none=True)


class ChannelChoicesSchema(http.Schema):
    """Why an invoice went the ways it went."""

    items = http.many(ChannelChoiceSchema, "The decisions, in order.", dump_only=True)


class SendAgainSchema(http.Schema):
    """How to send again."""

    channel = http.choice(
        "Another channel to go by first; left out or null: as before.", CHANNELS, "paper", load_default=None,
        allow_none=True,
    )  # fmt: skip
