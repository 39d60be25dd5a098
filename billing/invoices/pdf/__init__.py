"""The invoice as a PDF.

Owns: the page (`invoice.typ`, `mark.svg`), what is printed on it (`layout.py`), making bytes of it in this process
(`render.py`) and in processes of its own (`processes.py`, `worker.py`).
Does not own: what a document says (`presentation.py`), its words (`words.py`), keeping or sending it.
Invariants: the same view gives the same bytes; text from outside is data and never markup; the page needs no font, file
or network of the machine; PDF/A-2a and PDF/UA-1, so that an archive and a screen reader can keep and read it.
"""
