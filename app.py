"""The front door: create_app() and the `brikke` command line. Wires, decides nothing."""
