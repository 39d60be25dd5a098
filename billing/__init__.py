"""What is owed, from the road to the books.

Data walks through the rooms in one direction: roadside → passages → claims → invoices or cards → delivery →
payments → collection; each may import only rooms drawn below it (docs/architecture.md).
"""
