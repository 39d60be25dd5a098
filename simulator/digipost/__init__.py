"""A stand-in for Digipost: mailboxes, signed requests and answers, and what can go wrong with them."""
