"""eFaktura: the channel over the banks' hub, and what of it is shown in Vipps.

Owns: looking readers up in the hub, handing invoices over to it, asking what became of them, taking them back
(``channel.Efaktura``, a ``port.Calls``), and the signed address of the page that a bank opens (``page``). Does not
own: which channel a message goes by, what a refusal leads to, and the deliveries themselves (the room above it).

Words: *hub* (what all banks and issuers are behind), *key* (what a consumer is looked up by), *shipment* (a call with
at most 1,000 transactions), *transaction* (one invoice to one consumer, named by the delivery's key), *yes to all*
(the consumer's general consent: every issuer may send).

A transaction's id is the delivery's key at every attempt, so that the hub takes it once. A shipment's id is new with
every call: it only names the call. The consumer may change the sum and the date before paying; nothing here knows.
"""
