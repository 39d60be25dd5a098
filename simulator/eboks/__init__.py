"""A stand-in for a distributor of mail to e-Boks, and what can go wrong with it. Its protocol is an assumption."""
