"""Audiences: rules that are kept true, and lists.

`rules` reads a rule (pure), `evaluate` writes who entered and who left, `services` is what others ask for: activate,
archive and change an audience, replace a list, and the two pieces of work that wait in rows: full evaluation, and
looking again when mere time may have changed an answer.
"""
