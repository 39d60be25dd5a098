"""The command line, part of the front door: reads arguments, calls one verb, prints what came back."""
