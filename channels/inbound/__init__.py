"""What services call back: what became of a message, and what people answer.

A call that is not signed by its service writes nothing. What is reported becomes events of the profiles, stored before
the answer and each once; the stream step hands them to `reports.consume`, which moves the messages on.
"""
