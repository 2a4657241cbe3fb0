"""The words by which people leave, come back and ask for help in a text message. Pure."""

from __future__ import annotations

import enum
import re
from typing import Final


class Wish(enum.Enum):
    STOP = "stop"
    START = "start"
    HELP = "help"


_WORDS: Final = {
    Wish.STOP: "stop stopall stop-all unsubscribe cancel end quit revoke optout opt-out"  # en
    " stopp abmelden arret arrêt désabonner baja alto parar sair cancelar disiscrivi afmelden",  # de fr es pt it nl
    Wish.START: "start unstop yes anmelden alta",
    Wish.HELP: "help info hilfe aide ayuda ajuda aiuto",
}
_WISHES: Final = {word: wish for wish, words in _WORDS.items() for word in words.split()}


def wish_of(text: str) -> Wish | None:
    """What a message asks for when it is one of the words and nothing else; None when it is anything else."""
    words = re.findall(r"\w+", text.casefold())
    return _WISHES.get("-".join(words)) if words else None
