"""The ledger: the books of the issuer, as a list of transfers.

Owns: transfers (debit account, credit account, amount > 0) and vouchers that group the rows of one event.
Does not own: the reason; code, ref and part name it.
Words: account (kind and owner), transfer, voucher.
Invariants: a row is balanced by being a row; (code, ref, part) happens once; rows are never changed.

Accounts: ``unbilled`` (control account; its detail is the balances and the passages), ``receivable``, ``credit``
per agreement, ``payable`` per charger, ``bank``, ``card_clearing``, ``vipps_clearing``, ``suspense``, ``refunds``,
``fee_income``, ``interest``, ``card_fees``, ``card_costs``, ``card_reserves``, ``disputes``, ``remuneration``,
``write_off``, ``agency``, ``vat``.
"""
