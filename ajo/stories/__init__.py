"""The three stories, told to a running product with its demo over HTTP alone, as its people and its systems would.

Each story brings people of its own, so that it can be told again and again, and judges what everybody got: those who
must get something, and those who must not. `product` speaks HTTP, `cast` makes people and `judging` compares (both are
pure), and the other modules are the stories. What does not hold is `Broken`, with a sentence.
"""

from __future__ import annotations
